"""A load that is killed leaves whole circuits, and repeating it loads the rest."""

import subprocess
import sys
import time
from pathlib import Path

from atlas.local.server import Address
from schema.database import Database
from schema.upkeep.canonical_dump import digest
from schema.upkeep.check import check
from tests.support.circuits import synthetic_circuits, uses
from tests.support.paths import HOME
from tests.support.servers import empty
from tests.support.stored import load_all, stored_uses, whole


def test_a_killed_ingest_leaves_whole_circuits_and_goes_on(
    database: Database, server: Address, tmp_path: Path
):
    """SIGKILL at three moments, then to the end: the same content as a run that nothing disturbed."""
    circuits = synthetic_circuits(8)
    load_all(database, circuits)
    clean = digest(database)
    empty(database)
    script = tmp_path / "load.py"
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(HOME)!r})
from tests.support.servers import empty
from tests.support.circuits import RUN, synthetic_circuits
from schema.database import Database
from schema.loading.load import load_circuit
with Database.connect({server.bolt_uri!r}, {server.user!r}, sys.stdin.readline().strip()) as database:
    for circuit in synthetic_circuits(8):
        print(load_circuit(database, circuit, RUN), flush=True)
"""
    )
    for circuits_before_the_kill in (0, 1, 2, len(circuits)):
        process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(server.password + "\n")
            process.stdin.flush()
            new = 0
            while new <= circuits_before_the_kill and (line := process.stdout.readline()):
                new += line == "True\n"
            time.sleep(0.01 * circuits_before_the_kill)
            process.kill()
        assert stored_uses(database) == uses(whole(database, circuits))
        assert list(check(database)) == []
    assert len(whole(database, circuits)) == len(circuits)
    assert digest(database) == clean
