"""An ingest on a cluster of two workers writes what a single process writes, to the last bit."""

import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from atlas.local.server import Address
from ingest.circuits.run import IngestSettings
from ingest.circuits.shards import ingest_to
from ingest.cluster.connection import ClusterSettings
from ingest.cluster.run import IntoDatabase, IntoStore, ingest_on_cluster, require_equal
from ingest.cluster.workers import Ready
from ingest.cluster.writers import DatabaseAddress
from ingest.imports.shards import load_shards
from schema.circuit.records import Run
from schema.database import Database
from schema.errors import DatabaseError, InputError
from schema.shards.store import Store
from schema.upkeep.canonical_dump import Dump, dump
from schema.upkeep.check import check
from tests.support.cli import Cli
from tests.support.prompts import BAD
from tests.support.tiny_shards import N_GOOD, cluster_words, write_other_tags

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def test_shards_of_two_workers_are_those_of_one_process(
    cluster_address: str, tiny_ingest: IngestSettings, tiny_shards: Path, tmp_path: Path
) -> None:
    said = Console(file=StringIO(), width=200)
    store = Store(str(tmp_path))
    summary = ingest_on_cluster(
        IntoStore(store, tiny_ingest), tiny_ingest, ClusterSettings(cluster_address, 2), console=said
    )
    assert (summary.loaded, summary.present, len(summary.problems)) == (N_GOOD, 0, len(BAD))
    assert store.names() == sorted(each.name for each in tiny_shards.iterdir())  # names hold hashes
    failures = next(tiny_shards.glob("failures-*"))
    assert (tmp_path / failures.name).read_text() == failures.read_text()
    assert f"circuits: {N_GOOD} of {N_GOOD}" in said.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("to", ["new/shards", "file://new/shards"])
def test_relative_paths_are_those_of_the_folder_where_the_command_runs(
    to: str,
    cluster_address: str,
    cli: Cli,
    tiny_ingest: IngestSettings,
    tiny_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    prompts, model, transcoders = tiny_ingest.prompts, tiny_ingest.model, tiny_ingest.transcoders
    for each in (prompts, model, transcoders):
        Path(each.name).symlink_to(each)
    near = IngestSettings(Path(prompts.name), Path(model.name), Path(transcoders.name))
    done = cli(*cluster_words(near, cluster_address), "--workers", "1", "--to", to)
    assert f"{N_GOOD} circuits written to {to}" in done.stdout.replace("\n", " "), done.text
    there = sorted(each.name for each in (tmp_path / "new" / "shards").iterdir())
    assert there == sorted(each.name for each in tiny_shards.iterdir())


def test_known_prompts_of_a_store_get_the_tags_that_one_process_gives_them(
    cluster_address: str, tiny_ingest: IngestSettings, tiny_shards: Path, tmp_path: Path
) -> None:
    other, quiet = write_other_tags(tiny_ingest, tmp_path), Console(file=StringIO())
    stores = [Store(str(tmp_path / name)) for name in ("one", "two")]
    for store in stores:
        shutil.copytree(tiny_shards, store.address)
    one = ingest_to(stores[0], other, console=quiet)
    two = ingest_on_cluster(
        IntoStore(stores[1], other), other, ClusterSettings(cluster_address, 1), console=quiet
    )
    assert (two.loaded, two.present, two.known) == (0, one.present, one.known)
    assert two.known.n_tagged
    assert stores[1].names() == stores[0].names() != sorted(each.name for each in tiny_shards.iterdir())


def test_the_database_of_two_workers_is_that_of_one_process(
    cluster_address: str,
    tiny_content: Dump,
    tiny_ingest: IngestSettings,
    tiny_shards: Path,
    database: Database,
    server: Address,
) -> None:
    quiet = Console(file=StringIO())
    # A run that was stopped after the first shard.
    load_shards(database, [str(min(tiny_shards.glob("*.parquet")))], console=quiet)
    begun = len(dump(database)["Circuit"])
    into = IntoDatabase(database, DatabaseAddress(server.bolt_uri, server.user, server.password), tiny_ingest)
    summary = ingest_on_cluster(into, tiny_ingest, ClusterSettings(cluster_address, 2), console=quiet)
    assert (summary.loaded, summary.present) == (N_GOOD - begun, begun)
    assert dump(database) == tiny_content
    assert list(check(database)) == []


def test_what_workers_and_writers_lack_is_named(
    cluster_address: str, tiny_ingest: IngestSettings, database: Database, tmp_path: Path
) -> None:
    quiet, one = Console(file=StringIO()), ClusterSettings(cluster_address, 1)
    absent = replace(tiny_ingest, model=tmp_path / "absent")
    with pytest.raises(InputError, match=r"On the machine .*absent") as refused:
        ingest_on_cluster(IntoStore(Store(str(tmp_path / "a")), absent), absent, one, console=quiet)
    assert "on every machine" in str(refused.value.next_step)
    into = IntoDatabase(database, DatabaseAddress("bolt://127.0.0.1:1", "neo4j", "x"), tiny_ingest)
    with pytest.raises(DatabaseError, match=r"On the machine .*127\.0\.0\.1:1") as failed:
        ingest_on_cluster(into, tiny_ingest, one, console=quiet)
    assert "an address that every machine reaches" in str(failed.value.next_step)
    assert "0 circuits were loaded" in failed.value.what
    assert not any(dump(database).values())


def test_machines_that_would_compute_other_circuits_are_named() -> None:
    one = Ready("node-a", "plan", Run({"model": "m@1", "chat": True}, {"torch": "2.8.0"}))
    other = Ready("node-b", "plan", Run({"model": "m@2", "chat": True}, {"torch": "2.9.0"}))
    require_equal(one, one._replace(node="node-c"))
    with pytest.raises(
        InputError, match=r"node-a and node-b .*: model m@1 and m@2, torch 2\.8\.0 and 2\.9\.0"
    ):
        require_equal(one, other)
    with pytest.raises(InputError, match="their tokenizers differ"):
        require_equal(one, one._replace(plan="another"))
