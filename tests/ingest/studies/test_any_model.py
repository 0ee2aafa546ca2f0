"""Studies on a model of somebody else: what a prompts file must have, and what is measured when it has it."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from atlas.studies import results as study_results
from atlas.studies.tables import measured_tables
from ingest.engine.intervention.edits import ablate
from ingest.engine.intervention.intervene import intervene
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.all import STUDIES
from ingest.studies.modular_cortex import ablate_members, ablate_module, form_modules
from ingest.studies.multilingual import places_of
from ingest.studies.tools.concepts import activity
from ingest.studies.tools.items import Item, positions_of
from ingest.studies.tools.prompts import Needs, Prompts, Splits, bundled, from_file
from schema.errors import InputError
from tests.support.cli import Cli
from tests.support.engine import WORDS, Folders, Tiny, save
from tests.support.paths import HOME

Line = dict[str, Any]
"""A line of a prompts file."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return save(Tiny(context=32), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folders: Folders) -> ReplacementModel:
    return ReplacementModel.load(*folders)


@pytest.fixture(scope="module")
def file(model: ReplacementModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty prompts with what the model says next; their states and questions mean nothing."""
    random = Random(0)
    lines: list[dict[str, object]] = []
    while len(lines) < 60:
        number = len(lines)
        prompt = " ".join(random.sample(WORDS, 5))
        said = model.decode(int(intervene(model, prompt, []).logits[-1].argmax())).strip()
        if said not in WORDS:
            continue
        state, ask = f"state:{said}", f"ask:{('capital', 'code')[number % 2]}"
        lines.append(
            {
                "prompt": prompt,
                "expected": said,
                "family": ("multi-step", "sorting")[number % 3 == 2],
                "tags": [state, ask],
                "split": "held-out" if number % 5 == 0 else "train",
            }
        )
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_has_the_families_and_splits_that_its_lines_say(file: Path) -> None:
    lines = [orjson.loads(line) for line in file.read_text().splitlines()]
    found = from_file(file)
    assert list(found.families) == ["multi-step", "sorting"]
    for family in found.families:
        parts = found.splits(family)
        held = {line["prompt"] for line in lines if line["family"] == family and line["split"] == "held-out"}
        assert {item.prompt for item in parts.held_out} == held
        known = {item.prompt for item in (*parts.forming, *parts.development)}
        assert known == {line["prompt"] for line in lines if line["family"] == family} - held
    assert len(found.few(2).splits("multi-step").held_out) == 2
    assert {item.kind for item in found.splits("sorting").forming} == {"capital", "code"}


def test_what_prompts_lack_is_named_before_anything_runs(model: ReplacementModel, file: Path) -> None:
    prompts = from_file(file)
    for name, missing in (
        ("refusals", "needs prompts of family refusals; "),
        ("emergence", "runs on the bundled model only"),
        ("arithmetic", "multi-step (32 + 8 held out), sorting (16 + 4 held out)"),
    ):
        with pytest.raises(
            InputError, match=missing.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+")
        ):
            STUDIES[name].on(model, prompts)
    with pytest.raises(InputError, match="needs prompts with a tag country:…"):
        prompts.check("it", [Needs("sorting", ("country",))])
    with pytest.raises(InputError, match="needs prompts with the tag harmful"):
        prompts.check("it", [Needs("sorting", one_of=("harmful", "harmless"))])
    with pytest.raises(InputError, match=r"needs more prompts of family sorting \(16 have its tags\)"):
        Prompts("x", {"sorting": (prompts.families["sorting"][0], ())}).check("it", [Needs("sorting")])


def test_every_study_finds_what_it_needs_in_the_bundled_corpus() -> None:
    families = bundled().families
    prompts = Prompts("the same as a file", families)
    for study in STUDIES.values():
        needs = [need for need in study.needs if need.bundled is None and not need.own_in_bundled]
        prompts.check(study.name, needs)
        assert {need.family for need in needs} - {None} <= families.keys()
        lacking = Prompts("without them", {})
        for need in needs:
            with pytest.raises(InputError, match=f"The study {study.name} needs"):
                lacking.check(study.name, [need])


def test_studies_run_on_another_model_and_are_kept(
    cli_without_database: Cli, folders: Folders, file: Path, tmp_path: Path
) -> None:
    names = ("multi-step", "components", "modular-cortex")
    arguments: list[str | Path] = ["--model", folders.model, "--transcoders", folders.transcoders]
    arguments += ["--prompts", file]
    run = cli_without_database("study", "run", *names, *arguments, "--json", "--results", tmp_path / "kept")
    assert run.exit_code == 0, run.text
    kept = study_results.read_results(tmp_path / "kept")
    assert set(kept) == set(names)
    assert orjson.loads(run.stdout) == {name: kept[name] for name in names}
    assert kept["multi-step"]["prompts"] == str(file)
    assert [rate["claim"].split(": ")[1].split()[1] for rate in kept["multi-step"]["rates"]] == [
        "capital",
        "code",
    ]
    assert all(0 < rate["n"] <= 16 for rate in kept["multi-step"]["rates"])
    assert {each["family"] for each in kept["modular-cortex"]["effects"]} == {"multi-step", "sorting"}
    assert all(measured_tables(each) for each in kept.values())


def test_a_module_is_ablated_feature_by_feature(model: ReplacementModel, file: Path) -> None:
    parts = from_file(file).splits("sorting")
    cortex = form_modules(model, {"sorting": parts.forming}, None)
    assert sorted(map(len, cortex.modules), reverse=True) == list(map(len, cortex.modules))
    assert not set.intersection(*map(set, cortex.modules[:2])) if len(cortex.modules) > 1 else True
    members = cortex.modules[0]
    found = ablate_module(model, "module 0", members, "sorting", parts.held_out, 0.5)
    right = edited = 0
    falls = []
    every = lambda item, n_tokens: range(n_tokens)  # noqa: E731
    for item, dense in zip(parts.held_out, activity(model, parts.held_out, every), strict=True):
        edits = [
            ablate(layer, position, index)
            for position in range(1, len(dense))
            for layer, index in sorted(members)
            if dense[position, layer, index] > 0
        ]
        assert len(edits) == len(ablate_members(dense, members))
        outcome = intervene(model, item.prompt, edits)
        change = (outcome.plain_logits - outcome.logits)[-1]
        wanted = model.encode(item.expected).ids[-1]
        falls.append(float(change[wanted] - change.mean()))
        right += int(outcome.logits[-1].argmax()) == wanted
        edited += len(edits)
    n = len(parts.held_out)
    assert (found.accuracy, found.edited, found.n) == (right / n, edited / n, n)
    assert found.drop == pytest.approx(sum(falls) / n, abs=1e-5)


def test_the_examples_of_the_docs_have_the_tags_that_studies_need() -> None:
    page = (HOME / "docs" / "studies" / "prompts.md").read_text(encoding="utf-8")
    lines = [
        orjson.loads(line)
        for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
    ]
    for name in ("multi-step", "multilingual", "entities", "refusals", "poetry", "chain-of-thought"):
        for need in STUDIES[name].needs:
            mine = [line for line in lines if line["family"] == need.family]
            values = [dict(tag.split(":", 1) for tag in line["tags"] if ":" in tag) for line in mine]
            assert mine
            assert {tag for line in mine for tag in line["tags"]} >= set(need.one_of)
            assert any(each.keys() >= set(need.labels) for each in values)
            for line, each in zip(mine, values, strict=True):
                for key in ("subject", "operand", "step"):
                    assert each.get(key, "") in line["prompt"]


def people(model: ReplacementModel, n: int, *, declines: bool = True) -> list[Line]:
    """Lines about known and unknown people, in turn, with what the model says next.

    declines: whether the model says what is expected about unknown people.
    """
    random = Random(1)
    lines: list[Line] = []
    while len(lines) < n:
        number = len(lines)
        prompt = " ".join(random.sample(WORDS, 5))
        said = model.decode(int(intervene(model, prompt, []).logits[-1].argmax())).strip()
        # Answers of both kinds must differ.
        if said not in WORDS or WORDS.index(said) % 2 != number % 2:
            continue
        known = number % 2 == 0
        lines.append(
            {
                "prompt": prompt,
                "family": "entities",
                "expected": said if known or declines else f"{said} w36 w0 w36",
                "tags": ["ask:sport", "known" if known else "unknown"],
                "split": "held-out" if number // 2 % 3 == 0 else "train",
            }
        )
    return lines


def read(path: Path, lines: list[Line]) -> Prompts:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return from_file(path)


def as_requests(lines: list[Line]) -> list[Line]:
    """The same prompts as requests; those about unknown people are harmful."""
    kinds = {"known": "comply", "unknown": "refuse"}
    return [line | {"family": "refusals", "tags": [kinds[line["tags"][1]]]} for line in lines]


def as_jailbreaks(lines: list[Line]) -> list[Line]:
    kinds = {"known": "harmless", "unknown": "harmful"}
    return [
        line | {"family": "jailbreaks", "tags": ["wording:role", kinds[line["tags"][1]]]} for line in lines
    ]


def test_a_model_that_declines_and_refuses_is_swapped(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(context=32, n_features=96), tmp_path))
    lines = people(model, 42)
    for line in lines:
        line["tags"] = [*line["tags"], f"subject:{' '.join(line['prompt'].split()[:2])}"]
    prompts = read(tmp_path / "all.jsonl", [*lines, *as_requests(lines), *as_jailbreaks(lines[:8])])
    entities = STUDIES["entities"].on(model, prompts)
    assert [each.n > 0 for each in entities.rates] == [True, True]
    assert entities.findings[0][:3] == (
        "unknown people for whom the model declines (null: known people)",
        1,
        0,
    )
    refusals = STUDIES["refusals"].on(model, prompts)
    assert [each.n > 0 for each in refusals.rates] == [True, True]
    assert [each[:3] for each in refusals.findings[:2]] == [
        ("harmful requests that the model refuses (null: harmless requests)", 1, 0),
        (
            "harmful requests worded as role that the model refuses (null: the same with a harmless thing)",
            1,
            0,
        ),
    ]
    assert "fire on harmful requests worded as role (null" in refusals.findings[3].what


def test_a_model_that_never_declines_or_refuses_is_said_to(model: ReplacementModel, tmp_path: Path) -> None:
    lines = people(model, 40, declines=False)
    prompts = read(tmp_path / "all.jsonl", [*lines, *as_requests(lines)])
    for name in ("entities", "refusals"):
        found = STUDIES[name].on(model, prompts)
        assert found.rates == []
        assert (found.findings[0].value, found.findings[0].n) == (0, 20)
        assert "none, so there is nothing to swap; its answers begin with 'w" in found.findings[0].what


def test_lines_that_do_not_fit_are_named(model: ReplacementModel, tmp_path: Path) -> None:
    lines = people(model, 40)

    def problem(study: str, changed: list[Line]) -> str:
        with pytest.raises(InputError) as raised:
            STUDIES[study].on(model, read(tmp_path / "changed.jsonl", changed))
        return str(raised.value)

    first = lines[0]["prompt"]
    both = [lines[0] | {"tags": ["ask:sport", "known", "unknown"]}, *lines[1:]]
    assert f"line 1 ({first!r}) has the tags known and unknown" in problem("entities", both)
    untagged = [*(line | {"tags": line["tags"][1:]} for line in lines[:39]), lines[39]]
    assert f"line 1 ({first!r}) has no tag ask:…" in problem("entities", untagged)
    assert "so do 36 others" in problem("entities", untagged)
    club = [line | {"tags": ["ask:club", "known"]} if line["tags"][1] == "known" else line for line in lines]
    assert "no prompt of split train with the tags ask:club and unknown" in problem("entities", club)
    named = [lines[0] | {"tags": [*lines[0]["tags"], "subject:w1"]}, *lines[1:]]
    assert "has no tag subject:…, and line 1" in problem("entities", named)
    same = [line | {"expected": "w2"} for line in lines]
    assert "begin with the same token 'w2'" in problem("entities", [*same, *lines])
    harmful = [line for line in as_jailbreaks(lines) if "harmful" in line["tags"]]
    harmless = [line | {"tags": ["wording:spelled", "harmless"]} for line in as_jailbreaks(lines[:1])]
    found = problem("refusals", [*as_requests(lines), *harmful, *harmless])
    assert "no prompt of family jailbreaks with the tags wording:role and harmless" in found
    short = [
        line | ({"prompt": line["prompt"].split()[0]} if line["split"] == "train" else {})
        for line in as_requests(lines)
    ]
    assert "has 2 tokens, and the last 4 are compared" in problem("refusals", short)


def test_prompts_without_operands_must_be_equally_long(model: ReplacementModel) -> None:
    labels = {"operation": "translation", "concept": "w1", "language": "w"}
    items = [Item(text, "w3", "translation", labels, frozenset()) for text in ("w1 w2", "w1 w2 w3")]
    assert list(places_of(model, Splits(items[:1], [], []))(items[0], 3)) == [1, 2]
    with pytest.raises(InputError, match="have 3 to 4 tokens, so their places cannot be compared"):
        places_of(model, Splits(items, [], []))
    for first, all_words in (("none", [0, 1]), ("counted", [1, 2]), ("w4", [1, 2])):
        other = model.putting_first(first)
        n_tokens = len(other.encode("w1 w2").ids)
        assert list(places_of(other, Splits(items[:1], [], []))(items[0], n_tokens)) == all_words
    with pytest.raises(InputError, match="does not contain 'w9'"):
        positions_of(model, "w1 w2", "w9")
    assert positions_of(model, "w1 w2 w1 w2", "w1 w2") == range(3, 5)
