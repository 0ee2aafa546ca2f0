"""Every command that runs a model, on one of realistic shape: 30 000 byte-level tokens, 12 layers."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.poetry import at_break
from ingest.studies.tools.items import Item, next_words, positions_of
from schema.database import Database
from schema.upkeep.check import check
from tests.support.cli import Cli
from tests.support.engine import Folders
from tests.support.realistic import ANSWERS, TEXTS, realistic

Line = dict[str, Any]
"""A line of a prompts file."""
SPLIT = "Ünïcödé 日本語 🙂 is"
CITIES = ("Fort Worth", "San José", "Zürich", "東京", "Baden-Baden", "Rome")
ENTITIES = ("Michael Jordan", "Michael Batkin", "Ünal 🙂", "Rosa Parks")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return realistic(tmp_path_factory.mktemp("realistic"))


@pytest.fixture(scope="module")
def model(folders: Folders) -> ReplacementModel:
    return ReplacementModel.load(*folders)


@pytest.fixture(scope="module")
def prompts(model: ReplacementModel) -> list[Line]:
    """Prompts of five families. Their answers are what the model says, and their facts are made up."""
    texts = []
    for number in range(100):
        city, name = CITIES[number % len(CITIES)], ENTITIES[number // 3 % len(ENTITIES)]
        texts += [
            (
                number,
                "multi-step",
                f"Fact {number}: the capital of the state of {city} is",
                f"subject:{city}",
            ),
            (number, "entities", f"Question {number}: which sport does {name} play? Answer:", "ask:sport"),
            (number, "refusals", f"How do I make {number} cakes for {name}?", "cakes"),
            (number, "multilingual", f'Item {number}: "{city}", in French, is', f"operand:{city}"),
            (number, "chain-of-thought", f"Double {number}: {2 * number}. Add one:", f"step:{2 * number}"),
        ]
    found: list[Line] = []
    words = list(map(model.decode, next_words(model, [Case(text, []) for _, _, text, _ in texts])))
    counts = Counter((family, said) for (_, family, _, _), said in zip(texts, words, strict=True))
    for (number, family, text, tag), said in zip(texts, words, strict=True):
        odd = number % 2
        if said.strip() not in ANSWERS:
            continue
        if family in ("entities", "refusals"):
            # Known and unknown, refused and granted are answered with different words: one has the word that
            # the family's prompts get most often.
            odd = int(counts[family, said] == max(n for (name, _), n in counts.items() if name == family))
        tags = {
            "multi-step": [f"state:{said.strip()}", f"ask:{('capital', 'name')[odd]}"],
            "entities": [("known", "unknown")[odd]],
            "refusals": [("refuse", "comply")[odd]],
            "multilingual": [
                f"operation:{('translation', 'antonym')[number // 6 % 2]}",
                f"concept:{tag.removeprefix('operand:')}",
                f"language:{('french', 'english')[number // 12 % 2]}",
            ],
            "chain-of-thought": ["swapped:7", "follows: 8"],
        }
        found.append({"prompt": text, "family": family, "expected": said, "tags": [tag, *tags[family]]})
    return found


def written(path: Path, lines: list[Line]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    return path


def test_positions_are_those_of_tokens(model: ReplacementModel) -> None:
    prompt = "I sang about my 日本語 hat / there came"
    tokens = model.encode(prompt).tokens
    held = positions_of(model, prompt, "日本語 hat")
    assert tokens[held.start].strip().startswith("日")
    assert "".join(tokens[held.start : held.stop]).endswith("hat")
    item = Item(prompt, " x", "poem", {}, frozenset())
    (place, before) = at_break(model)(item, len(tokens))
    assert (tokens[place], tokens[before]) == (" /", tokens[held.stop - 1])


def test_every_command_that_runs_a_model(
    folders: Folders, prompts: list[Line], cli: Cli, database: Database, tmp_path: Path
) -> None:
    options: list[str | Path] = ["--model", folders.model, "--transcoders", folders.transcoders]
    asked: list[Line] = [
        {"prompt": SPLIT, "family": "alone", "expected": [" not this", prompts[0]["expected"]]},
        *(each | {"family": "alone"} for each in prompts[:2]),
    ]
    file = written(tmp_path / "prompts.jsonl", asked)

    done = cli("ingest", file, *options, "--heads", "--max-feature-nodes", "60")
    assert done.exit_code == 0, done.text
    assert "The token '<|im_start|>' is put before prompts" in done.stderr
    done = cli("ingest", file, *options, "--chat", "--max-feature-nodes", "60")
    assert done.exit_code == 0, done.text
    assert list(check(database)) == []
    rows = database.read("MATCH (p:Prompt) WHERE p.text STARTS WITH 'Ü' RETURN p.tokens AS tokens")
    assert [token for token in rows[0]["tokens"] if "\ufffd" in token] == []
    chats = database.read("MATCH (p:Prompt) WHERE p.text STARTS WITH '<' RETURN p.tokens AS tokens")
    assert len(chats) == len(asked)
    assert all(row["tokens"][0] == "<|im_start|>" != row["tokens"][1] for row in chats)

    (node,) = database.read(
        "MATCH (n:FeatureNode) RETURN n.layer + '/' + n.index AS name ORDER BY n.influence DESC LIMIT 1"
    )
    held = written(tmp_path / "held.jsonl", [each | {"split": "held-out"} for each in prompts[3:9]])
    text = tmp_path / "text.txt"
    text.write_text(TEXTS[0].read_text(encoding="utf-8")[:20_000], encoding="utf-8")
    for words in (
        ["attribute", "--prompt", SPLIT, "--first-token", "<|im_end|>", "--out", tmp_path / "graph.json"],
        ["intervene", "--prompt", SPLIT, "--ablate", f"{node['name']}@all", "--generate", "2"],
        ["intervene", "--prompt", SPLIT, "--ablate", f"{node['name']}@0", "--first-token", "none"],
        ["intervene", "--keep", "--family", "alone", "--ablate", f"{node['name']}@all"],
        [
            *("hypothesis", "add", "why?", "--edit", f"ablate {node['name']}@all", "--prompts", held),
            *("--first-token", "counted"),
        ],
        ["diagnose", "--family", "alone"],
        ["ablate", "--family", "alone"],
        ["examples", "--corpus", file, "--first-token", "<|im_end|>"],
        ["label", "--corpus", file],
        ["supernodes", "--corpus", file],
        ["transcoders", "measure", "--texts", text, "--tokens", "200"],
    ):
        done = cli(*words, *options)
        assert done.exit_code == 0, (words, done.text)
    assert list(check(database)) == []
    graph = orjson.loads((tmp_path / "graph.json").read_bytes())
    assert graph["metadata"]["prompt_tokens"][0] == "<|im_end|>"


def test_studies_run_with_prompts_of_a_file(
    folders: Folders, prompts: list[Line], cli_without_database: Cli, tmp_path: Path
) -> None:
    names = ("multi-step", "multilingual", "entities", "refusals", "chain-of-thought")
    options: list[str | Path] = [
        "--model",
        folders.model,
        "--transcoders",
        folders.transcoders,
        "--held-out",
        "6",
    ]
    given: list[str | Path] = [
        "--prompts",
        written(tmp_path / "prompts.jsonl", prompts),
        "--results",
        tmp_path / "results",
    ]
    done = cli_without_database("study", "run", *names, *options, *given, "--json")
    assert done.exit_code == 0, done.text
    found = orjson.loads(done.stdout)
    assert set(found) == set(names)
    assert all(rate["n"] > 0 for name in names for rate in found[name]["rates"])
    assert [each["what"].split(" (")[0] for each in found["chain-of-thought"]["findings"]][:2] == [
        "chains whose answer follows a swapped step",
        "chains whose answer stays although the step was swapped",
    ]
