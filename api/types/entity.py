"""References from one type to a type whose file imports it.

Features lead to circuits, and circuits to features. The file of circuits imports the file of features; a
feature names a circuit by the question that looks circuits up, and this file knows which type that is.
"""

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

from api.request.batching import Info
from schema.questions.question import Question


class Made(Protocol):
    """A GraphQL type that is made of a row."""

    @classmethod
    def of(cls, row: Any) -> Self: ...


Kind = TypeVar("Kind", bound=type[Made])

_TYPES: dict[str, type[Made]] = {}
"""Types by the name of the question that looks their rows up."""


def looked_up_by(question: Question[Any]) -> Callable[[Kind], Kind]:
    """Registers the GraphQL type that is made of the rows of `question`."""

    def register(kind: Kind) -> Kind:
        _TYPES[question.name] = kind
        return kind

    return register


def reference(info: Info, question: Question[Any], key: str) -> Any:
    """The object of `key`, which must exist, or an awaitable of it while its row has not arrived."""
    return info.context.loaders.fact(question, key, _TYPES[question.name].of)
