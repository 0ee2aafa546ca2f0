"""`atlas export`: every format opens in the tools it is for, and holds the whole circuit."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import networkx
import polars
import pytest

from schema.atomic_file import atomic_write
from schema.circuit.canonical import canonical
from schema.circuit.records import Circuit
from schema.database import Database
from schema.errors import DatabaseError, InputError, NotFoundError
from schema.exports.files import ExportFormat, export_circuits, export_query
from schema.exports.graph_json import node_id, to_json
from schema.exports.graphml import graphml
from schema.exports.node_link import node_link
from schema.exports.tables import SCHEMAS, TableFiles, rows_of
from schema.formats.graph import read_graph
from schema.loading.load import load_circuit
from schema.loading.read import CANDIDATES, LEAST, circuit_ids, find_circuit, read_circuit
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.graph_files import ALL, Graph, encode
from tests.support.paths import DATA

NEURONPEDIA = json.loads((DATA / "neuronpedia-graph-schema.json").read_text("utf-8"))


def circuits() -> dict[str, Circuit]:
    """Our own and every tool's."""
    made = {f"ours {n}": canonical(circuit) for n, circuit in enumerate(synthetic_circuits(2))}
    return made | {name: read_graph(encode(make()), name).circuit for name, make in ALL.items()}


def nothing() -> None:
    pass


@pytest.mark.parametrize("name", circuits())
def test_graph_json_satisfies_neuronpedia(name: str) -> None:
    graph: Graph = json.loads(encode(to_json(circuits()[name])))
    jsonschema.Draft7Validator(NEURONPEDIA).validate(graph)
    ids = [each["node_id"] for each in graph["nodes"]]
    assert len(set(ids)) == len(ids)
    assert {link[end] for link in graph["links"] for end in ("source", "target")} <= set(ids)
    for each in graph["nodes"]:
        if each["feature_type"] == "logit":  # viewers read what follows "(p="
            assert "(p=" in each["clerp"]
        assert isinstance(each["layer"], int | str if name == "crm" else str)  # as its tool writes it


def test_the_schema_refuses_what_is_wrong() -> None:
    graph: Graph = json.loads(encode(to_json(circuits()["neuronpedia"])))
    del graph["nodes"][0]["clerp"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(NEURONPEDIA).validate(graph)


@pytest.mark.parametrize("name", circuits())
def test_graphs_open_in_networkx_and_are_the_same(name: str, tmp_path: Path) -> None:
    circuit = circuits()[name]
    path = tmp_path / "graph.graphml"
    path.write_text("".join(graphml(circuit)), encoding="utf-8")
    one = networkx.read_graphml(path)
    other = networkx.node_link_graph(json.loads(b"".join(node_link(circuit))), edges="edges")
    ids = [node_id(node) for node in circuit.nodes]
    wanted = {(ids[e.source], ids[e.target]): (e.weight, e.share) for e in circuit.edges}
    for graph in (one, other):
        assert list(graph.nodes) == ids
        assert {(s, t): (d["weight"], d.get("share")) for s, t, d in graph.edges(data=True)} == wanted
        for node, values in zip(circuit.nodes, graph.nodes.values(), strict=True):
            assert values["kind"] == node.kind
            for key in ("layer", "position", "index", "activation", "influence", "token", "component"):
                assert values.get(key) == getattr(node, key), key
        assert graph.graph["prompt"] == circuit.prompt.text


def test_graphml_holds_any_text(tmp_path: Path) -> None:
    graph = ALL["circuit-tracer"]()
    graph["metadata"]["prompt_tokens"][1] = "\x00<&>\"'\x1b\ufffe"
    circuit = read_graph(encode(graph), "x").circuit
    path = tmp_path / "graph.graphml"
    path.write_text("".join(graphml(circuit)), encoding="utf-8")
    assert networkx.read_graphml(path).nodes["E_7_1"]["token"] == "\ufffd<&>\"'\ufffd\ufffd"


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_tables_hold_every_row(format_: str, tmp_path: Path) -> None:
    every = list(circuits().values())
    with TableFiles(tmp_path, format_) as tables:
        for circuit in every:
            tables.write(circuit)
    for name, schema in SCHEMAS.items():
        wanted = [
            {key: row.get(key) for key in schema.names} for circuit in every for row in rows_of(circuit)[name]
        ]
        path = tmp_path / f"{name}.{format_}"
        if format_ == "parquet":
            assert polars.read_parquet(path).to_dicts() == wanted
        else:
            with path.open(encoding="utf-8", newline="") as file:
                found = list(csv.DictReader(file))
            assert [list(row.values()) for row in found] == [
                [cell(v) for v in row.values()] for row in wanted
            ]


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_tables_get_their_names_when_all_are_whole(format_: str, tmp_path: Path) -> None:
    first, second = circuits()["ours 0"], circuits()["ours 1"]
    with TableFiles(tmp_path, format_) as tables:
        tables.write(first)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {f"{name}.{format_}" for name in SCHEMAS}

    def break_off() -> None:
        with TableFiles(tmp_path, format_) as tables:
            tables.write(second)
            assert {path.name: path.read_bytes() for path in tmp_path.glob(f"*.{format_}")} == before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def break_off() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert list(tmp_path.iterdir()) == []
    with atomic_write(path) as part:
        part.write_text("all")
        assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "all"
    with atomic_write(Path("/dev/null")) as part:
        assert part == Path("/dev/null")


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def test_a_stored_circuit_is_read_back_whole(database: Database) -> None:
    for circuit in circuits().values():
        load_circuit(database, circuit, RUN)
    for circuit in circuits().values():
        found = read_circuit(database, circuit.id)
        assert set(found.labels) >= set(circuit.labels)  # those of other circuits' features, too
        assert replace(found, labels=circuit.labels) == circuit
    with pytest.raises(NotFoundError):
        read_circuit(database, "nowhere")


def test_import_export_import_through_the_database(database: Database, tmp_path: Path) -> None:
    circuit = circuits()["neuronpedia"]
    load_circuit(database, circuit, RUN)
    out = tmp_path / "hi.json"
    assert export_circuits(database, [circuit.id], ExportFormat.JSON, out, step=nothing) == 1
    assert read_graph(out.read_bytes(), "hi").circuit == circuit


@pytest.mark.parametrize("format_", list(ExportFormat))
def test_many_circuits_go_to_a_folder(database: Database, tmp_path: Path, format_: ExportFormat) -> None:
    every = circuits()
    for circuit in every.values():
        load_circuit(database, circuit, RUN)
    out = tmp_path / "out"
    assert export_circuits(database, [], format_, out, step=nothing) == len(every)
    names = sorted(path.name for path in out.iterdir())
    if format_ in (ExportFormat.PARQUET, ExportFormat.CSV):
        assert names == sorted(f"{name}.{format_}" for name in SCHEMAS)
    else:
        assert len(names) == len(every)
    if format_ is ExportFormat.JSON:
        found = {read_graph(path.read_bytes(), path.name).circuit.id for path in out.iterdir()}
        assert found == {circuit.id for circuit in every.values()}


def test_circuits_by_name(database: Database, tmp_path: Path) -> None:
    every = synthetic_circuits(6)
    for circuit in every:
        load_circuit(database, circuit, RUN)
    arithmetic = {circuit.id for circuit in every if circuit.prompt.family == "arithmetic"}
    assert set(circuit_ids(database, ["arithmetic"])) == arithmetic
    assert circuit_ids(database, [every[0].id[:8]]) == [every[0].id]
    assert set(circuit_ids(database, [every[0].id, "arithmetic"])) == {every[0].id} | arithmetic
    assert set(circuit_ids(database, ["easy"])) == {c.id for c in every if "easy" in c.prompt.tags}
    with pytest.raises(
        NotFoundError, match="is not a circuit, slug, family, tag, tool, source set or source URL"
    ):
        export_circuits(database, ["nothing"], ExportFormat.JSON, tmp_path, step=nothing)


def test_a_circuit_by_the_beginning_of_its_id(database: Database) -> None:
    """Against all ids and all their beginnings."""
    circuit = synthetic_circuits(1)[0]
    load_circuit(database, circuit, RUN)
    there = ["abcde", "abcdef1", "abcdef2", *(f"abcx{n:02}" for n in range(8))]
    database.write("UNWIND $ids AS id CREATE (:Circuit {id: id})", {"ids": there})
    there.append(circuit.id)
    for name in {each[:length] for each in there for length in range(len(each) + 1)} | {"abcde?", "zzzz"}:
        fits = [each for each in there if each.startswith(name)] if len(name) >= LEAST else []
        if name in there or len(fits) == 1:
            assert find_circuit(database, name) == (name if name in there else fits[0])
        elif fits:
            with pytest.raises(InputError, match=f"^{len(fits)} circuits begin with {name}:") as refused:
                find_circuit(database, name)
            named = [line.split()[0] for line in str(refused.value).splitlines()[1:]]
            shown = sorted(fits)[:CANDIDATES]
            assert named == [*shown, *(["and"] if len(fits) > CANDIDATES else []), "→"]
            with pytest.raises(InputError, match="circuits begin with"):
                circuit_ids(database, [name])
        else:
            with pytest.raises(NotFoundError, match=r"^There is no circuit ") as nothing_found:
                find_circuit(database, name)
            assert ("at least 4 characters" in str(nothing_found.value)) == (len(name) < LEAST)


def test_a_hostile_slug_stays_in_its_folder(database: Database, tmp_path: Path) -> None:
    for number, slug in enumerate(("../../etc/passwd", "../../etc/passwd", "/abs", "..")):
        graph = ALL["circuit-tracer"]()
        graph["metadata"]["slug"] = slug
        graph["links"][0]["weight"] = float(number + 2)
        load_circuit(database, read_graph(encode(graph), "x").circuit, RUN)
    out = tmp_path / "deep" / "out"
    assert export_circuits(database, [], ExportFormat.GRAPHML, out, step=nothing) == 4
    assert len(list(out.iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_rows_of_a_query(database: Database, tmp_path: Path) -> None:
    every = synthetic_circuits(6)
    for circuit in every:
        load_circuit(database, circuit, RUN)
    text = (
        ":param family => 'capitals';\n"
        "MATCH (c:Circuit)-[:OF_PROMPT]->(p)-[:IN_FAMILY]->(:Family {name: $family})\n"
    )
    rows = (
        text + "RETURN c.id AS circuit, p.tokens AS tokens, c.error_share AS share, p AS p ORDER BY circuit"
    )
    out = tmp_path / "rows.parquet"
    wanted = sorted(c.id for c in every if c.prompt.family == "arithmetic")
    given = {"family": "arithmetic"}
    assert export_query(database, rows, given, ExportFormat.PARQUET, out, step=nothing) == len(wanted)
    assert polars.read_parquet(out)["circuit"].to_list() == wanted
    assert export_query(database, rows, {}, ExportFormat.CSV, tmp_path / "rows.csv", step=nothing) == 2
    folder = tmp_path / "graphs"
    assert export_query(database, rows, given, ExportFormat.JSON, folder, step=nothing) == len(wanted)
    with pytest.raises(InputError, match="has no column `circuit`"):
        export_query(database, text + "RETURN p.text AS text", {}, ExportFormat.JSON, folder, step=nothing)
    failing = "UNWIND range(1, 50000) AS i RETURN i, 1 / (40000 - i) AS share"
    for format_ in (ExportFormat.PARQUET, ExportFormat.CSV):
        with pytest.raises(DatabaseError, match="by zero"):
            export_query(database, failing, {}, format_, tmp_path / f"broken.{format_}", step=nothing)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("broken")] == []
    no_rows = "MATCH (c:Circuit {id: 'x'}) RETURN c.id AS id, c.slug AS slug"
    assert export_query(database, no_rows, {}, ExportFormat.CSV, tmp_path / "none.csv", step=nothing) == 0
    assert (tmp_path / "none.csv").read_text().split() == ["id,slug"]
    with pytest.raises(DatabaseError):
        export_query(
            database,
            "CREATE (n:Tag {name: 'x'}) RETURN n",
            {},
            ExportFormat.CSV,
            tmp_path / "x.csv",
            step=nothing,
        )
    assert database.read("MATCH (n:Tag {name: 'x'}) RETURN n") == []


def test_an_unknown_value_is_not_an_empty_text(database: Database, tmp_path: Path) -> None:
    rows = "UNWIND [['', null, 'a,b'], [null, '', 'say \"x\"']] AS r RETURN r[0] AS a, r[1] AS b, r[2] AS c"
    written = tmp_path / "rows.csv"
    assert export_query(database, rows, {}, ExportFormat.CSV, written, step=nothing) == 2
    assert written.read_bytes() == b'a,b,c\r\n"",,"a,b"\r\n,"","say ""x"""\r\n'
    columns = tmp_path / "rows.parquet"
    assert export_query(database, rows, {}, ExportFormat.PARQUET, columns, step=nothing) == 2
    assert polars.read_parquet(columns).to_dict(as_series=False) == {
        "a": ["", None],
        "b": [None, ""],
        "c": ["a,b", 'say "x"'],
    }
