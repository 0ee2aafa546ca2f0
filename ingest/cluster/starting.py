"""Starts workers that hold the model, and says what is wrong with them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from rich.console import Console

from ingest.annotations.labels import CorpusSettings
from ingest.circuits.run import IngestSettings
from ingest.cluster.connection import ClusterSettings, require_ray
from ingest.cluster.failures import Failure
from ingest.cluster.pool import Pool, reason_of
from schema.counted import counted
from schema.errors import InputError
from schema.slow import said_if_slow

SLOW_START_S = 120.0
"""Seconds after which the start of the workers is slow."""

Settings = TypeVar("Settings", IngestSettings, CorpusSettings)


class Started(NamedTuple):
    """Workers that hold the model."""

    pool: Pool
    workers: list[Any]
    ready: list[Any]
    """What the method `ready` of each worker gave."""


def start_workers(
    worker: type,
    settings: Settings,
    cluster: ClusterSettings,
    n_workers: int,
    console: Console,
    *given: Any,
) -> Started:
    """Start workers, and wait until each one has loaded the model.

    worker: their class, which is made with the settings and the number of threads. given: what their method
    `ready` needs. Raises InputError when a worker cannot start, or cannot load the model.
    """
    class_ = (
        require_ray()
        .remote(worker)
        .options(num_cpus=cluster.cpus_per_worker, num_gpus=cluster.gpus_per_worker)
    )
    make = partial(class_.remote, absolute(settings), cluster.cpus_per_worker)
    other = "The workers do not start yet. `ray status` shows whether other jobs hold the cluster's cores."
    with said_if_slow(other, console.print, SLOW_START_S):
        workers = [make() for _ in range(n_workers)]
        starting = [each.ready.remote(*given) for each in workers]
        ready = [_loaded(called(each)) for each in starting]
    return Started(Pool(workers, make, *given), workers, ready)


def loading(n_workers: int, settings: IngestSettings | CorpusSettings) -> str:
    """What is said while workers start."""
    return f"{counted(n_workers, 'worker is', 'workers are')} loading the model {settings.model.name} …"


def called(reference: Any) -> Any:
    """The result of a call at the start. Raises InputError when the worker cannot even start."""
    ray = require_ray()
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        raise InputError(
            f"A worker of the Ray cluster could not start: {reason_of(error)}",
            next_step="install the same circuit-atlas with the extras `ingest` and `ray` on every "
            "machine, and look at their memory",
        ) from error


def _loaded(result: Any) -> Any:
    """What a worker that holds the model gave. Raises InputError for one that does not hold it."""
    if not isinstance(result, Failure):
        return result
    raise InputError(
        f"On the machine {result.node}: {result.what}",
        next_step=f"{result.next_step or 'look at the files there'}; the model and the transcoders must be "
        "at the same path on every machine, or hf://…",
    )


def unequal(
    nodes: tuple[str, str], computed: str, one: Mapping[str, object], two: Mapping[str, object]
) -> InputError:
    """The error of two machines that would not compute the same.

    computed: what they compute, in the plural. one, two: what it is made with on each of them.
    """
    differ = [f"{name} {one.get(name)} and {two.get(name)}" for name in one if one.get(name) != two.get(name)]
    return InputError(
        f"The machines {nodes[0]} and {nodes[1]} would compute other {computed}: "
        f"{', '.join(differ) or 'their tokenizers differ'}",
        next_step="install the same packages on every machine, and put the same model and transcoders there",
    )


def absolute(settings: Settings) -> Settings:
    """The settings with whole paths: a worker runs in another folder."""
    paths: dict[str, Any] = {
        name: path.absolute()
        for name in ("model", "transcoders")
        if (path := getattr(settings, name)).exists()
    }
    return replace(settings, **paths)
