"""Backup and restore: the same content in another home, and nothing lost by a file that is no backup."""

import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from atlas.local import admin
from atlas.local.server import LocalServer
from schema.database import Database
from schema.errors import InputError, ServerError
from schema.loading.load import load_circuit
from schema.upkeep.canonical_dump import dump
from schema.upkeep.migrations import migrate
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.servers import free_port


def connect(local: LocalServer) -> Database:
    address = local.start(bolt_port=free_port(), http_port=free_port(), heap_mb=512)
    return Database.connect(address.bolt_uri, address.user, address.password)


def test_backup_and_restore(tmp_path: Path):
    first, second = LocalServer(tmp_path / "first"), LocalServer(tmp_path / "second")
    file, nonsense = tmp_path / "atlas.dump", tmp_path / "nonsense.dump"
    nonsense.write_bytes(b"no backup at all" * 100)
    try:
        with connect(first) as database:
            migrate(database)
            for circuit in synthetic_circuits(4):
                load_circuit(database, circuit, RUN)
            before = dump(database)
        with pytest.raises(InputError, match="cannot be written"):
            admin.backup(first, tmp_path / "no" / "such" / "folder.dump")
        first.stop()
        admin.backup(first, file)
        assert sorted(path.name for path in tmp_path.glob("*dump*")) == ["atlas.dump", "nonsense.dump"]

        with pytest.raises(InputError, match="There is no database"):
            admin.backup(second, tmp_path / "empty.dump")
        admin.restore(second, file)
        with pytest.raises(InputError, match="There is a database"):
            admin.restore(second, file)
        with pytest.raises(InputError, match="cannot be read"):
            admin.restore(second, tmp_path / "missing.dump", replace=True)
        with pytest.raises(ServerError, match="failed"):
            admin.restore(second, nonsense, replace=True)
        with connect(second) as database:
            assert migrate(database) == []
            assert dump(database) == before
        running = second.status()
        with pytest.raises(ServerError, match="failed"):
            admin.restore(second, nonsense, replace=True)
        again = second.status()
        assert (again.running, again.address) == (True, running.address), "it runs again, as it did"
        # Neo4j hangs when it stops on a full disk, so it is not told to.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
            with pytest.raises(ServerError, match="no space for the database to stop: 1 MB are free"):
                admin.backup(second, tmp_path / "full.dump")
        assert second.status().pid == again.pid
        # One that does not stop is not waited for as if it started.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("atlas.local.server.STOP_LIMIT_S", 0.001)
            patch.setattr(second, "start", pytest.fail)
            with pytest.raises(ServerError, match="has not stopped"):
                admin.backup(second, tmp_path / "full.dump")
        assert not list(tmp_path.glob("full*"))
        assert again.pid is not None
        with suppress(psutil.NoSuchProcess):
            psutil.Process(again.pid).wait(120)
        admin.restore(second, file, replace=True)
        with connect(second) as database:
            assert dump(database) == before
    finally:
        first.stop()
        second.stop()
