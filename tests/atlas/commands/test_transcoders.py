"""`atlas transcoders`: train a set, measure it, and find the figures in the database."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from schema.database import Database
from schema.errors import InputError
from tests.support.cli import Cli
from tests.support.engine import WORDS, Folders, Tiny, save


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(Tiny(), tmp_path / "tiny").model


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Texts in a file of each kind."""
    random = np.random.default_rng(0)

    def text(n: int) -> str:
        return " ".join(random.choice(WORDS, n))

    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.txt").write_text(text(200))
    (folder / "deep" / "two.md").write_text(text(100))
    lines = [json.dumps({"prompt": text(12)}) for _ in range(10)]
    (folder / "three.jsonl").write_text("\n".join([*lines, "{}"]))
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def test_a_trained_set_is_measured_and_the_figures_are_stored(
    cli: Cli,
    database: Database,
    model: Path,
    texts: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "plt"
    words: list[str | Path] = [
        "transcoders",
        "train",
        "--model",
        model,
        "--texts",
        texts,
        "--out",
        out,
        "--context",
        "12",
    ]
    options = ["--features", "24", "--l0", "4", "--skip", "--batch", "64", "--epochs", "8", "--threads", "1"]
    done = cli(*words, *options)
    assert done.exit_code == 0, done.text
    # 200, 100 and ten times 12 words in pieces of 11, less those shorter than 4.
    assert "24 features a layer, trained on 407 tokens in 48 steps a layer" in done.stdout
    assert "left out: three.jsonl, line 11" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "config.yaml", *(f"layer_{i}.safetensors" for i in range(3)), "training.json"
    ]  # fmt: skip
    assert cli(*words, *options).stdout == done.stdout

    words = ["transcoders", "measure", "--model", model, "--transcoders", out, "--texts", texts]
    found = cli(*words, "--context", "12", "--group", "0-1", "--json")
    measured = json.loads(found.stdout)
    assert measured["tokens"] == 407
    assert [each["name"] for each in measured["replacements"]] == ["all", "0-1"]
    assert [each["layer"] for each in measured["layers"]] == [0, 1, 2]
    assert all(0 < each["fvu"] < 0.7 for each in measured["layers"])
    stored = re.search(r"Stored with the transcoder set (plt@\w{12})", found.stderr)
    assert stored is not None, found.stderr
    (row,) = cli.json("stats")["sets"]
    assert (row["set"], row["circuits"]) == (stored[1], 0)
    assert row["agreement"] == pytest.approx(measured["replacements"][0]["agreement"])
    assert row["fvu"] == pytest.approx(sorted(each["fvu"] for each in measured["layers"])[1])
    # Circuits that come later keep the figures.
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "w1 w2 w3"}))
    assert cli("ingest", prompts, "--model", model, "--transcoders", out).exit_code == 0
    (later,) = cli.json("stats")["sets"]
    assert later == row | {"circuits": 1, "features": later["features"]}
    assert "consistent" in cli.printed("check")


def test_without_a_database_the_figures_are_printed_as_tables(
    cli_without_database: Cli,
    tmp_path: Path,
    texts: Path,
) -> None:
    made = save(Tiny(), tmp_path / "it")
    assert isinstance(made, Folders)
    words: list[str | Path] = [
        "transcoders",
        "measure",
        "--model",
        made.model,
        "--transcoders",
        made.transcoders,
    ]
    found = cli_without_database(*words, "--texts", texts, "--context", "12", "--tokens", "60")
    assert found.exit_code == 0, found.text
    for part in ("FVU", "dead", "agreement", "Median FVU", "of places"):
        assert part in found.stdout
    assert "The figures were not stored" in found.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--group", "0-3"], "--group '0-3' does not name layers of this model"),
        (["--texts", "{empty}"], "holds no texts"),
        (["--texts", "{empty}/none.txt"], "There is no file"),
        (["--texts", "{texts}/picture.png"], "is no text: its ending is .png"),
    ],
)
def test_bad_inputs_are_named(
    cli_without_database: Cli,
    tmp_path: Path,
    texts: Path,
    options: list[str],
    message: str,
) -> None:
    made = save(Tiny(), tmp_path / "it")
    (tmp_path / "empty").mkdir()
    words = [word.format(empty=tmp_path / "empty", texts=texts) for word in options]
    given: list[str | Path] = [] if "--texts" in words else ["--texts", texts]
    found = cli_without_database(
        *("transcoders", "measure", "--model", made.model, "--transcoders", made.transcoders),
        *("--context", "12", *given, *words),
    )
    assert found.exit_code == 1
    assert isinstance(found.error, InputError)
    assert message in str(found.error)
