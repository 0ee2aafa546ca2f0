"""Files of labels: exports of Neuronpedia and delphi, and tables, row by row."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schema.circuit.records import FeatureExample, FeatureNotes
from schema.errors import FileError, InputError
from schema.formats.labels import LabelInFile, TableColumns, find_labels, read_labels

ROW = {
    "id": "abc",
    "modelId": "gemma-2-2b",
    "layer": "20-gemmascope-transcoder-16k",
    "index": "123",
    "authorId": "clkht01d40000jv08hvalcvly",
    "description": "say the word you",
    "embedding": "[0.1,0.2]",
    "typeName": "oai_token-act-pair",
    "explanationModelName": "gpt-4o-mini",
    "umap_x": 0,
}
"""A row of Neuronpedia's export of explanations."""
SET = "gemma-2-2b/gemmascope-transcoder-16k"
LABEL = LabelInFile(SET, 20, 123, "say the word you", "oai_token-act-pair", "gpt-4o-mini")


def found(path: Path, columns: TableColumns = TableColumns({})) -> list[Any]:  # noqa: B008  immutable
    return list(read_labels(path, columns))


def lines(folder: Path, *rows: object, name: str = "batch-0.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.json.gz", "a list.json", "one.json.gz", "A.JSON.GZ"]
)
def test_explanations_of_neuronpedia(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rows = [ROW] if name.startswith("one") else [ROW, {**ROW, "index": 7, "layer": "0-clt-hp"}]
    text = json.dumps(rows if "list" in name else ROW) if len(rows) == 1 or "list" in name else ""
    data = (text or "\n".join(map(json.dumps, rows))).encode()
    path.write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    other = LabelInFile("gemma-2-2b/clt-hp", 0, 7, LABEL.text, LABEL.method, LABEL.author)
    assert found(path) == [LABEL, other][: len(rows)]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"explanationModelName": None}, {"author": "neuronpedia"}),
        ({"explanationModelName": None, "author": {"name": "Ada"}}, {"author": "Ada"}),
        ({"typeName": None}, {"method": "explanation"}),
        (
            {"scores": [{"value": 0.75, "explanationScoreTypeName": "recall_alt"}]},
            {"score": 0.75, "scorer": "recall_alt"},
        ),
        (
            {
                "scores": [
                    {"value": 0.5, "explanationScoreTypeName": "recall_alt"},
                    {"value": 0.25, "explanationScoreTypeName": "eleuther_fuzz"},
                    {"value": 1.5, "explanationScoreTypeName": "eleuther_recall"},
                ]
            },
            {"score": 0.25, "scorer": "eleuther_fuzz"},
        ),
        ({"scores": []}, {}),
    ],
)
def test_author_method_and_score_are_kept(
    tmp_path: Path, change: dict[str, Any], wanted: dict[str, Any]
) -> None:
    (label,) = found(lines(tmp_path, {**ROW, **change}))
    plain = {name: getattr(LABEL, name) for name in LABEL.__slots__}
    assert label == LabelInFile(**{**plain, **wanted})


def test_activations_and_features_of_neuronpedia(tmp_path: Path) -> None:
    feature = {key: ROW[key] for key in ("modelId", "layer", "index")}
    activation = {**feature, "tokens": ["a", "b"], "values": [0, 1.5], "maxValue": 1.5}
    facts = {**feature, "pos_str": ["up"], "neg_str": ["down"], "frac_nonzero": 0.25, "vector": []}
    path = lines(tmp_path, activation, facts, {**facts, "frac_nonzero": 0})
    example = FeatureExample(("a", "b"), (0.0, 1.5))
    assert found(path) == [
        FeatureNotes(20, 123, None, (example,), (), (), SET),
        FeatureNotes(20, 123, None, (), ("up",), ("down",), SET, 0.25),
        FeatureNotes(20, 123, None, (), ("up",), ("down",), SET, None),
    ]
    whole = {
        **facts,
        "explanations": [{"description": "hello", "typeName": "t"}],
        "activations": [activation],
    }
    assert found(lines(tmp_path, whole)) == [
        LabelInFile(SET, 20, 123, "hello", "t", "neuronpedia"),
        FeatureNotes(20, 123, None, (example,), (), (), SET),
        FeatureNotes(20, 123, None, (), ("up",), ("down",), SET, 0.25),
    ]


def test_feature_files_as_lines(tmp_path: Path) -> None:
    row = {
        "layer": 3,
        "index": 4,
        "transcoders": "org/clt",
        "clerp": "",
        "top_logits": ["up"],
        "examples_quantiles": [
            {"quantile_name": "Top", "examples": [{"tokens": ["a"], "tokens_acts_list": [n]} for n in (1, 2)]}
        ],
    }
    examples = (FeatureExample(("a",), (2.0,)), FeatureExample(("a",), (1.0,)))
    assert found(lines(tmp_path, row)) == [FeatureNotes(3, 4, None, examples, ("up",), (), "org/clt")]


@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        ([], "line 2", "is no object"),
        ({**ROW, "layer": None}, "line 2: layer", "is missing"),
        ({**ROW, "layer": "all"}, "line 2: layer", "'all' names no layer"),
        ({**ROW, "layer": True}, "line 2: layer", "'True' names no layer"),
        ({**ROW, "index": "-1"}, "line 2: index", "'-1' is no index"),
        ({**ROW, "index": 1.5}, "line 2: index", "'1.5' is no index"),
        ({**ROW, "description": 3}, "line 2: text", "is no text"),
        ({**ROW, "description": None}, "line 2", "has no description or text or label or explanation"),
        (
            {"layer": 0, "index": 0, "text": "a", "score": 1.5},
            "line 2: score",
            "'1.5' is no number from 0 to 1",
        ),
        ({**ROW, "tokens": ["a"], "values": []}, "line 2: values", "has not one activation for each token"),
        ({**ROW, "tokens": ["a"], "values": ["b"]}, "line 2: values", "are not all numbers"),
        ({**ROW, "explanations": [1]}, "line 2: explanations", "holds something that is no object"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_the_others_follow(
    tmp_path: Path, row: Any, place: str, reason: str
) -> None:
    before, error, after = found(lines(tmp_path, ROW, row, ROW))
    assert (before, after) == (LABEL, LABEL)
    assert isinstance(error, FileError)
    assert (error.file, error.key, error.reason) == (str(tmp_path / "batch-0.jsonl"), place, reason)


def test_a_damaged_line_is_named_and_a_damaged_file_ends_there(tmp_path: Path) -> None:
    path = lines(tmp_path, ROW)
    path.write_text(path.read_text() + "{\n\n" + json.dumps(ROW))
    first, error, last = found(path)
    assert (first, last, error.key) == (LABEL, LABEL, "line 2")
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes() * 200)[:-20])
    rows = read_labels(packed, TableColumns({}))
    assert next(rows) == LABEL
    with pytest.raises(FileError, match="cannot be read"):
        list(rows)


@pytest.mark.parametrize("key", ["scores", "explanations", "activations", "neg_str", "bottom_logits"])
@pytest.mark.parametrize("value", [5, "text", {"a": 1}, True])
def test_what_should_be_a_list_and_is_none_is_named(tmp_path: Path, key: str, value: object) -> None:
    row = ROW | {"pos_str": ["a"], "examples_quantiles": [], key: value}
    (*_, error, good) = found(lines(tmp_path, row, ROW))
    assert (error.key, error.reason) == (f"line 1: {key}", "is no list")
    assert good == LABEL


@pytest.mark.parametrize(("name", "tab"), [("a.csv", ","), ("a.tsv", "\t")])
def test_whole_numbers_of_tables_may_have_a_point(tmp_path: Path, name: str, tab: str) -> None:
    (tmp_path / name).write_text(tab.join(["layer", "index", "text"]) + "\n" + tab.join(["0.0", "1.00", "a"]))
    assert found(tmp_path / name) == [LabelInFile(None, 0, 1, "a", "explanation", "unknown")]
    row = ROW | {"layer": "20-set-v1.0"}
    assert found(lines(tmp_path, row))[0].transcoders == "gemma-2-2b/set-v1.0"


def test_a_text_with_a_comma_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('layer,index,text\n0,1,a, b\n0,2,"c, d"\n0,3\n')
    bad, good, short = found(path)
    assert (bad.key, bad.reason) == ("line 2", "has more columns than the header")
    assert good == LabelInFile(None, 0, 2, "c, d", "explanation", "unknown")
    assert short.key == "line 4"


def test_a_quote_that_is_not_closed_does_not_take_the_rows_after_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('layer,index,text\n0,1,a\n0,2,"b\n0,3,c\n')
    rows = read_labels(path, TableColumns({}))
    assert next(rows) == LabelInFile(None, 0, 1, "a", "explanation", "unknown")
    with pytest.raises(FileError, match=r"after line \d: cannot be read"):
        next(rows)


def test_an_empty_text_is_no_label(tmp_path: Path) -> None:
    assert found(lines(tmp_path, {**ROW, "description": " "})) == [None]


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        separator = "\t" if ".tsv" in path.name.lower() else ","
        text = "".join(
            separator.join(map(str, line)) + "\n" for line in [rows[0], *(r.values() for r in rows)]
        )
        data = text.encode()
        path.write_bytes(gzip.compress(data) if path.suffix.lower() == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.parquet", "A.TSV.GZ", "A.CSV"])
def test_tables(tmp_path: Path, name: str) -> None:
    path = table(
        tmp_path / name,
        [
            {"layer": 3, "feature": 4, "label": "hello", "author": "ada", "method": "by hand", "score": 0.5},
            {"layer": 3, "feature": 5, "label": "you", "author": "ada", "method": "by hand", "score": 1},
        ],
    )
    assert found(path) == [
        LabelInFile(None, 3, 4, "hello", "by hand", "ada", 0.5),
        LabelInFile(None, 3, 5, "you", "by hand", "ada", 1.0),
    ]
    named = TableColumns({"text": "author", "author": "label", "index": "layer"})
    assert found(path, named)[0] == LabelInFile(None, 3, 3, "ada", "by hand", "hello", 0.5)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_what_a_table_does_not_say(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / name, [{"layer": 3, "index": 4, "what": "hello"}])
    with pytest.raises(
        FileError, match="has no column description or text or label or explanation for the text"
    ):
        found(path)
    text = {"text": "what"}
    assert found(path, TableColumns(text)) == [LabelInFile(None, 3, 4, "hello", "explanation", "unknown")]
    assert found(path, TableColumns(text, "ada", "by hand")) == [
        LabelInFile(None, 3, 4, "hello", "by hand", "ada")
    ]
    with pytest.raises(FileError, match="no column who for the author"):
        found(path, TableColumns({**text, "author": "who"}))


def delphi(folder: Path) -> Path:
    """What a run of delphi leaves."""
    (folder / "explanations").mkdir(parents=True)
    answers: list[dict[str, Any]] = [
        {"activating": active, "prediction": said, "str_tokens": []}
        for active, said in [(True, True), (True, False), (False, False), (False, None)]
    ]
    for scorer, said in (("fuzz", answers), ("detection", answers[:1]), ("simulation", {"a": 1})):
        (folder / "scores" / scorer).mkdir(parents=True)
        (folder / "scores" / scorer / "layers.5.mlp_latent12.txt").write_text(json.dumps(said))
    (folder / "run_config.json").write_text(
        json.dumps({"explainer_model": "org/llm", "sparse_model": "org/transcoders", "seed": 3})
    )
    (folder / "explanations" / "layers.5.mlp_latent12.txt").write_text(json.dumps("say you"))
    (folder / "explanations" / "transformer.h.11.mlp_latent0.txt").write_text("plain text")
    return folder


def test_delphi(tmp_path: Path) -> None:
    files = find_labels([delphi(tmp_path)])
    assert [each.path.name for each in files] == [
        "layers.5.mlp_latent12.txt",
        "transformer.h.11.mlp_latent0.txt",
    ]
    assert [found(each.path) for each in files] == [
        [LabelInFile("org/transcoders", 5, 12, "say you", "delphi", "org/llm", 0.75, "fuzz")],
        [LabelInFile("org/transcoders", 11, 0, "plain text", "delphi", "org/llm")],
    ]


def test_the_files_of_an_export_are_found(tmp_path: Path) -> None:
    export = tmp_path / "20-gemmascope-transcoder-16k"
    for part in ("explanations", "activations", "features"):
        (export / part).mkdir(parents=True)
        (export / part / "batch-0.jsonl.gz").write_bytes(gzip.compress(b""))
    for name in (
        "model.jsonl",
        "source.jsonl",
        "release.jsonl",
        "inference_hosts_on_source.jsonl",
        "._a.jsonl",
    ):
        (export / name).write_text("{}\n")
    assert [each.path.parent.name for each in find_labels([tmp_path])] == [
        "activations",
        "explanations",
        "features",
    ]
    with pytest.raises(InputError, match="does not exist"):
        find_labels([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file with labels"):
        find_labels([tmp_path / "empty"])
