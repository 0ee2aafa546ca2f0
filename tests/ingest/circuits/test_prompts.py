"""Prompt files: the good lines are read, each bad one is named by its number and the rest goes on."""

import json
from pathlib import Path

import pytest

from ingest.circuits.prompts import PromptLine, read_prompts
from schema.errors import InputError


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines(tmp_path):
    text = '{"prompt": "a b", "family": "f", "expected": "c", "tags": ["x:1", "y", "x:1"], "pair": "p"}\n\n'
    found = read_prompts(write(tmp_path, "p.jsonl", text + '{"prompt": "line\u2028end"}'))
    assert found.problems == []
    assert found.prompts == [
        PromptLine(1, "a b", family="f", expected="c", tags=("x:1", "y"), pair="p"),
        PromptLine(3, "line\u2028end"),
    ]


def test_several_answers_may_be_right(tmp_path):
    found = read_prompts(write(tmp_path, "p.jsonl", '{"prompt": "a", "expected": ["b", "c d", "c d"]}\n'))
    assert found.prompts == [PromptLine(1, "a", expected="b", accepted=("c d",))]
    assert found.prompts[0].answers == ("b", "c d")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"prompt": "a"', "not valid JSON"),
        ('["a"]', "expected an object, found list"),
        ('{"family": "f"}', "`prompt` is missing or empty"),
        ('{"prompt": "  "}', "`prompt` is missing or empty"),
        ('{"prompt": 3}', "`prompt` is missing or empty"),
        ('{"prompt": "a", "familly": "f"}', "unknown key 'familly'"),
        ('{"prompt": "a", "tags": "x"}', "`tags` is not a list of strings"),
        ('{"prompt": "a", "expected": 7}', "`expected` is neither a text nor a list of texts"),
        ('{"prompt": "a", "expected": ["b", " "]}', "`expected` is neither a text nor a list of texts"),
        ("NaN", "not valid JSON"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(tmp_path, line, what):
    found = read_prompts(write(tmp_path, "p.jsonl", f'{{"prompt": "good"}}\n{line}\n{{"prompt": "too"}}\n'))
    assert [prompt.line for prompt in found.prompts] == [1, 3]
    (problem,) = found.problems
    assert problem.what.startswith(f"p.jsonl, line 2: {what}")
    assert problem.next_step


def test_csv(tmp_path):
    found = read_prompts(write(tmp_path, "p.csv", 'prompt,family,tags\n"a, b",f,x y\nc,,\n'))
    assert found.problems == []
    assert found.prompts == [PromptLine(2, "a, b", family="f", tags=("x", "y")), PromptLine(3, "c")]


def test_csv_without_the_column(tmp_path):
    with pytest.raises(InputError, match="no column `prompt`"):
        read_prompts(write(tmp_path, "p.csv", "text,family\na,f\n"))


def test_csv_with_too_many_columns(tmp_path):
    found = read_prompts(write(tmp_path, "p.csv", "prompt,family\na,f,g\nb,f\n"))
    assert [problem.what for problem in found.problems] == ["p.csv, line 2: unknown key '(too many columns)'"]
    assert [prompt.prompt for prompt in found.prompts] == ["b"]


def test_plain_text(tmp_path):
    assert read_prompts(write(tmp_path, "p.txt", "a b\n\nc\n")).prompts == [
        PromptLine(1, "a b"),
        PromptLine(3, "c"),
    ]


def test_a_file_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="There is no prompts file"):
        read_prompts(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="is a folder"):
        read_prompts(tmp_path)
    with pytest.raises(InputError, match="contains no prompts"):
        read_prompts(write(tmp_path, "p.jsonl", "\n"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "caf\xe9"}')
    with pytest.raises(InputError, match=r"is not UTF-8 text \(byte 15\)"):
        read_prompts(tmp_path / "latin.jsonl")


def test_a_list_of_json_is_read_and_its_items_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text('[\n {"prompt": "a", "family": "f"},\n {"prompt": ""},\n {"prompt": "b"}\n]')
    read = read_prompts(path)
    assert [(each.line, each.prompt) for each in read.prompts] == [(1, "a"), (3, "b")]
    assert [each.what for each in read.problems] == ["prompts.json, item 2: `prompt` is missing or empty"]


@pytest.mark.parametrize(("name", "text"), [("p.json", '["a", "b c"]'), ("p.jsonl", '"a"\n"b c"\n')])
def test_texts_in_json_are_prompts(tmp_path: Path, name: str, text: str) -> None:
    read = read_prompts(write(tmp_path, name, text))
    assert ([each.prompt for each in read.prompts], read.problems) == (["a", "b c"], [])


@pytest.mark.parametrize("name", ["p.txt", "p"])
@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ('[\n {"prompt": "a"}\n]\n', ".json"),
        ('["a"]', ".json"),
        ('{"prompt": "a"}', ".jsonl"),
        ('{"prompt": "a"}\n{"prompt": "b"}\n', ".jsonl"),
        ('\n{"prompt": "a"}\n{"prompt"\n', ".jsonl"),
    ],
)
def test_json_under_the_name_of_plain_text_is_refused(
    tmp_path: Path, name: str, text: str, ending: str
) -> None:
    with pytest.raises(InputError, match="holds JSON and no plain text") as refused:
        read_prompts(write(tmp_path, name, text))
    assert refused.value.next_step == f"end its name in {ending}"


def test_plain_text_may_begin_with_a_bracket(tmp_path: Path) -> None:
    read = read_prompts(write(tmp_path, "p.txt", "[INST] Hi\n{x} is\n"))
    assert [each.prompt for each in read.prompts] == ["[INST] Hi", "{x} is"]


def test_an_empty_name_is_none(tmp_path: Path) -> None:
    text = '{"prompt": "a", "family": "", "pair": "", "tags": ["", " ", "x"]}'
    assert read_prompts(write(tmp_path, "p.jsonl", text)).prompts == [PromptLine(1, "a", tags=("x",))]


@pytest.mark.parametrize("text", ["{}", "[", "prompt"])
def test_json_that_is_no_list_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"holds no list|is not valid JSON"):
        read_prompts(path)


def test_tabs_separate_the_columns_of_tsv(tmp_path: Path) -> None:
    path = tmp_path / "prompts.tsv"
    path.write_text("prompt\tfamily\nHi, there\tgreet\n")
    (read,) = read_prompts(path).prompts
    assert (read.prompt, read.family) == ("Hi, there", "greet")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    path.write_text("PAR1")
    with pytest.raises(InputError, match="is no prompts file"):
        read_prompts(path)


@pytest.mark.parametrize("key", ["tags", "pair", "family"])
def test_a_name_that_is_too_long_is_refused_by_line_and_the_rest_is_read(tmp_path: Path, key: str) -> None:
    path = tmp_path / "prompts.jsonl"
    value = ["x" * 9000] if key == "tags" else "x" * 9000
    path.write_text("\n".join(json.dumps(each) for each in ({"prompt": "a"}, {"prompt": "b", key: value})))
    read = read_prompts(path)
    assert [each.prompt for each in read.prompts] == ["a"]
    assert [each.what for each in read.problems] == [
        f"prompts.jsonl, line 2: `{key}`: {'x' * 40!r}… is longer than 4000 bytes"
    ]
