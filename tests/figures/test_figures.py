"""Figures: what they draw is what plain loops over the records find; what cannot be drawn is refused."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from figures.all import CHARTS
from figures.chart import shown, styled
from schema.circuit.records import NodeKind
from schema.errors import InputError, NotFoundError
from tests.support.cli import Cli

EMPTY = {"claims", "components", "diagnostics", "hypotheses", "modules"}
"""Figures that the made-up circuits have nothing for."""


def grid(chart: str, answer: dict[str, Any]) -> list[list[float]]:
    """The colours' numbers of a drawn heatmap."""
    with styled():
        (image,) = CHARTS[chart].draw(answer).axes[0].images
    array = image.get_array()
    assert array is not None
    found: list[list[float]] = np.ma.filled(array, np.nan).tolist()
    return found


def texts(svg: str) -> set[str]:
    """Every text in an SVG, which must be well-formed."""
    return {
        "".join(each.itertext()) for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")
    }


async def test_heads_are_drawn_by_family(api, circuits):
    answer = await api(CHARTS["heads"].query)
    sums: dict[Any, list[float]] = defaultdict(list)
    for circuit in circuits:
        for total in circuit.head_totals:
            sums[circuit.prompt.family, (total.layer, total.head)].append(total.gross)
    heads = sorted({head for _, head in sums})
    means = [
        [
            math.fsum(sums[family, head]) / len(sums[family, head]) if (family, head) in sums else 0.0
            for head in heads
        ]
        for family in sorted({family for family, _ in sums})
    ]
    assert grid("heads", answer) == [list(map(pytest.approx, row)) for row in means]
    svg = CHARTS["heads"].svg(answer)
    assert {f"{layer}/{head}" for layer, head in heads} < texts(svg)
    assert svg == CHARTS["heads"].svg(answer)


async def test_tokens_are_drawn_with_what_is_no_token_s(api, circuits):
    answer = await api(CHARTS["tokens"].query, filter={"families": ["capitals"]})
    (circuit,) = answer["circuits"]["nodes"]
    outputs = circuit["tokenAttribution"]["outputs"]
    drawn = grid("tokens", answer)
    # The parts of each output sum to its total, wherever tokens stand.
    assert [math.fsum(row) for row in drawn] == [pytest.approx(each["total"], abs=1e-9) for each in outputs]
    assert shown(circuit["prompt"]["text"], 70) in texts(CHARTS["tokens"].svg(answer))


def test_hostile_text_is_only_text():
    token = "$\\frac{<script>\n\x07</svg>"
    outputs = [
        {
            "logit": token,
            "probability": None,
            "total": 1.0,
            "errors": 0.0,
            "other": 0.0,
            "biasesAndPruned": 0.0,
        }
        | {"tokens": [{"position": 1, "token": token, "weight": 1.0}]}
    ]
    circuit = {"id": "x", "prompt": {"text": token, "family": None}, "tokenAttribution": {"outputs": outputs}}
    answer = {"circuits": {"nodes": [circuit]}}
    assert {shown(token), shown(f"1 {token}")} < texts(CHARTS["tokens"].svg(answer))
    assert "<script>" not in CHARTS["tokens"].html(answer)


@pytest.mark.parametrize("name", CHARTS)
async def test_every_figure_answers_or_says_what_to_run(name, api, tmp_path):
    chart = CHARTS[name]
    answer = await api(chart.query)
    if name in EMPTY:
        with pytest.raises(NotFoundError) as refused:
            chart.write(answer, tmp_path / f"{name}.svg")
        assert "`atlas " in str(refused.value.next_step)
        assert list(tmp_path.iterdir()) == []
        return
    for ending in ("svg", "png", "html"):
        chart.write(answer, tmp_path / f"{name}.{ending}")
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / f"{name}.html").read_text(encoding="utf-8").count("<svg") == 1


def test_files_and_names_that_cannot_be(cli_without_database: Cli, tmp_path: Path):
    row = {"family": "a", "model": "m", "layer": 0, "head": 1, "nConsidered": 2, "net": 0.5, "gross": 0.5}
    answer = {"headsByFamily": [row]}
    for path, said in (
        (tmp_path / "x.bmp", "is not a .svg"),
        (tmp_path / "no" / "x.svg", "cannot be written"),
    ):
        with pytest.raises(InputError, match=said):
            CHARTS["heads"].write(answer, path)
    with pytest.raises(NotFoundError, match="no circuit was loaded with heads"):
        CHARTS["heads"].draw({"headsByFamily": []})
    listed = cli_without_database("figure", "list")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in CHARTS)
    for words, said in (
        (["pie", "--out", "x.svg"], "There is no figure 'pie'"),
        (["heads"], "There is no file to write to"),
        (["heads", "--out", "x.svg", "--var", "colour=red"], "has no variable 'colour'"),
    ):
        refused = cli_without_database("figure", *words)
        assert isinstance(refused.error, InputError)
        assert said in str(refused.error)


def test_diagnostics_are_drawn_as_counted():
    cells = {"truePositives": 3, "falsePositives": 1, "falseNegatives": 0, "trueNegatives": 4}
    bands = [
        {"leastShare": 0.1, "nTested": 4, "nEffective": 3, "truePositives": 3, "falseNegatives": 0},
        {"leastShare": None, "nTested": 4, "nEffective": 0, "truePositives": 0, "falseNegatives": 0},
    ]
    weights = [{"leastShare": 0.003, "nTested": 8, "nEffective": 3, "truePositives": 2, "falseNegatives": 1}]
    families = [{"family": None, "nTested": 8, **cells}]
    with styled():
        drawn = CHARTS["diagnostics"].draw(
            {"diagnostics": {"all": {"bands": bands, "weightBands": weights}, "families": families}}
        )
    left, middle, right = drawn.axes
    assert [patch.get_width() for patch in left.patches] == [3 / 8, 1 / 8, 0, 4 / 8]  # type: ignore[attr-defined]
    assert [patch.get_height() for patch in middle.patches] == [0.75, 0, 0, 0]  # type: ignore[attr-defined]
    assert [each.get_text() for each in middle.get_xticklabels()] == ["≥ 10%", "pruned"]
    assert [patch.get_height() for patch in right.patches] == [2 / 8, 1 / 8]  # type: ignore[attr-defined]
    assert [patch.get_y() for patch in right.patches] == [0, 2 / 8]  # type: ignore[attr-defined]
    assert [each.get_text() for each in right.texts] == ["3/8"]
    assert [each.get_text() for each in right.get_xticklabels()] == ["≥ 0.3%"]


async def test_supernodes_and_their_effects_are_drawn(api, circuits):
    answer = await api(CHARTS["supernodes"].query, filter={"families": ["arithmetic"]})
    (found,) = answer["circuits"]["nodes"]
    (circuit,) = [each for each in circuits if each.id == found["id"]]
    with styled():
        axes = CHARTS["supernodes"].draw(answer).axes[0]
    labels = [each.get_text().split("\n")[0] for each in axes.texts if each.get_text()]
    assert sorted(labels) == sorted(shown(each.label) for each in circuit.supernodes)
    assert len(axes.texts) - len(labels) == len(found["supernodeEdges"])
    members = {place for each in circuit.supernodes for place in each.members}
    held = sum(
        circuit.nodes[place].influence or 0.0
        for place in members
        if circuit.nodes[place].kind is NodeKind.FEATURE
    )
    every = sum(node.influence or 0.0 for node in circuit.nodes if node.kind is NodeKind.FEATURE)
    n = len(circuit.supernodes)
    assert axes.get_title().split("\n")[1] == (
        f"{n} of {n} supernodes, method made-up: together {held / every:.0%} of the features' influence"
    )


async def test_boxes_of_supernodes_stand_apart_however_many_share_a_place(api, circuits):
    answer = await api(CHARTS["supernodes"].query, filter={"families": ["arithmetic"]})
    found = answer["circuits"]["nodes"][0]["supernodes"]
    last = len(answer["circuits"]["nodes"][0]["prompt"]["tokens"]) - 1
    ends = [(last, 0), (0, 3)]
    found["nodes"] = [
        found["nodes"][0] | {"id": f"{n}", "members": [{"position": at, "layer": layer}]}
        for n, (at, layer) in enumerate([ends[n == 19] for n in range(20)])
    ]
    with styled():
        axes = CHARTS["supernodes"].draw(answer).axes[0]
    places = [each.get_position() for each in axes.texts if each.get_text()]
    assert len(places) == 20
    assert sorted(round(x) for x, _ in places) == list(range(20))
    assert min(x for x, _ in places) == places[19][0]
    assert [round(y) for _, y in places] == [0] * 19 + [3]
    assert [each.get_text().split()[0] for each in axes.get_xticklabels()] == ["0", str(last)]


async def test_supernodes_of_a_method_that_nobody_used_are_not_drawn(api, circuits):
    answer = await api(CHARTS["supernodes"].query, method="person")
    with pytest.raises(NotFoundError, match="no such supernodes"):
        CHARTS["supernodes"].draw(answer)


async def test_labels_and_flow_are_drawn_as_answered(api, circuits):
    answer = await api(CHARTS["labels"].query)
    best = [
        max((each["score"], each["nullScore"]) for each in feature["labels"])
        for feature in answer["features"]["nodes"]
        if feature["labels"]
    ]
    with styled():
        axes = CHARTS["labels"].draw(answer).axes[0]
    drawn = [tuple(point) for dots in axes.collections for point in dots.get_offsets().tolist()]  # type: ignore[union-attr]
    assert sorted(drawn) == sorted((null, score) for score, null in best)
    answer = await api(CHARTS["flow"].query)
    with styled():
        axes = CHARTS["flow"].draw(answer).axes[0]
    widths = [patch.get_width() for patch in axes.patches]  # type: ignore[attr-defined]
    stages = answer["flowStages"]["stages"]
    assert widths == [
        pytest.approx(max(0.0, stage["inputs"][place]["influence"])) for place in range(7) for stage in stages
    ]


def test_modules_are_drawn_by_family():
    nodes = [
        {
            "number": 0,
            "nFeatures": 9,
            "families": [{"family": "b", "share": 0.5}, {"family": "a", "share": None}],
        },
        {"number": 1, "nFeatures": 4, "families": [{"family": "b", "share": 0.25}]},
    ]
    drawn = grid("modules", {"modules": {"nodes": nodes}})
    assert str(drawn) == "[[nan, 0.5], [0.0, 0.25]]"


def test_hypotheses_are_drawn_as_they_fell():
    tested = [
        {
            "question": f"$why{n}?",
            "prediction": "lowers",
            "nPrompts": 2,
            "testedAt": "2026-01-01",
            "q": 0.01 * n,
        }
        | {"meanEffect": -n, "nullMean": 0.5 * n, "survived": n < 2}
        | {"interventions": [{"effect": -n - 0.5}, {"effect": -n + 0.5}]}
        for n in (1, 2)
    ]
    waiting = dict.fromkeys(tested[0]) | {"question": "when?", "prediction": "raises", "interventions": []}
    with styled():
        axes = CHARTS["hypotheses"].draw({"hypotheses": [*tested, waiting]}).axes[0]
    assert [patch.get_width() for patch in axes.patches] == [-1, -2]  # type: ignore[attr-defined]
    prompts, null = (dots.get_offsets().tolist() for dots in axes.collections[:2])  # type: ignore[union-attr]
    assert prompts == [[-1.5, 0], [-0.5, 0], [-2.5, 1], [-1.5, 1]]
    assert null == [[0.5, 0], [1.0, 1]]
    assert axes.get_title(loc="left") == "tested: 2 of 3 hypotheses"
    assert axes.get_yticklabels()[1].get_text() == "$why2?\nlowers (n=2, q=0.020)"
    with pytest.raises(NotFoundError, match="no hypothesis was tested"):
        CHARTS["hypotheses"].draw({"hypotheses": [waiting]})
