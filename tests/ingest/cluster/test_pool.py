"""Shares of lost workers are done by others, and one that ends every worker fails alone."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ingest.cluster.connection import ClusterSettings, connected
from ingest.cluster.pool import AHEAD, ATTEMPTS, Lost, Pool
from schema.errors import InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
SHARES = range(12)


class Worker:
    """Ends its process for some shares, as one does that runs out of memory."""

    def __init__(self, folder: str, deadly: int | None = None, startable: bool = True) -> None:
        self._folder, self._deadly, self._startable = Path(folder), deadly, startable

    def ready(self) -> bool:
        if not self._startable:
            os._exit(1)
        return True

    def work(self, share: int) -> int:
        mark = self._folder / f"{share}-{time.monotonic_ns()}"
        before = list(self._folder.glob(f"{share}-*"))
        mark.touch()
        if share == self._deadly or (share % 5 == 1 and not before):
            os._exit(1)
        if share == 7:
            raise ValueError("seven")
        return share * share


@pytest.fixture
def ray(cluster_address: str) -> Iterator[Any]:
    with connected(ClusterSettings(cluster_address, 2)) as room:
        assert room == 2
        import ray

        yield ray


def pool(ray: Any, *given: object) -> Pool:
    make = partial(ray.remote(Worker).options(num_cpus=1).remote, *given)
    return Pool([make(), make()], make)


def work(worker: Any, share: int) -> Any:
    return worker.work.remote(share)


def test_every_share_is_done_in_order_and_the_deadly_one_fails_alone(ray: Any, tmp_path: Path) -> None:
    found = dict(pool(ray, str(tmp_path), 3).results(SHARES, work))
    assert list(found) == list(SHARES)
    lost = {share for share, result in found.items() if isinstance(result, Lost)}
    assert lost == {3, 7}
    assert "seven" in found[7].reason
    assert {share: found[share] for share in SHARES if share not in lost} == {
        share: share * share for share in SHARES if share not in lost
    }
    tried = {share: len(list(tmp_path.glob(f"{share}-*"))) for share in SHARES}
    assert tried == {share: ATTEMPTS if share in lost else 1 + (share % 5 == 1) for share in SHARES}


def test_results_that_are_not_taken_hold_the_workers_back(ray: Any, tmp_path: Path) -> None:
    results = pool(ray, str(tmp_path)).results(range(100, 200, 5), work)
    assert next(results) == (100, 10_000)
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) <= 2 * AHEAD


def test_shares_are_drawn_when_there_is_room_and_some_have_no_work(ray: Any, tmp_path: Path) -> None:
    drawn = list[int]()

    def shares() -> Iterator[int]:
        for share in range(40):
            drawn.append(share)
            yield share

    results = pool(ray, str(tmp_path)).results(
        shares(), lambda worker, share: None if share % 4 else work(worker, share)
    )
    assert next(results) == (0, 0)
    assert len(drawn) <= 2 * AHEAD
    assert list(results) == [(share, None if share % 4 else share * share) for share in range(1, 40)]


def test_a_cluster_that_lost_all_workers_says_so(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="All workers of the Ray cluster are lost") as refused:
        list(pool(ray, str(tmp_path), 1, False).results(SHARES, work))
    assert refused.value.next_step
