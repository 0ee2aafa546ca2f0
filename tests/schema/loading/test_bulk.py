"""Bulk import against the ordinary load, by the whole content."""

import random
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from atlas.local import admin
from atlas.local.server import LocalServer
from ingest.imports.bulk import write_tables
from ingest.imports.files import import_files
from ingest.imports.settings import ImportSettings
from ingest.imports.shards import load_shards
from schema.annotations.tags import tag_again
from schema.circuit.records import Circuit
from schema.database import Database
from schema.loading.aggregates import effect_columns
from schema.loading.load import load_circuit
from schema.loading.runs import runs
from schema.shards.folder import packed
from schema.shards.store import Store
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from schema.upkeep.migrations import migrate
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.graph_files import circuit_tracer, encode, pt_values, save_pt
from tests.support.servers import empty, free_port

HOSTILE = "a;b,\"c'\x1f\\ \n é 漢 🙂 $id"


def circuits() -> list[Circuit]:
    """Made-up circuits, and three that CSV finds hard; the last gives an earlier prompt its family."""
    made = synthetic_circuits(10)
    odd = made[0]
    homeless = replace(odd.prompt, text="no family yet", family=None)
    odd_tokens = ("", HOSTILE, *odd.prompt.tokens[2:])
    hostile = replace(odd.prompt, text=HOSTILE, tokens=odd_tokens, tags=(HOSTILE, "easy"), expected="")
    return [
        *made,
        replace(odd, prompt=hostile, node_threshold=0.7, pruned_features=(), unselected_features=((3, 9),)),
        replace(odd, prompt=homeless, node_threshold=0.6),
        replace(odd, prompt=replace(homeless, family="late"), node_threshold=0.5),
    ]


def write_graphs(folder: Path) -> Path:
    """Graph files of one model, which only the later files name."""
    folder.mkdir()
    (folder / "a.json").write_bytes(encode(circuit_tracer()))
    published = circuit_tracer()
    published["metadata"]["scan"] = "gemma-2-2b"
    published["metadata"]["info"] = {"source_urls": ["https://a.example", HOSTILE], "create_time_ms": 1}
    (folder / "c.json").write_bytes(encode(published))
    save_pt(folder / "b.pt", pt_values() | {"scan": "org/clt@0123456789abcdef"})
    return folder


def write_shards(folder: Path, made: list[Circuit]) -> str:
    """The address of shards of circuits, and of a file that is none."""
    store = Store(str(folder))
    store.create()
    for start in range(0, len(made), 5):
        for name, data in packed(list(enumerate(made))[start : start + 5], RUN):
            store.put(name, data)
    (folder / "bad.parquet").write_bytes(b"PAR1")
    return store.address


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[LocalServer]:
    """A server of the test's own: the importer needs it to rest."""
    local = LocalServer(tmp_path / "home")
    yield local
    local.stop()


def test_a_bulk_import_of_shards_and_files_holds_what_loading_circuits_shards_and_files_holds(
    database: Database, imported: LocalServer, tmp_path: Path
):
    made, quiet = circuits(), Console(file=StringIO())
    known = [each.prompt for each in made[3:6]]
    again = [
        replace(known[0], tags=(*known[0].tags, "again", HOSTILE)),
        replace(known[1], tags=(), family="another"),
        replace(known[2], tags=("again",)),
    ]
    for circuit in made:
        assert load_circuit(database, circuit, RUN)
    tag_again(database, {each.id: new.tags for each, new in zip(made[3:6], again, strict=True)})
    direct = dump(database)
    empty(database)
    graphs = ImportSettings((write_graphs(tmp_path / "graphs"),))
    repeated = [replace(each, prompt=new) for each, new in zip(made[3:6], again, strict=True)]
    shards = [write_shards(tmp_path / "a", made), write_shards(tmp_path / "b", repeated)]
    one_by_one = load_shards(database, shards, console=quiet)
    assert (one_by_one.loaded, one_by_one.present, len(one_by_one.problems)) == (len(made), 3, 2)
    assert dump(database) == direct
    assert import_files(database, graphs, console=quiet).loaded == 3
    tables = write_tables(graphs, tmp_path / "tables", shards=shards, console=quiet)
    found = tables.summary
    assert (found.loaded, found.present, len(found.problems)) == (len(made) + 3, 3, 2)
    assert (found.tagged, found.other_family) == (one_by_one.tagged, one_by_one.other_family) == (2, 1)
    admin.import_tables(imported, tables.writer.finish(), heap_mb=512)
    address = imported.start(bolt_port=free_port(), http_port=free_port(), heap_mb=512)
    with Database.connect(address.bolt_uri, address.user, address.password) as other:
        migrate(other)
        tables.finish(other)
        ordinary, bulk = dump(database), dump(other)
        assert {properties["id"] for _, properties in bulk["Model"]} >= {"gemma-2-2b", "model"}
        assert set(bulk) == set(ordinary)
        # Sums of influence may differ in their last digit; everything else is the same to the bit.
        for ours, theirs in zip(bulk.pop("FOUND_IN"), ordinary.pop("FOUND_IN"), strict=True):
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], rel=1e-12)
        for kind, rows in ordinary.items():
            assert bulk[kind] == rows, kind
        assert list(check(other)) == []


def test_a_bulk_import_of_shards_alone_records_no_run_of_its_own(database: Database, tmp_path: Path):
    tables = write_tables(ImportSettings(()), tmp_path / "tables", console=Console(file=StringIO()))
    tables.finish(database)
    assert runs(database) == []


def test_drives_in_steps_are_those_one_by_one():
    rng = random.Random(0)
    effects = [(int(rng.paretovariate(0.7)) % 5, rng.randrange(3), rng.gauss(0, 3)) for _ in range(400)]
    found: dict[tuple[int, int], tuple[int, float, float]] = {}
    for source, target, weight in effects:
        n, mean, m2 = found.get((source, target), (0, 0.0, 0.0))
        new = mean + (weight - mean) / (n + 1)
        found[source, target] = n + 1, new, m2 + (weight - mean) * (weight - new)
    sources, targets, weights = (np.array(column) for column in zip(*effects, strict=True))
    (columns,) = effect_columns(sources, targets, weights)
    got = {
        (int(s), int(t)): (int(n), float(mean), float(m2))
        for s, t, n, _, _, mean, m2, *_ in zip(*columns, strict=True)
    }
    assert got == found
