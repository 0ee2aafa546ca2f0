"""Leases: a deletion works alone, loads beside each other, and no killed process holds a lease forever."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from atlas.local.server import Address
from schema.database import Database
from schema.errors import ConflictError
from schema.loading.leases import Doing, leased
from schema.loading.load import load_circuit
from schema.upkeep.canonical_dump import dump
from schema.upkeep.delete import delete_circuits, delete_run
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.paths import HOME
from tests.support.stored import load_all

LOADING, DELETING = Doing.LOADING, Doing.DELETING


@pytest.mark.parametrize(
    ("first", "second", "runs", "excluded"),
    [
        (LOADING, LOADING, ["a"], False),
        (LOADING, DELETING, ["b", "a"], True),
        (DELETING, LOADING, ["a"], True),
        (DELETING, DELETING, ["a"], True),
        (LOADING, DELETING, ["b"], False),
        (DELETING, LOADING, [], False),
    ],
)
def test_only_a_deletion_excludes_others(database, first: Doing, second: Doing, runs: list[str], excluded):
    with leased(database, first, ["a"]):
        if excluded:
            refused = pytest.raises(ConflictError, match=rf"run a: process \d+ on .* is {first} circuits")
            with refused, leased(database, second, runs):
                pass
        else:
            with leased(database, second, runs):
                pass
    with leased(database, second, runs):
        pass
    assert database.read("MATCH (l:Lease) RETURN l") == []


def test_a_deletion_is_refused_while_its_run_is_loaded(database: Database):
    circuits = synthetic_circuits(3)
    load_all(database, circuits[:2])
    with leased(database, LOADING, [RUN.id]):
        before = dump(database)
        for refused in (delete_run(database, RUN.id), delete_circuits(database, [circuits[0].id])):
            with pytest.raises(ConflictError, match="is loading circuits of it"):
                list(refused)
        assert dump(database) == before
        load_circuit(database, circuits[2], RUN)
    assert len(list(delete_run(database, RUN.id))) == 3


def test_a_process_that_lost_its_lease_notices(database: Database):
    with leased(database, LOADING, ["a"], lease_s=0.4) as require:
        require()
        database.write("MATCH (l:Lease) DELETE l")
        time.sleep(0.3)
        with pytest.raises(ConflictError, match="its lease on the run ended"):
            require()


def test_a_lease_is_renewed_and_ends_soon_after_a_kill(database: Database, server: Address, tmp_path: Path):
    script = tmp_path / "hold.py"
    script.write_text(
        f"""
import sys, time
sys.path.insert(0, {str(HOME)!r})
from schema.database import Database
from schema.loading.leases import Doing, leased
with Database.connect({server.bolt_uri!r}, {server.user!r}, sys.stdin.readline().strip()) as database:
    with leased(database, Doing.LOADING, ["a"], lease_s=1.0):
        print("held", flush=True)
        time.sleep(60)
"""
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(server.password + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        time.sleep(1.5)  # longer than the lease
        with pytest.raises(ConflictError, match=rf"process {process.pid} on .* is loading"):
            list(delete_run(database, "a"))
        process.kill()
    for _ in range(100):
        try:
            with leased(database, DELETING, ["a"]):
                return
        except ConflictError:
            time.sleep(0.1)
    raise AssertionError("the lease never ended")
