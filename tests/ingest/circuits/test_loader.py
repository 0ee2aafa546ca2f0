"""Loading threads: order, waiting, and what a failed call does."""

import threading

import pytest

from ingest.circuits.loader import LoadingThreads, resumable
from schema.errors import DatabaseError


def test_one_thread_calls_in_order_and_leaving_waits_for_all() -> None:
    done: list[int] = []
    with LoadingThreads(done.append, 1, 3) as threads:
        for number in range(50):
            threads.put(number)
    assert done == list(range(50))


def test_put_waits_when_enough_calls_wait() -> None:
    begin, more = threading.Event(), threading.Event()

    def load() -> None:
        begin.wait()

    def put_one_more() -> None:
        threads.put()
        more.set()

    with LoadingThreads(load, 1, 2) as threads:
        threads.put()
        threads.put()
        third = threading.Thread(target=put_one_more)
        third.start()
        assert not more.wait(0.1)
        begin.set()
        assert more.wait(10)
        third.join()


def test_a_large_call_counts_as_several_and_one_that_is_too_large_waits_alone() -> None:
    begin, running = threading.Event(), []

    def load(size: int) -> None:
        running.append(size)
        begin.wait()

    put: list[int] = []

    def put_all() -> None:
        for size in (1, 2, 9, 1):
            threads.put(size)
            put.append(size)

    with LoadingThreads(load, 4, 4, lambda size: size) as threads:
        other = threading.Thread(target=put_all)
        other.start()
        other.join(0.2)
        assert put == [1, 2]  # The third counts as four, and one place is free.
        begin.set()
        other.join(10)
        assert put == [1, 2, 9, 1]
    assert sorted(running) == [1, 1, 2, 9]


def test_drain_returns_when_all_calls_have_returned() -> None:
    done: list[int] = []
    with LoadingThreads(done.append, 2, 8) as threads:
        for number in range(8):
            threads.put(number)
        threads.drain()
        assert sorted(done) == list(range(8))


def test_after_a_failed_call_waiting_calls_are_skipped_and_the_error_is_raised() -> None:
    failed, called = threading.Event(), []

    def load(number: int) -> None:
        called.append(number)
        if number == 0:
            failed.wait()
            raise DatabaseError("broken")

    def work() -> None:
        with LoadingThreads(load, 1, 4) as threads:
            for number in range(3):
                threads.put(number)
            failed.set()

    with pytest.raises(DatabaseError, match="broken"):
        work()
    assert called == [0]


def test_an_error_in_the_block_discards_calls_that_have_not_begun() -> None:
    begun, release, called = threading.Event(), threading.Event(), []

    def load(number: int) -> None:
        called.append(number)
        begun.set()
        release.wait()

    def work() -> None:
        with LoadingThreads(load, 1, 4) as threads:
            threads.put(0)
            threads.put(1)
            begun.wait()
            threading.Timer(0.2, release.set).start()
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert called == [0]


def test_a_database_error_says_how_to_resume() -> None:
    with pytest.raises(DatabaseError) as found, resumable(lambda: 3):
        raise DatabaseError("Neo4j is full", next_step="free some space")
    assert found.value.what == "Neo4j is full. 3 circuits were loaded before that"
    assert found.value.next_step == "free some space; then run the same command again; it resumes from there"
