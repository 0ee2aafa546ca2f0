"""Expected answers of several tokens, and several expected answers."""

from pathlib import Path

import pytest
import torch

from ingest.circuits.expected import continuation, unreachable
from ingest.circuits.prompts import PromptLine
from ingest.circuits.run import Attributor, IngestSettings
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import Tiny, save

PROMPT = "w1 w2 w3"


@pytest.fixture(scope="module")
def attributor(tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    folders = save(Tiny(), tmp_path_factory.mktemp("tiny"))
    settings = IngestSettings(Path(), folders.model, folders.transcoders)
    return Attributor(ReplacementModel.load(*folders), settings)


@pytest.fixture(scope="module")
def said(attributor: Attributor) -> list[str]:
    """The greedy continuation of the prompt, as plainly as possible."""
    model = attributor.model
    ids = list(model.encode(PROMPT).ids)
    for _ in range(3):
        ids.append(int(model.model(torch.tensor([ids])).logits[0, -1].argmax()))
    return [model.decode(token) for token in ids[-3:]]


def circuit_of(attributor: Attributor, expected: list[str]) -> tuple[bool | None, str | None]:
    line = PromptLine(1, PROMPT, expected=expected[0], accepted=tuple(expected[1:]))
    problems: list[Exception] = []
    planned = attributor.plan([line], problems)
    (graph,) = attributor.graphs(planned)
    assert not problems
    circuit = attributor.circuit(planned[0], graph, attributor.prune(graph))  # type: ignore[arg-type]
    return circuit.correct, circuit.continuation


def test_an_answer_is_compared_over_as_many_tokens_as_it_has(attributor: Attributor, said: list[str]) -> None:
    one, two, three = said
    other = next(word for word in ("w4", "w5") if word not in said)
    assert circuit_of(attributor, [one]) == (True, None)
    assert circuit_of(attributor, [f" {one} "]) == (True, None)
    assert circuit_of(attributor, [other]) == (False, None)
    assert circuit_of(attributor, [f"{one} {two} {three}"]) == (True, f"{one} {two} {three}")
    assert circuit_of(attributor, [f"{one} {other} {three}"]) == (False, f"{one} {two}")
    assert circuit_of(attributor, [other, f"{one} {two}"]) == (True, f"{one} {two}")
    assert circuit_of(attributor, [f"{one} {two}", one]) == (True, None)


def test_the_model_does_not_run_when_the_first_token_decides(attributor: Attributor) -> None:
    model = attributor.model
    # Ids beyond the vocabulary would make a run fail.
    assert continuation(model, [99], model.token_id("w4"), ["w4", "w5 w6"]) is None
    assert continuation(model, [99], model.token_id("w4"), ["w5 w6"]) is None


def test_an_answer_that_the_vocabulary_cannot_write_is_named(attributor: Attributor) -> None:
    assert unreachable(attributor.model, ["w4", " w5 w6", "Rome", "w4 Rome"]) == ["Rome", "w4 Rome"]
    planned = attributor.plan([PromptLine(7, PROMPT, expected="w4", accepted=("Rome",))], [])
    assert attributor.unreachable(planned) == [
        "line 7: the tokenizer cannot write the expected answer 'Rome', so no answer can equal it"
    ]
