"""A corpus pass, examples and scored labels, against slow obvious versions."""

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import balanced_accuracy_score

from ingest.annotations.labels import (
    CorpusPass,
    CorpusSettings,
    corpus_texts,
    evidence,
    run_pass,
    write_examples,
    write_labels,
)
from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.replacement.model import ReplacementModel
from ingest.labels import contexts as contexts_module
from ingest.labels.contexts import Activity, Contexts, activity, encode_all
from ingest.labels.examples import top_contexts
from ingest.labels.firings_cache import FiringsCache
from ingest.labels.promoted import written
from ingest.labels.rules import NOTHING, Condition, FiringRule, Slots, balanced_accuracy, fit
from ingest.labels.score import label_features, phrases, split, weighted_median
from schema.annotations.labels import Evidence, load_labels
from schema.annotations.notes import load_notes
from schema.circuit.records import FeatureExample, FeatureNotes
from schema.database import Database
from schema.errors import FileError, InputError
from schema.questions.features import EXAMPLES_OF_FEATURE, NOTES_OF_FEATURE
from schema.questions.labels import LABELS_OF_FEATURE
from schema.questions.question import ask
from tests.support.engine import Folders, Tiny, save

QUIET = Console(quiet=True)
TEXTS = [" ".join(f"w{(a * b + c) % 11}" for c in range(3, 9)) for a in range(1, 8) for b in range(1, 6)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return save(Tiny(context=32), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folders: Folders) -> ReplacementModel:
    return ReplacementModel.load(*folders)


@pytest.fixture(scope="module")
def found(model: ReplacementModel) -> Activity:
    problems: list = []
    encoded = [each for _, each in encode_all(model, [*TEXTS, TEXTS[0], ""], problems)]
    assert len(problems) == 1
    return activity(model, encoded)


def slow_activity(model: ReplacementModel) -> dict:
    """(layer, index) → {(context, position): activation}, one text at a time."""
    firings: dict = defaultdict(dict)
    seen: list = []
    for text in TEXTS:
        encoded = model.encode(text)
        if encoded.ids in seen:
            continue
        read = model.read(model.freeze(encoded.ids))
        first = encoded.n_left_out
        for layer, transcoder in enumerate(model.transcoders.layers):
            active = transcoder.activate(read[layer])
            for position, index in active.nonzero().tolist():
                if position >= first:
                    place = (len(seen), position - first)
                    firings[layer, index][place] = float(active[position, index])
        seen.append(encoded.ids)
    return firings


def test_a_pass_sees_every_firing(model, found):
    slow = slow_activity(model)
    assert {key for key in found.features if key in found} == set(slow)
    context = found.contexts.context
    position = np.arange(len(context)) - found.contexts.starts[context]
    for key in slow:
        places, activation = found.of(key)
        assert list(zip(context[places].tolist(), position[places].tolist(), strict=True)) == sorted(
            slow[key]
        )
        assert activation.tolist() == pytest.approx([slow[key][at] for at in sorted(slow[key])], abs=1e-4)
        assert found.density(key) == len(slow[key]) / len(found.contexts.ids)
    assert found.density((99, 0)) == 0
    assert not found.fires((99, 0)).any()


def same(one: Activity, other: Activity) -> bool:
    return (
        one.features == other.features
        and one.firings.counts.tolist() == other.firings.counts.tolist()
        and one.contexts.ids.tolist() == other.contexts.ids.tolist()
        and all(
            np.array_equal(one.of(key).place, other.of(key).place)
            and np.array_equal(one.of(key).activation, other.of(key).activation)
            for key in one.features
        )
    )


def test_a_pass_that_is_gathered_in_many_parts_is_the_same(model, found, monkeypatch):
    monkeypatch.setattr(contexts_module, "GATHERED", 50)
    texts = [each for _, each in encode_all(model, TEXTS, [])]
    parts = activity(model, texts)
    assert len(parts.firings.runs) > 3
    assert same(parts, found)
    few = list(found.features)[::5]
    some = activity(model, texts, few)
    assert list(some.features) == few
    assert all(some.of(key).place.tolist() == found.of(key).place.tolist() for key in few)


def test_a_second_pass_reads_what_the_first_one_stored(model, found, tmp_path):
    texts = [each for _, each in encode_all(model, TEXTS, [])]
    first = activity(model, texts[:4], cache=FiringsCache(["m", None], tmp_path))
    calls = []
    with model.model.base_model.register_forward_hook(lambda *given: calls.append(1)):
        cache = FiringsCache(["m", None], tmp_path)
        assert same(activity(model, texts[:4], cache=cache), first)
        assert not calls
        whole = activity(model, texts, cache=cache)
        assert calls
    for key in found.features:
        assert whole.of(key).place.tolist() == found.of(key).place.tolist()
        assert whole.of(key).activation.tolist() == pytest.approx(found.of(key).activation.tolist(), rel=1e-5)
    assert FiringsCache(["another", None], tmp_path).path != cache.path
    cache.path.write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(FileError, match=r"(?s)of firings: file is not a database.*delete this file"):
        FiringsCache(["m", None], tmp_path)


def test_examples_are_the_contexts_with_the_highest_activations(model, found):
    for key in list(found.features)[:20]:
        best: dict = defaultdict(float)
        dense: dict = {}
        places, values = found.of(key)
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            number = int(found.contexts.context[place])
            start, stop = found.contexts.starts[number : number + 2].tolist()
            dense.setdefault(number, [0.0] * (stop - start))[place - start] = value
            best[number] = max(best[number], value)
        order = sorted(best, key=lambda number: -best[number])[:3]
        examples = top_contexts(found, key, model.decode, 3)
        assert [list(each.activations) for each in examples] == [dense[number] for number in order]
        for each, number in zip(examples, order, strict=True):
            ids = found.contexts.ids[slice(*found.contexts.starts[number : number + 2])]
            assert list(each.tokens) == [model.decode(token) for token in ids.tolist()]


def contexts(n: int = 120, seed: int = 0) -> Contexts:
    rng = np.random.default_rng(seed)
    return Contexts.of([rng.integers(0, 6, rng.integers(3, 9)).tolist() for _ in range(n)])


def test_slots_and_rules_equal_a_slow_reading():
    found = contexts()
    slots = Slots.around(found)
    rule = FiringRule(
        (
            (Condition(0, (1, 2)), Condition(-2, (NOTHING, 3))),
            (Condition(1, (4,)), Condition("position", (0, 1))),
        )
    )
    expected = []
    for start, stop in zip(found.starts[:-1].tolist(), found.starts[1:].tolist(), strict=True):
        text = found.ids[start:stop].tolist()
        for at, token in enumerate(text):
            two_before = text[at - 2] if at >= 2 else NOTHING
            following = text[at + 1] if at + 1 < len(text) else NOTHING
            first = token in (1, 2) and two_before in (NOTHING, 3)
            expected.append(first or (following == 4 and at in (0, 1)))
    assert rule.holds(slots).tolist() == expected


def test_one_condition_is_the_best_of_all_sets_of_tokens():
    found = contexts(40)
    rng = np.random.default_rng(1)
    fires = rng.random(len(found.ids)) < np.array([0.9, 0.1, 0.7, 0.2, 0.0, 0.5])[found.ids]
    slots = Slots({0: found.ids})
    best = max(
        balanced_accuracy(np.isin(found.ids, [t for t in range(6) if bits >> t & 1]), fires) or 0
        for bits in range(64)
    )
    # Sets that gain less than the least gain are left out, clause by clause.
    assert balanced_accuracy(fit(slots, fires).holds(slots), fires) == pytest.approx(best, abs=0.005)


@pytest.mark.parametrize(
    "hidden",
    [
        FiringRule(((Condition(0, (1, 4)),),)),
        FiringRule(((Condition(-1, (2,)), Condition(0, (3, 5))),)),
        FiringRule(
            (
                (Condition(-3, (2,)), Condition(1, (0, 1, 2))),
                (Condition("position", (0,)), Condition(0, (5,))),
            )
        ),
    ],
)
def test_a_hidden_rule_is_found_again(hidden):
    slots = Slots.around(contexts(400))
    fires = hidden.holds(slots)
    other = Slots.around(contexts(200, seed=9))
    score = balanced_accuracy(fit(slots, fires).holds(other), hidden.holds(other))
    assert score is not None
    # Clauses are found one after the other, so two that overlap are not always told apart.
    assert score > (0.97 if len(hidden.clauses) == 1 else 0.9)


def test_a_feature_that_never_fires_has_no_rule():
    slots = Slots.around(contexts(5))
    assert fit(slots, np.zeros(slots.n_tokens, bool)) == FiringRule(())
    assert fit(slots, np.ones(slots.n_tokens, bool)) == FiringRule(())
    assert balanced_accuracy(np.ones(3, bool), np.zeros(3, bool)) is None


def test_balanced_accuracy_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for share in (0.01, 0.3, 0.9):
        predicted, fires = rng.random(500) < share, rng.random(500) < 0.2
        expected = balanced_accuracy_score(fires, predicted)
        assert balanced_accuracy(predicted, fires) == pytest.approx(expected, rel=1e-15)


def test_scores_come_from_held_out_contexts_and_nulls_from_others(found):
    keys = [*found.features, (99, 0)]
    held = split(found.contexts).held_out
    parts = np.sort(np.concatenate(split(found.contexts)))
    assert parts.tolist() == list(range(len(found.contexts.ids)))
    scored = label_features(found, keys)
    assert (99, 0) not in {each.key for each in scored}
    slots = Slots.around(found.contexts)
    for each in scored:
        fires = found.fires(each.key)
        assert each.score == balanced_accuracy(each.rule.holds(slots)[held], fires[held])
        assert (each.null_score is None) == (each.score is None)
    assert scored == label_features(found, keys)


def test_a_large_corpus_is_sampled_by_whole_contexts():
    found = contexts()
    whole, some = split(found), split(found, most=200)
    assert 0 < sum(map(len, some)) < sum(map(len, whole))
    for part, sample in zip(whole, some, strict=True):
        assert set(sample.tolist()) <= set(part.tolist())
        inside = set(found.number(sample).tolist())
        assert sample.tolist() == [at for at in part.tolist() if int(found.number(at)) in inside]


def test_the_median_is_by_weight():
    assert weighted_median([(0.9, 1.0), (0.5, 3.0), (0.7, 1.0)]) == 0.5
    assert weighted_median([(0.9, 2.0), (0.5, 1.0), (0.1, 0.0)]) == 0.9
    assert weighted_median([]) is None
    assert weighted_median([(0.3, 0.0)]) is None


def test_a_rule_in_words():
    words = ["zero", "one", " ", "three"]
    rule = FiringRule(
        (
            (Condition(0, (1, 3)), Condition(-1, (NOTHING, 0))),
            (Condition(-4, (2,)), Condition("position", (7,))),
        )
    )
    assert list(phrases(rule, words.__getitem__)) == [
        "on one / three, after the start / zero",
        "4 after ' ', at position 7",
    ]


def test_examples_and_labels_of_an_atlas(database: Database, folders: Folders, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    short = tmp_path / "prompts.txt"
    short.write_text("\n".join(TEXTS[:3]), encoding="utf-8")
    settings = CorpusSettings(*folders, str(file), tmp_path)
    with pytest.raises(InputError, match="run `atlas ingest`"):
        run_pass(database, settings, console=QUIET)
    ingest(database, IngestSettings(prompts=short, model=folders[0], transcoders=folders[1]), console=QUIET)
    done: CorpusPass = run_pass(database, settings, console=QUIET)
    fired = write_examples(database, done, console=QUIET)
    summary = write_labels(database, done, console=QUIET)
    assert summary.n_features == len(done.features) >= fired >= summary.n_labels > 0
    assert "median balanced accuracy" in summary.sentence()
    scored = label_features(done.found, [(each.layer, each.index) for each in done.features])
    first = scored[0]
    key = f"{done.set_id}/{first.key[0]}/{first.key[1]}"
    stored = ask(database, LABELS_OF_FEATURE, timeout_s=9, keys=[key])
    label = evidence(done.model, first).label
    ours = next(row for row in stored if row.method == label.method)
    assert (ours.text, ours.score, ours.null_score) == (label.text, label.score, label.null_score)
    (page,) = ask(database, EXAMPLES_OF_FEATURE, timeout_s=9, keys=[key], skip=0, limit=5)
    expected = top_contexts(done.found, first.key, done.model.decode)
    assert page.total == len(expected)
    assert max(page.rows[0].activations) == max(expected[0].activations)
    (note,) = ask(database, NOTES_OF_FEATURE, timeout_s=9, keys=[key])
    assert note.density == done.found.density(first.key)
    effects = done.model.anatomy.unembedding @ written(done.model, [first.key])[0]
    assert note.promotes[0] == done.model.decode(int(effects.argmax()))
    assert note.suppresses[0] == done.model.decode(int(effects.argmin()))
    before = database.read("MATCH (n) RETURN count(n) AS n")
    write_examples(database, done, console=QUIET)
    write_labels(database, done, console=QUIET)
    assert database.read("MATCH (n) RETURN count(n) AS n") == before
    (rule,) = database.read(
        "MATCH (l:Label {method: $m})-[:LABELS]->(:Feature {id: $key}) RETURN l.rule AS rule",
        {"m": label.method, "key": key},
    )
    clauses = tuple(tuple(Condition(s, tuple(v)) for s, v in clause) for clause in json.loads(rule["rule"]))
    assert FiringRule(clauses) == first.rule


def test_no_corpus_is_named(folders: Folders, tmp_path):
    with pytest.raises(InputError, match="no corpus for this model"):
        corpus_texts(CorpusSettings(*folders))
    with pytest.raises(InputError, match="no prompts file"):
        corpus_texts(CorpusSettings(*folders, str(tmp_path / "absent.txt")))


ASKED = """query ($id: ID!) { feature(id: $id) {
  density promotes suppresses
  labels { text score nullScore beatsNull evidence { rule asked answered } }
  examples(first: 2) { pageInfo { hasNextPage } nodes { id tokens activations } } } }"""


async def test_examples_and_scores_over_graphql(api, connection, circuits):
    circuit = next(each for each in circuits if each.labels)
    feature, text = circuit.labels[0], circuit.labels[0].text
    set_id = circuit.transcoders.id
    key = f"{set_id}/{feature.layer}/{feature.index}"
    examples = [
        FeatureExample(("a", "b"), (0.0, 1.5)),
        FeatureExample(("c",), (3.0,)),
        FeatureExample(("d",), (2.0,)),
    ]
    note = FeatureNotes(feature.layer, feature.index, None, tuple(examples), ("x",), ("y", "z"), set_id, 0.25)
    load_notes(connection, [note], None)
    labels = [
        Evidence(
            replace(feature, text=f"made up {score}", method=method, score=score, null_score=0.5), *made_from
        )
        for score, method, made_from in (
            (0.75, "token-rules-v2", ("[]", None, None)),
            (0.5, "language-model-v1", (None, "what is it?", '{"label": "x"}')),
        )
    ]
    earlier = [labels[0]._replace(label=replace(labels[0].label, text="earlier"))]
    assert load_labels(connection, earlier, set_id) == 1
    assert load_labels(connection, labels, set_id) == 2
    found = (await api(ASKED, id=key))["feature"]
    assert (found["density"], found["promotes"], found["suppresses"]) == (0.25, ["x"], ["y", "z"])
    assert found["examples"]["pageInfo"]["hasNextPage"]
    assert [(e["tokens"], e["activations"]) for e in found["examples"]["nodes"]] == [
        (["c"], [3.0]),
        (["d"], [2.0]),
    ]
    beats = {each["text"]: each["beatsNull"] for each in found["labels"]}
    assert beats["made up 0.75"] is True
    assert beats["made up 0.5"] is False
    assert text in beats
    assert {each["text"]: each["evidence"] for each in found["labels"]} == {
        text: {"rule": None, "asked": None, "answered": None},
        "made up 0.75": {"rule": "[]", "asked": None, "answered": None},
        "made up 0.5": {"rule": None, "asked": "what is it?", "answered": '{"label": "x"}'},
    }
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")  # others find what they load
