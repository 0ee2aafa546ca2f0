"""Edges are causal: predicted effects against changes measured in the real model."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from ingest.circuits.prompts import read_prompts
from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.errors import ModelError, SettingError
from ingest.engine.intervention import intervene as module
from ingest.engine.intervention.intervene import (
    Action,
    Case,
    Edit,
    Freeze,
    InterventionOutcome,
    ablate,
    changes,
    intervene,
    intervene_many,
    pre_activations,
    scale,
    swap,
)
from ingest.engine.intervention.measure import measured_effects
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.precise import precise
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from tests.support.engine import PROMPT, Tiny, save


@pytest.fixture(scope="module")
def bundled() -> ReplacementModel:
    return ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR, dtype=torch.float64)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    folders = save(Tiny(n_groups=2, biases=True), tmp_path_factory.mktemp("tiny"))
    return ReplacementModel.load(*folders, dtype=torch.float64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    """In float32."""
    return ReplacementModel.load(*save(Tiny(), tmp_path_factory.mktemp("float32")))


def _driven(graph: AttributionGraph) -> torch.Tensor:
    """(n_nodes,) 1 for features and logits; what else a source changes has no row in the graph."""
    driven = torch.ones(graph.n_nodes)
    driven[graph.error_nodes.start : graph.logit_nodes.start] = 0
    return driven


def edited_slowly(
    model: ReplacementModel,
    ids: tuple[int, ...],
    edits: dict[tuple[int, int, int], float],
    *,
    patterns_held: bool,
    clamped: range,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, what transcoders read, and activations (layer, position, feature), written out for a Llama.

    edits: the new activation of each (layer, position, feature).
    """
    body: Any = model.model.model
    plain = model.freeze(ids)
    x = body.embed_tokens(torch.tensor([ids]))
    n = len(ids)
    mask = torch.full((n, n), -torch.inf, dtype=x.dtype).triu(1)[None, None]
    rotary = body.rotary_emb(x, torch.arange(n)[None])
    coming = [torch.zeros_like(x[0]) for _ in body.layers]
    reads, activations = [], []
    for number, layer in enumerate(body.layers):
        here = layer.input_layernorm(x)
        if patterns_held:
            value = layer.self_attn.v_proj(here)[0].view(n, 2, 4)
            heads = [plain.pattern[number, head] @ value[:, head // 2] for head in range(4)]
            x = x + layer.self_attn.o_proj(torch.cat(heads, -1))
        else:
            x = x + layer.self_attn(here, position_embeddings=rotary, attention_mask=mask)[0]
        read = layer.post_attention_layernorm(x)
        part = model.transcoders.layers[number]
        activation = part.activate(read[0])
        recorded = part.activate(plain.mlp_norm_output[number])
        for (at, position, feature), new in edits.items():
            if at == number:
                now = recorded if number in clamped else activation
                for reached in range(number, len(body.layers)):
                    step = part.decoder[feature, reached - number].to(x.dtype) * (
                        new - now[position, feature]
                    )
                    coming[reached][position] += step
                activation[position, feature] = new
        written = plain.mlp_output[number] if number in clamped else layer.mlp(read)[0]
        x = x + written + coming[number]
        reads.append(read[0])
        activations.append(activation)
    return model.model.lm_head(body.norm(x))[0], torch.stack(reads), torch.stack(activations)


@pytest.mark.parametrize("freeze", [Freeze.NOTHING, Freeze.ATTENTION])
@pytest.mark.parametrize("constrained", [range(0), range(1), range(1, 3), range(3)], ids=str)
def test_edits_do_what_a_written_out_forward_pass_does(
    tiny: ReplacementModel, freeze: Freeze, constrained: range
) -> None:
    encoded = tiny.encode(PROMPT)
    new = {(0, 2, 1): 3.0, (0, 5, 4): 0.0, (1, 2, 7): 1.5, (1, 6, 0): -2.0, (2, 7, 3): 4.0}
    edits = [Edit(layer, position, feature, value) for (layer, position, feature), value in new.items()]
    found = intervene(tiny, PROMPT, edits, freeze=freeze, constrained=constrained)
    with precise(tiny.dtype):
        logits, read, activations = edited_slowly(
            tiny, encoded.ids, new, patterns_held=freeze is Freeze.ATTENTION, clamped=constrained
        )
        before = edited_slowly(tiny, encoded.ids, {}, patterns_held=False, clamped=range(0))[2]
    torch.testing.assert_close(found.logits, logits, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(found.read, read, rtol=1e-9, atol=1e-10)
    before[:, 0] = activations[:, 0] = 0
    moved = (before - activations).abs() > 1e-4
    changed = changes(tiny, found)
    assert changed.where.tolist() == moved.nonzero().tolist()
    torch.testing.assert_close(changed.after, activations[moved], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(changed.before, before[moved], rtol=1e-5, atol=1e-5)


def outcome_lists(found: Iterator[InterventionOutcome]) -> list[tuple[torch.Tensor, ...]]:
    return [(one.logits, one.read, one.plain_logits, one.plain_read, one.edited, one.values) for one in found]


@pytest.mark.parametrize("freeze", list(Freeze))
def test_many_cases_at_once_are_what_they_are_one_by_one(tiny: ReplacementModel, freeze: Freeze) -> None:
    prompts = [PROMPT, "w3 w1", "w7 w8 w9 w1 w3", PROMPT]
    random = torch.Generator().manual_seed(0)
    cases = []
    for number in range(24):
        prompt = prompts[number % 4]
        layer, feature = (int(torch.randint(high, (), generator=random)) for high in (3, 12))
        edits = [scale(layer, slice(1, 3), feature, 2.5), Edit((layer + 1) % 3, 2, feature, 1.0)]
        edits += swap((0, 11 - feature), (2, 11 - feature), 1) if 2 * feature != 11 and layer == 1 else ()
        cases.append(Case(prompt, edits))
    options: dict[str, Any] = {"freeze": freeze, "constrained": range(1, 2), "writes": range(2)}
    whole = outcome_lists(intervene_many(tiny, cases, **options))
    single = [intervene(tiny, prompt, edits, **options) for prompt, edits in cases]
    torch.testing.assert_close(whole, outcome_lists(iter(single)), rtol=1e-9, atol=1e-10)
    fives = intervene_many(tiny, cases, batch_size=5, **options)
    torch.testing.assert_close(whole, outcome_lists(fives), rtol=1e-9, atol=1e-10)


def test_a_batch_that_is_too_large_is_halved(tiny: ReplacementModel, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [Case(PROMPT, [ablate(0, 2, feature)]) for feature in range(12)]
    whole = outcome_lists(intervene_many(tiny, cases))
    real, most, sizes = module._batch, 4, []

    def small(model: ReplacementModel, jobs: list[Any], *rest: Any) -> list[InterventionOutcome]:
        sizes.append(len(jobs))
        if len(jobs) > most:
            raise torch.OutOfMemoryError
        return real(model, jobs, *rest)

    monkeypatch.setattr(module, "_batch", small)
    found = outcome_lists(intervene_many(tiny, cases))
    torch.testing.assert_close(whole, found, rtol=1e-4, atol=1e-5)
    assert sizes == [12, 6, 3, 3, 6, 3, 3]
    most = 0
    with pytest.raises(ModelError, match=r"One prompt \(tokens: 8\) exceeds the memory of cpu"):
        next(intervene_many(tiny, cases))


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path))
    model.anatomy.final_norm.weight[3] = float("nan")
    with pytest.raises(ModelError, match="logits are not finite"):
        intervene(model, PROMPT, [])


def test_what_each_action_sets(tiny: ReplacementModel) -> None:
    encoded = tiny.encode(PROMPT)
    active = edited_slowly(tiny, encoded.ids, {}, patterns_held=False, clamped=range(0))[2]
    layer, position, feature = next(
        place for place in active.nonzero().tolist() if place[1] > 1 and place[0] == 1
    )
    at = float(active[layer, position, feature])
    other = float(active[0, position, 3])
    for edits, expected in (
        ([ablate(layer, position, feature)], [0.0]),
        ([Edit(layer, position, feature, 7.0)], [7.0]),
        ([scale(layer, position, feature, -2.0)], [-2 * at]),
        ([Edit(layer, position, feature, 3.0, Action.COPY, (0, 3))], [3 * other]),
        (swap((layer, feature), (0, 3), position), [at, other]),
        ([ablate(layer, (1, position), feature)], [0.0, 0.0]),
        ([ablate(layer, slice(None), feature)], [0.0] * (len(encoded.ids) - 1)),
        ([ablate(layer, slice(position, None), feature)], [0.0] * (len(encoded.ids) - position)),
    ):
        for freeze in Freeze:
            found = intervene(tiny, PROMPT, edits, freeze=freeze)
            assert found.values.tolist() == pytest.approx(expected)
            assert sorted(found.edited[:, 0].tolist()) == found.edited[:, 0].tolist()


def test_an_edit_that_sets_what_is_there_changes_nothing(tiny: ReplacementModel) -> None:
    edits = [scale(layer, slice(None), feature, 1.0) for layer in range(3) for feature in range(12)]
    found = intervene(tiny, PROMPT, edits)
    torch.testing.assert_close(found.logits, found.plain_logits)
    assert len(changes(tiny, found).where) == 0


@pytest.mark.parametrize(
    "tiny",
    [Tiny(n_groups=2, biases=True), Tiny(read_at="hook_resid_mid"), Tiny(read_at="ln2.hook_normalized")],
    ids=lambda tiny: tiny.read_at,
)
def test_with_everything_held_an_ablation_changes_targets_by_their_edges(tiny: Tiny, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(tiny, tmp_path), dtype=torch.float64)
    graph = attribute(model, PROMPT)
    assert graph.n_features > 20
    cases = [Case(PROMPT, [ablate(*place)]) for place in graph.features.tolist()]
    found = intervene_many(model, cases, freeze=Freeze.EVERYTHING)
    for source, after in enumerate(found):
        before = pre_activations(model, after.plain_read, graph.features)
        measured = pre_activations(model, after.read, graph.features) - before
        edges = graph.adjacency[graph.feature_nodes, source].double()
        torch.testing.assert_close(-measured, edges, rtol=1e-4, atol=1e-6)
        change = (after.logits - after.plain_logits)[-1]
        effect = (change - change.mean())[graph.logit_ids]
        torch.testing.assert_close(
            -effect, graph.adjacency[graph.logit_nodes, source].double(), rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("special", [True, False])
def test_every_edge_of_every_kind_is_measured(special: bool, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(special=special), tmp_path), dtype=torch.float64)
    graph = attribute(model, PROMPT)
    sources = torch.arange(graph.logit_nodes.start)
    measured = measured_effects(model, graph, sources, batch_size=17)
    torch.testing.assert_close(
        measured, graph.adjacency[:, sources].double() * _driven(graph)[:, None], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("family", ["multi-step", "arithmetic", "multilingual"])
def test_all_edges_of_unpruned_bundled_circuits_are_what_ablation_measures(
    bundled: ReplacementModel, family: str
) -> None:
    line = next(line for line in read_prompts(PROMPTS_PATH).prompts if line.family == family)
    graph = attribute(bundled, line.prompt)
    sources = torch.arange(graph.logit_nodes.start)
    measured = measured_effects(bundled, graph, sources)
    driven = _driven(graph).bool()
    edges = graph.adjacency[driven][:, sources].double()
    assert int((edges != 0).sum()) > 10_000
    torch.testing.assert_close(measured[driven], edges, rtol=1e-4, atol=1e-6)


def test_edges_of_one_target_add_up_over_several_edits(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path), dtype=torch.float64)
    graph = attribute(model, PROMPT)
    chosen = graph.features[::3].tolist()
    plain = intervene(model, PROMPT, [], freeze=Freeze.EVERYTHING)
    edits = [Edit(layer, position, index, 0.0) for layer, position, index in chosen]
    after = intervene(model, PROMPT, edits, freeze=Freeze.EVERYTHING)
    change = (after.logits - plain.logits)[-1]
    measured = (change - change.mean())[graph.logit_ids]
    predicted = -graph.adjacency[graph.logit_nodes, graph.feature_nodes][:, ::3].double().sum(1)
    torch.testing.assert_close(measured, predicted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("freeze", list(Freeze))
def test_no_edit_changes_nothing(freeze: Freeze, tiny: ReplacementModel) -> None:
    encoded = tiny.encode(PROMPT)
    after = intervene(tiny, PROMPT, [], freeze=freeze)
    torch.testing.assert_close(after.logits, tiny.freeze(encoded.ids).logits, rtol=1e-5, atol=1e-5)


def test_how_far_an_edit_reaches_depends_on_what_is_held(model: ReplacementModel) -> None:
    layer, position, index = attribute(model, PROMPT).features[0].tolist()
    logits = [
        intervene(model, PROMPT, [Edit(layer, position, index, 5.0)], freeze=freeze).logits
        for freeze in Freeze
    ]
    assert not any(torch.allclose(a, b, atol=1e-3) for a, b in pairwise(logits))
    plain = model.freeze(model.encode(PROMPT).ids).logits
    # Nothing before the edited position can change.
    for found in logits:
        torch.testing.assert_close(found[:position], plain[:position])


def test_hooks_are_gone_afterwards(model: ReplacementModel) -> None:
    before = attribute(model, PROMPT)
    layer, position, index = before.features[0].tolist()
    intervene(model, PROMPT, [Edit(layer, position, index, 9.0)], freeze=Freeze.EVERYTHING)
    assert torch.equal(before.adjacency, attribute(model, PROMPT).adjacency)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(3, 1, 0, 0.0), "no such layer\n  → use 0 to 2"),
        (Edit(0, 1, 12, 0.0), "no such feature\n  → use 0 to 11"),
        (Edit(0, 8, 0, 0.0), "outside the prompt\n  → use 0 to 7"),
        (
            Edit(0, 0, 0, 0.0),
            "at position 0, whose features are left out\n  → edit positions from 1 on",
        ),
    ],
)
def test_an_edit_outside_says_so(edit: Edit, message: str, model: ReplacementModel) -> None:
    with pytest.raises(SettingError) as caught:
        intervene(model, PROMPT, [edit])
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    ("edits", "options", "message"),
    [
        ([ablate(0, (2, 9), 1)], {}, "position 9, feature 1 is outside the prompt\n  → use 0 to 7"),
        ([ablate(0, slice(8, None), 1)], {}, "positions 8:, feature 1 contains no position\n  → use 0 to 7"),
        ([Edit(0, 2, 1, float("nan"))], {}, "has the value nan\n  → give a finite number"),
        ([Edit(0, 2, 1, 1.0, Action.COPY)], {}, "copies no feature\n  → give `other` (layer, index)"),
        (swap((0, 1), (0, 12), 2), {}, "copies has no such feature\n  → use 0 to 11"),
        ([], {"constrained": range(1, 4)}, "constrained has layers 1 to 3\n  → use 0 to 2"),
        ([], {"batch_size": 0}, "batch_size is 0\n  → give a whole number from 1 up"),
    ],
)
def test_what_cannot_be_done_is_named_before_anything_is_computed(
    tiny: ReplacementModel, edits: list[Edit], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as caught:
        intervene_many(tiny, [Case(PROMPT, edits)], **options)
    assert str(caught.value).endswith(message)


def test_an_edit_given_twice_says_so(model: ReplacementModel) -> None:
    with pytest.raises(SettingError, match="position 2, feature 1 is given twice"):
        intervene(model, PROMPT, [Edit(0, 2, 1, 0.0), Edit(0, 2, 1, 1.0)])
