"""`atlas labels import` into a real database: what is stored, again, later, and what is refused."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from schema.annotations.labels import labels_of, write_imported
from schema.circuit.records import FeatureExample, Label
from schema.database import Database
from schema.loading.read import circuit_ids, read_circuit
from tests.support.cli import Cli
from tests.support.graph_files import circuit_tracer, crm, encode, neuronpedia
from tests.support.importing import run

NP = "gemma-2-2b/gemmascope-transcoder-16k"


def explanation(
    index: int, text: str, layer: str = "0-gemmascope-transcoder-16k", **more: Any
) -> dict[str, Any]:
    return {"modelId": "gemma-2-2b", "layer": layer, "index": str(index), "description": text, **more}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def graphs(database: Database, folder: Path, **makers: Any) -> None:
    for name, make in makers.items():
        (folder / "graphs").mkdir(exist_ok=True)
        (folder / "graphs" / f"{name}.json").write_bytes(encode(make()))
    run(database, folder / "graphs")


def stored(database: Database) -> set[tuple[object, ...]]:
    rows = database.read(
        "MATCH (l:Label)-[:LABELS]->(f:Feature) RETURN f.id AS id, l.text AS text, l.method AS method, "
        "l.author AS author, l.score AS score, l.scorer AS scorer"
    )
    return {tuple(row.values()) for row in rows}


def imported(cli: Cli, *words: str | Path, code: int = 0) -> dict[str, Any]:
    outcome = cli("labels", "import", *words, "--json")
    assert outcome.exit_code == code, outcome.text
    answer: dict[str, Any] = json.loads(outcome.stdout)
    assert answer.pop("seconds") >= 0
    return answer


NOTHING = {
    "labels": 0,
    "present": 0,
    "features_with_examples": 0,
    "rows_of_no_circuit": 0,
    "rows_without_text": 0,
    "rows_of_unknown_sets": {},
    "files": 1,
    "n_refused": 0,
    "refused": [],
}


def test_writers_of_the_same_labels_do_not_disturb_each_other(database: Database, tmp_path: Path) -> None:
    graphs(database, tmp_path, a=neuronpedia)
    before = stored(database)
    labels = [Label(0, 3, f"text {n}", "m", "a", n / 2000 if n % 2 else None) for n in range(2000)]
    # The second writer believes that the database has none of the labels.
    parts: tuple[tuple[list[Label], dict[str, bool] | None], ...] = ((labels, None), (labels[::-1], {}))
    with ThreadPoolExecutor(2) as writers:
        halves = writers.map(lambda part: write_imported(database, NP, *part), parts)
        assert [sum(each) for each in zip(*halves, strict=True)] == [2000, 2000]
    wanted = {(f"{NP}/0/3", each.text, "m", "a", each.score, None) for each in labels}
    assert stored(database) == before | wanted
    (count,) = database.read("MATCH (l:Label {method: 'm'})-[r:LABELS]->() RETURN count(r) AS n")
    assert count == {"n": 2000}


def test_what_is_known_of_the_labels_changes_nothing_of_what_is_stored(
    database: Database, tmp_path: Path
) -> None:
    graphs(database, tmp_path, a=neuronpedia)
    labels = [Label(0, 3, f"text {n % 7}", "m", "a", None if n % 3 else n / 40) for n in range(40)]

    def at_once(known: dict[str, bool] | None) -> list[tuple[int, int]]:
        return [write_imported(database, NP, labels[n : n + 10], known) for n in range(0, 40, 10)]

    def one_by_one() -> None:
        for label in labels:
            write_imported(database, NP, [label])

    found = []
    for write_all in (one_by_one, lambda: at_once(None), lambda: at_once(labels_of(database, NP))):
        database.write("MATCH (l:Label {method: 'm'}) DETACH DELETE l")
        write_all()
        found.append(stored(database))
        assert at_once(labels_of(database, NP)) == [(0, 7)] * 4
        assert stored(database) == found[-1]
    assert found[0] == found[1] == found[2]
    assert len([each for each in found[0] if each[2] == "m"]) == 7


def test_explanations_again_and_after_more_imports(database: Database, cli: Cli, tmp_path: Path) -> None:
    graphs(database, tmp_path, a=neuronpedia)
    before = stored(database)
    made = {"typeName": "np_max-act", "explanationModelName": "gpt-4o-mini"}
    path = write(
        tmp_path / "batch-0.jsonl.gz",
        explanation(3, "greetings", **made),
        explanation(3, "greetings", **made),
        explanation(3, "hello", **made, scores=[{"value": 0.5, "explanationScoreTypeName": "recall_alt"}]),
        explanation(4, "of no circuit"),
        explanation(3, " "),
        explanation(3, "elsewhere", layer="0-clt-hp"),
    )
    wanted = {
        **NOTHING,
        "labels": 2,
        "rows_of_no_circuit": 1,
        "rows_without_text": 1,
        "rows_of_unknown_sets": {"gemma-2-2b/clt-hp": 1},
    }
    assert imported(cli, path) == wanted
    new = {
        (f"{NP}/0/3", "greetings", "np_max-act", "gpt-4o-mini", None, None),
        (f"{NP}/0/3", "hello", "np_max-act", "gpt-4o-mini", 0.5, "recall_alt"),
    }
    assert stored(database) == before | new
    assert imported(cli, path) == {**wanted, "labels": 0, "present": 2}
    assert stored(database) == before | new

    def clt() -> Any:
        graph = neuronpedia()
        graph["metadata"]["feature_details"] = {"neuronpedia_source_set": "clt-hp"}
        graph["nodes"][0]["clerp"] = ""
        graph["qParams"] = {}
        return graph

    graphs(database, tmp_path, b=clt)
    answer = imported(cli, path)
    assert (answer["labels"], answer["present"], answer["rows_of_unknown_sets"]) == (1, 2, {})
    assert stored(database) == before | new | {
        ("gemma-2-2b/clt-hp/0/3", "elsewhere", "explanation", "neuronpedia", None, None)
    }


def test_a_score_that_comes_later_is_added_and_none_is_changed(
    database: Database, cli: Cli, tmp_path: Path
) -> None:
    graphs(database, tmp_path, a=circuit_tracer)
    for score in ("", 0.25, 0.75):
        (tmp_path / "a.csv").write_text(f"layer,index,text,author,method,score\n0,3,hello,ada,hand,{score}\n")
        imported(cli, tmp_path / "a.csv")
    assert stored(database) == {("org/clt@0123456789ab/0/3", "hello", "hand", "ada", 0.25, None)}
    (circuit,) = circuit_ids(database, [])
    assert read_circuit(database, circuit).labels == (Label(0, 3, "hello", "hand", "ada", 0.25),)


def test_the_set_is_named_by_the_file_or_the_user_or_is_the_only_one(
    database: Database, cli: Cli, tmp_path: Path
) -> None:
    graphs(database, tmp_path, a=circuit_tracer)
    table = tmp_path / "a.csv"
    table.write_text("layer,index,my label\n0,3,hello\n")
    assert imported(cli, table, "--column", "text=my label")["labels"] == 1
    graphs(database, tmp_path, b=neuronpedia)
    outcome = cli("labels", "import", table, "--column", "text=my label")
    assert outcome.exit_code == 1
    said = outcome.stderr.replace("\n", "")
    assert "a.csv: the file: does not say which transcoders" in said
    assert all(name in said for name in ("org/clt@0123456789ab", NP))
    for name, new in (("org/clt", 0), ("org/clt@0123456789ab", 0), (NP, 1)):
        answer = imported(cli, table, "--column", "text=my label", "--transcoders", name)
        assert (answer["labels"], answer["present"]) == (new, 1 - new)
    wrong = cli("labels", "import", table, "--transcoders", "nobody")
    assert "The database has no transcoder set 'nobody'" in wrong.stderr
    assert "org/clt@0123456789ab" in wrong.stderr
    assert "is not WHAT=NAME" in cli("labels", "import", table, "--column", "colour=red").stderr


def test_features_of_attention_have_a_set_of_their_own(database: Database, cli: Cli, tmp_path: Path) -> None:
    graphs(database, tmp_path, a=crm)
    rows = [
        {"modelId": "qwen3-1.7b", "layer": f"0-{name}", "index": 3, "description": name}
        for name in ("transcoder-8x", "lorsa-8x")
    ]
    assert imported(cli, write(tmp_path / "a.jsonl", *rows))["labels"] == 2
    assert {(id_, text) for id_, text, *_ in stored(database)} == {
        ("qwen3-1.7b/transcoder-8x/0/3", "transcoder-8x"),
        ("qwen3-1.7b/transcoder-8x/attention/0/3", "lorsa-8x"),
    }


def test_bad_rows_are_named_with_file_and_line_and_the_others_are_loaded(
    database: Database, cli: Cli, tmp_path: Path
) -> None:
    graphs(database, tmp_path, a=circuit_tracer)
    path = tmp_path / "a.jsonl"
    path.write_text('{"layer": 0, "index": 3, "text": "hello"}\n{"layer": 0}\n{"layer": 1\n')
    answer = imported(cli, path, code=1)
    assert (answer["labels"], answer["n_refused"]) == (1, 2)
    assert [(each["file"], each["key"]) for each in answer["refused"]] == [
        (str(path), "line 2: index"),
        (str(path), "line 3"),
    ]
    again = cli("labels", "import", path)
    assert again.exit_code == 1
    assert "0 new labels, 1 there already; 2 rows or files refused (1 file in" in again.stdout.replace(
        "\n", " "
    )


def test_an_export_with_activations_and_features(database: Database, cli: Cli, tmp_path: Path) -> None:
    graphs(database, tmp_path, a=neuronpedia)
    export = tmp_path / "export" / "0-gemmascope-transcoder-16k"
    feature = {"modelId": "gemma-2-2b", "layer": "0-gemmascope-transcoder-16k", "index": "3"}
    activations = [{**feature, "tokens": ["a", str(n)], "values": [0, n]} for n in range(25)]
    write(export / "source.jsonl", feature)
    write(export / "explanations" / "batch-0.jsonl.gz", explanation(3, "hello"))
    write(export / "activations" / "batch-0.jsonl.gz", *activations, {**activations[0], "index": "9"})
    write(
        export / "features" / "batch-0.jsonl.gz",
        {**feature, "pos_str": ["up"], "neg_str": ["down"], "frac_nonzero": 0.25},
    )
    answer = imported(cli, tmp_path / "export")
    assert answer == {
        **NOTHING,
        "labels": 1,
        "features_with_examples": 1,
        "rows_of_no_circuit": 1,
        "files": 3,
    }
    imported(cli, tmp_path / "export")
    (row,) = database.read(
        "MATCH (f:Feature {id: $id}) RETURN f.promotes AS p, f.suppresses AS s, f.density AS d",
        {"id": f"{NP}/0/3"},
    )
    assert row == {"p": ["up"], "s": ["down"], "d": 0.25}
    rows = database.read(
        "MATCH (e:Example)-[:EXAMPLE_OF]->(f) RETURN f.id AS id, e.tokens AS t, e.activations AS a "
        "ORDER BY e.maximum DESC"
    )
    assert {row["id"] for row in rows} == {f"{NP}/0/3"}
    assert [FeatureExample(tuple(row["t"]), tuple(row["a"])) for row in rows] == [
        FeatureExample(("a", str(n)), (0.0, float(n))) for n in range(24, 4, -1)
    ]
