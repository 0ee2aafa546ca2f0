"""`atlas import` into a real database: content, again, resumed, with bad files, hostile files, features."""

import gzip
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingest.imports.files import import_files
from ingest.imports.settings import ImportSettings, ImportSummary
from schema.circuit.records import Model, TranscoderSet
from schema.database import Database
from schema.errors import FileError, InputError
from schema.exports.graph_json import cantor, to_json
from schema.formats.graph import Given, read_graph
from schema.loading import runs as ledger
from schema.loading.load import load_circuit
from schema.loading.model_of_set import assign_model
from schema.loading.read import circuit_ids, read_circuit
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.cli import Cli
from tests.support.graph_files import (
    ALL,
    circuit_tracer,
    crm,
    encode,
    feature,
    neuronpedia,
    pt_values,
    save_pt,
    write_every_form,
    write_feature_index,
)
from tests.support.importing import counts, run
from tests.support.mutations import files, read_or_refuse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_every_form(tmp_path)
    return tmp_path


def test_every_form_is_loaded_and_comes_back(database: Database, folder: Path) -> None:
    summary = run(database, folder, given=Given(family="greetings", tags=("x",)))
    assert counts(summary) == (len(ALL) + 1, 1, 0), summary.problems  # packed: the same graph as crm
    for name, make in ALL.items():
        circuit = read_graph(encode(make()), name, Given(family="greetings", tags=("x",))).circuit
        found = read_circuit(database, circuit.id)
        assert set(found.labels) >= set(circuit.labels)  # those of other circuits' features, too
        assert replace(found, labels=circuit.labels) == circuit
    names = {row["name"] for row in database.read("MATCH (m:Model) RETURN m.name AS name")}
    assert names >= {"gemma-2-2b", "qwen3-1.7b", "model"}
    rows = database.read(
        "MATCH (s:Supernode)-[:GROUPS]->(n) RETURN s.label AS l, s.author AS a, count(n) AS n"
    )
    assert {(row["l"], row["a"], row["n"]) for row in rows} == {
        ("say hello", "Ada", 2),
        ("words", "Ada", 3),
        ("hello", "Anthropic", 2),
    }
    rows = database.read("MATCH (l:Label)-[:LABELS]->(f) RETURN l.text AS text, l.author AS a, f.index AS i")
    assert {(row["text"], row["a"], row["i"]) for row in rows} == {
        ("greetings", "Ada", 3),
        ("say you", "Ada", 40000),
        ("say you", "Anthropic", 40000),
    }


def test_again_changes_nothing(database: Database, folder: Path) -> None:
    run(database, folder)
    before = dump(database)
    assert counts(run(database, folder)) == (0, len(ALL) + 2, 0)
    assert dump(database) == before
    (folder / "copy.json").write_bytes(encode(circuit_tracer("0_{layer}_{position}")) + b"\n")
    assert counts(run(database, folder / "copy.json")) == (0, 1, 0)


def test_bad_files_are_named_and_the_rest_goes_on(database: Database, folder: Path) -> None:
    (folder / "a bad one.json").write_bytes(encode(circuit_tracer())[:-9])
    worse = neuronpedia()
    worse["links"][2]["source"] = "nobody"
    (folder / "worse.json").write_bytes(encode(worse))
    (folder / "other.pt").write_bytes(b"no zip")
    summary = run(database, folder)
    assert counts(summary) == (len(ALL) + 1, 1, 3)
    found = {(Path(e.file).name, e.key) for e in summary.problems if isinstance(e, FileError)}
    assert found == {
        ("a bad one.json", "the end of the file"),
        ("worse.json", "links[2].source"),
        ("other.pt", "the file"),
    }
    runs = [row.id for row in ledger.runs(database)]
    assert {Path(name).name for name, _ in ledger.refusals(database, runs[0])} == {name for name, _ in found}


def test_each_graph_of_a_list_is_loaded_or_refused_by_itself(database: Database, tmp_path: Path) -> None:
    worse = neuronpedia()
    worse["links"][2]["source"] = "nobody"
    path = tmp_path / "list.json"
    path.write_bytes(encode([circuit_tracer(), worse, neuronpedia()]))  # type: ignore[arg-type]  # a list
    summary = run(database, path)
    assert counts(summary) == (2, 0, 1)
    (problem,) = summary.problems
    assert isinstance(problem, FileError)
    assert (problem.file, problem.key) == (f"{path}[1]", "links[2].source")
    rows = database.read("MATCH (e:Entry) RETURN e.name AS name, e.outcome AS outcome ORDER BY name")
    assert [(row["name"], row["outcome"]) for row in rows] == [
        (f"{path}[0]", "loaded"),
        (f"{path}[1]", "refused"),
        (f"{path}[2]", "loaded"),
    ]
    assert counts(run(database, path)) == (0, 2, 1)


def test_exports_of_stored_circuits_equal_their_files(database: Database, tmp_path: Path) -> None:
    """Features, prompts and labels are shared in the database, but each export has what its own file has."""
    for name, make in ALL.items():
        (tmp_path / f"{name}.json").write_bytes(encode(make()))
    run(database, tmp_path)
    for name, make in ALL.items():
        circuit = read_graph(encode(make()), name).circuit
        exported = to_json(read_circuit(database, circuit.id))
        block = exported["metadata"].pop("atlas")
        assert exported == make(), name
        exported["metadata"]["atlas"] = block
        assert read_graph(encode(exported), name).circuit.id == circuit.id


def test_the_model_that_one_file_names_is_that_of_all(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "graph.pt"
    save_pt(path, pt_values() | {"scan": "org/clt@0123456789abcdef"})
    (tmp_path / "z.json").write_bytes(encode(circuit_tracer()))
    assert counts(run(database, tmp_path)) == (2, 0, 0)
    rows = database.read("MATCH (t:TranscoderSet)-[:FOR]->(m) RETURN t.id AS t, m.name AS m")
    assert [(row["t"], row["m"]) for row in rows] == [("org/clt@0123456789ab", "model")]


def models(database: Database) -> list[tuple[str, str]]:
    """(set, model) of all sets, every model and no other."""
    rows = database.read("MATCH (t:TranscoderSet)-[:FOR]->(m) RETURN t.id AS t, m.id AS m ORDER BY t, m")
    found = [(row["t"], row["m"]) for row in rows]
    named = {row["m"] for row in database.read("MATCH (m:Model) RETURN m.id AS m")}
    assert named == {model for _, model in found}
    assert list(check(database)) == []
    return found


SET = "org/clt@0123456789ab"


@pytest.mark.parametrize("together", [True, False])
def test_files_may_disagree_on_the_layers_of_one_model(
    database: Database, tmp_path: Path, together: bool
) -> None:
    """The model keeps what was said first, and what is stored of each circuit agrees with it."""
    files = []
    for number, n_layers in enumerate((2, 4, 30)):
        graph = neuronpedia()
        graph["metadata"]["feature_details"] = {"neuronpedia_source_set": f"set-{number}"}
        for each in graph["nodes"]:
            if each["feature_type"] == "logit":
                each["layer"] = str(n_layers + 1)
        files.append(tmp_path / f"{number}.json")
        files[-1].write_bytes(encode(graph))
    for paths in [files] if together else [[each] for each in files]:
        assert run(database, *paths).problems == []
    assert database.read("MATCH (m:Model) RETURN m.id AS id, m.n_layers AS n") == [
        {"id": "gemma-2-2b", "n": 2}
    ]
    assert list(check(database)) == []


def test_a_later_file_names_the_model(database: Database, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(encode(circuit_tracer()))
    other = circuit_tracer()
    other["links"][0]["weight"] = 7.0
    (tmp_path / "z.json").write_bytes(encode(other))
    save_pt(tmp_path / "b.pt", pt_values() | {"scan": "org/clt@0123456789abcdef"})
    assert counts(run(database, tmp_path)) == (3, 0, 0)
    assert models(database) == [(SET, "model")]


def test_a_person_names_the_model(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(encode(circuit_tracer()))
    run(database, path)
    assert models(database) == [(SET, "model of org/clt")]
    for name in ("gemma", "gemma-2-2b"):
        assert counts(run(database, path, given=Given(model=name))) == (0, 1, 0)
        assert models(database) == [(SET, name)]
    run(database, path)
    assert models(database) == [(SET, "gemma-2-2b")]


def test_what_a_model_says_itself_is_not_changed_by_files(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(encode(circuit_tracer()))
    run(database, path)
    own = Model("gemma-2-2b", "c0ffee", "Gemma2ForCausalLM", 26, 2304, 256000)
    transcoders = TranscoderSet("org/clt", "0123456789ab", "clt", "relu", "in", "out", 9, own.id)
    assert assign_model(database, transcoders, own) == own
    assert models(database) == [(SET, "gemma-2-2b@c0ffee")]
    facts = database.read("MATCH (t:TranscoderSet) RETURN properties(t) AS said")[0]["said"]
    assert facts == {
        "id": SET,
        "name": "org/clt",
        "revision": facts["revision"],
        "kind": "clt",
        "activation": "relu",
        "input_hook": "in",
        "output_hook": "out",
        "n_features": 9,
    }
    summary = run(database, path, given=Given(model="another"))
    assert models(database) == [(SET, "gemma-2-2b@c0ffee")]
    assert summary.notes == {
        str(path): [f"--model is ignored: the transcoders {SET} are known to belong to gemma-2-2b@c0ffee"]
    }


def test_what_was_drawn_since_is_added(database: Database, tmp_path: Path) -> None:
    graph = neuronpedia()
    plain = graph | {"qParams": {}}
    plain["nodes"] = [graph["nodes"][0] | {"clerp": ""}, *graph["nodes"][1:]]
    (tmp_path / "plain.json").write_bytes(encode(plain))
    run(database, tmp_path / "plain.json")
    before = database.read("MATCH ()-[e:ATTRIBUTES|USES|DRIVES]->() RETURN count(e) AS n, sum(e.weight) AS w")
    (tmp_path / "drawn.json").write_bytes(encode(graph))
    for added in ((2, 2), (0, 0)):
        summary = run(database, tmp_path)
        assert (summary.loaded, summary.supernodes, summary.labels) == (0, *added)
        assert ("; added to circuits that were there: 2 supernodes, 2 labels (" in summary.sentence()) == any(
            added
        )
        wanted = read_graph(encode(graph), "x").circuit
        found = read_circuit(database, wanted.id)
        assert (found.labels, found.supernodes) == (wanted.labels, wanted.supernodes)
        assert before == database.read(
            "MATCH ()-[e:ATTRIBUTES|USES|DRIVES]->() RETURN count(e) AS n, sum(e.weight) AS w"
        )


def test_an_import_with_other_tags_adds_them_and_says_which_family_stays(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_bytes(encode(neuronpedia()))
    run(database, tmp_path, given=Given(family="first", tags=("x",)))
    again = run(database, tmp_path, given=Given(family="second", tags=("x", "y")))
    assert (again.present, again.tagged, again.other_family) == (1, 1, 1)
    assert again.sentence().startswith(
        "0 circuits imported, 1 was there already; new tags for the prompts of 1 circuit; the prompts of 1 "
        "circuit keep the family that they had; `atlas family` moves prompts ("
    )
    prompt = read_circuit(database, read_graph(encode(neuronpedia()), "x").circuit.id).prompt
    assert (prompt.family, set(prompt.tags)) == ("first", {"x", "y"})
    same = run(database, tmp_path, given=Given(tags=("y",)))
    assert (same.present, same.tagged, same.other_family) == (1, 0, 0)


@pytest.mark.parametrize("terminal", [False, True])
def test_the_bar_ends_with_what_the_summary_says(
    database: Database, tmp_path: Path, folder: Path, terminal: bool
) -> None:
    said = io.StringIO()
    console = Console(file=said, width=120, force_terminal=terminal)
    summary = import_files(database, ImportSettings((folder,)), console=console)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.getvalue()).strip().splitlines()[-1]
    n = len(list(folder.iterdir()))
    assert last.startswith(f"{n} of {n} files")
    assert last.endswith(summary.pace())
    assert f"({summary.pace()})." in summary.sentence()
    assert re.fullmatch(r"\d+\.\d kB in \d+\.\d s, (\d+\.\d kB|\d+ bytes?)/s", summary.pace())
    assert (f"{n} files to import\n" in said.getvalue()) != terminal


@pytest.mark.parametrize(
    ("n_bytes", "pace"),
    [
        (0, "0 bytes in 2.0 s, 0 bytes/s"),
        (500, "500 bytes in 2.0 s, 250 bytes/s"),
        (31_200, "31.2 kB in 2.0 s, 15.6 kB/s"),
        (1_500_000, "1.5 MB in 2.0 s, 750.0 kB/s"),
        (37_000_000, "37.0 MB in 2.0 s, 18.5 MB/s"),
        (4_800_000_000, "4.8 GB in 2.0 s, 2.4 GB/s"),
    ],
)
def test_sizes_and_rates_have_a_unit_that_fits(n_bytes: int, pace: str) -> None:
    assert ImportSummary(n_bytes=n_bytes, _started=0.0, _ended=2.0).pace() == pace


def test_a_graph_that_the_database_refuses_is_named_and_the_rest_goes_on(
    database: Database, tmp_path: Path
) -> None:
    for number, graph in enumerate((circuit_tracer(), neuronpedia())):
        (tmp_path / f"{number}.json").write_bytes(encode(graph))
    second = read_graph(encode(neuronpedia()), "x").circuit
    taken = {"id": f"{second.id}/{second.nodes[0].key}"}
    database.write("CREATE (:Node {id: $id})", taken)
    broken = run(database, tmp_path)
    assert counts(broken) == (1, 0, 1)
    assert "1.json: the graph: Neo4j refused" in str(broken.problems[0])
    (entry,) = ledger.runs(database)
    assert (entry.n_loaded, entry.n_refused) == (1, 1)
    database.write("MATCH (n:Node {id: $id}) WHERE NOT (n)--() DELETE n", taken)
    assert counts(run(database, tmp_path)) == (1, 1, 0)


def test_traces_are_added_to_a_circuit_that_lacks_them(database: Database, tmp_path: Path) -> None:
    graph = crm()
    plain = crm()
    del plain["nodes"][2]["qk_tracing_results"], plain["qk_only_nodes"]
    wanted = read_graph(encode(graph), "x").circuit
    for number, each in enumerate((plain, graph, plain)):
        (tmp_path / f"{number}.json").write_bytes(encode(each) + b" " * number)
        assert run(database, tmp_path / f"{number}.json").traces == (number == 1)
        assert read_circuit(database, wanted.id).qk_tracing == (wanted.qk_tracing if number else None)


def test_our_own_exports_are_there_already(database: Database, tmp_path: Path) -> None:
    circuits = synthetic_circuits(3)
    for number, circuit in enumerate(circuits):
        load_circuit(database, circuit, RUN)
        (tmp_path / f"{number}.json").write_bytes(encode(to_json(circuit)))
    assert counts(run(database, tmp_path)) == (0, 3, 0)


def test_a_wrong_path_says_so(database: Database, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        run(database, tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no"):
        run(database, tmp_path)


def test_feature_files_bring_labels_and_examples(database: Database, tmp_path: Path) -> None:
    graphs, features = tmp_path / "graphs", tmp_path / "features"
    graphs.mkdir()
    (graphs / "hi.json").write_bytes(encode(circuit_tracer()))
    write_feature_index(features, {0: {3: feature(3), 4: feature(4)}, 1: {}}, width=6)
    single = tmp_path / "single"
    single.mkdir()
    (single / f"{cantor(1, 40000)}.json").write_bytes(encode(feature(40000, seed=1)))
    (single / f"{cantor(9, 9)}.json").write_bytes(encode(feature(9)))
    (single / "no number.json").write_bytes(encode(feature(9)))
    summary = run(database, graphs, features, single)
    assert (summary.loaded, summary.features, summary.strangers, len(summary.problems)) == (1, 2, 1, 1)
    query = """
    MATCH (f:Feature) OPTIONAL MATCH (l:Label)-[:LABELS]->(f)
    RETURN f.index AS index, f.promotes AS promotes, l.text AS label, l.method AS method,
           [(e:Example)-[:EXAMPLE_OF]->(f) | e.maximum] AS examples ORDER BY index
    """
    rows = database.read(query)
    wanted = []
    for index, seed in ((3, 0), (40000, 1)):
        contexts = feature(index, seed)["examples_quantiles"][0]["examples"]
        wanted.append(
            (index, ["up"], f"feature {index}", sorted(max(c["tokens_acts_list"]) for c in contexts))
        )
    assert [(r["index"], r["promotes"], r["label"], sorted(r["examples"])) for r in rows] == wanted
    before = dump(database)
    run(database, graphs, features, single)
    assert dump(database) == before


def test_a_damaged_feature_index_does_not_stop_the_rest(database: Database, tmp_path: Path) -> None:
    (tmp_path / "hi.json").write_bytes(encode(circuit_tracer()))
    write_feature_index(tmp_path / "features", {0: {3: feature(3)}, 1: {}}, width=6)
    (tmp_path / "features" / "layer_0.bin").write_bytes(b"\x10\x00\x00\x00garbage")
    summary = run(database, tmp_path)
    assert counts(summary) == (1, 0, 1)
    assert "layer_0.bin" in str(summary.problems[0])
    (tmp_path / "features" / "index.json.gz").write_bytes(
        gzip.compress(b'[{"filename": "../x", "offsets": [0, 0, 0, 0, 9]}]')
    )
    assert "is not a plain file name" in str(run(database, tmp_path, given=Given(tags=("x",))).problems)


def test_mutated_files_leave_whole_circuits_only(database: Database, tmp_path: Path) -> None:
    mutated = files(40, seed=11)
    kept: dict[str, Any] = {}
    for number, (_, data) in enumerate(mutated):
        name = f"{number:02}.json"
        (tmp_path / name).write_bytes(data)
        circuit = read_or_refuse(data, name)
        if circuit is not None:
            kept.setdefault(circuit.id, circuit)
    summary = run(database, tmp_path)
    assert summary.loaded == len(kept) > 5
    assert summary.loaded + summary.present + len(summary.problems) == 40
    assert set(circuit_ids(database, [])) == set(kept)
    edges = database.read(
        "MATCH (c:Circuit) RETURN c.id AS id, COUNT { (c)-[:HAS]->(n:Node) } AS nodes, "
        "COUNT { (c)-[:HAS]->(:Node)-[:ATTRIBUTES]->() } AS edges"
    )
    assert {row["id"]: (row["nodes"], row["edges"]) for row in edges} == {
        id: (len(circuit.nodes), len(circuit.edges)) for id, circuit in kept.items()
    }
    for circuit in kept.values():
        found = read_circuit(database, circuit.id)
        assert (found.prompt.text, found.edges) == (circuit.prompt.text, circuit.edges)
        assert [n.key for n in found.nodes] == [n.key for n in circuit.nodes]


def test_the_commands(
    database: Database, cli: Cli, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("out")
    (folder / "bad.json").write_text("{}")
    imported = cli("import", folder, "--family", "greetings", "--tag", "x")
    assert imported.exit_code == 1
    assert f"{len(ALL) + 1} circuits imported, 1 was there already, 1 file refused (" in imported.stdout
    assert "bad.json: the file: Object missing required field `metadata`" in imported.stderr
    exported = cli("export", "greetings", "--out", out)
    assert exported.exit_code == 0, exported.stderr
    assert f"{len(ALL) + 1} circuits written" in exported.stderr
    assert len(list(out.iterdir())) == len(ALL) + 1
    again = cli("import", out)
    assert again.exit_code == 0, again.stderr
    assert f"0 circuits imported, {len(ALL) + 1} were there already" in again.stdout
