"""Errors of workers and writers as values: Ray wraps errors that are raised, and loses the next step."""

import socket
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from ingest.engine.errors import EngineError
from schema.errors import AtlasError, DatabaseError, InputError


def machine() -> str:
    """The name of this machine."""
    return socket.gethostname()


class Failure(NamedTuple):
    """An error of the atlas or the engine."""

    node: str
    """Name of the machine."""
    what: str
    next_step: str | None
    of_database: bool = False
    """Whether it is a DatabaseError."""


def returning_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method with a Failure in place of an error."""

    @wraps(method)
    def safe(*given: Any) -> Any:
        try:
            return method(*given)
        except (AtlasError, EngineError) as error:
            return Failure(machine(), error.what, error.next_step, isinstance(error, DatabaseError))

    return safe


def checked(result: Any) -> Any:
    """A result that is no Failure. Raises InputError or DatabaseError for a Failure."""
    if isinstance(result, Failure):
        kind = DatabaseError if result.of_database else InputError
        raise kind(f"On the machine {result.node}: {result.what}", next_step=result.next_step)
    return result
