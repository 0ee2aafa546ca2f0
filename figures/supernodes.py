"""The supernodes of one circuit and their effects on each other: positions to the right, layers upwards.

A supernode is drawn at the mean position and layer of its members, both rounded. Supernodes at the same place
are drawn side by side.

When a circuit has several groupings, one is drawn: the requested one, or the first that the API returns.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing, shown
from schema.circuit.token_display import displayed
from schema.counted import counted

BOX = 1.1
"""Width of a box, in inches."""
STAGGER = 0.3
"""Vertical distance between neighbours at one place, in layers, so that arrows can pass."""


def draw(answer: Answer) -> Figure:
    """Draw the first matching circuit: boxes for supernodes, arrows for their effects."""
    circuits = [each for each in answer["circuits"]["nodes"] if each["supernodes"]["nodes"]]
    if not circuits:
        raise nothing("the matching circuits have no such supernodes", "atlas supernodes")
    circuit = circuits[0]
    nodes = circuit["supernodes"]["nodes"]
    columns = _columns(nodes)
    places = _places(nodes, columns)
    width = sum(columns.values())
    figure = Figure(figsize=(max(6.0, 1.5 + BOX * width), 7.0), layout="constrained")
    axes: Axes = figure.add_subplot()
    edges = [
        each
        for each in circuit["supernodeEdges"]
        if each["source"]["id"] in places and each["target"]["id"] in places
    ]
    most = max((abs(each["weight"]) for each in edges), default=0.0) or 1.0
    for each in edges:
        source, target = places[each["source"]["id"]], places[each["target"]["id"]]
        axes.annotate(
            "",
            xy=target,
            xytext=source,
            arrowprops={
                "arrowstyle": "->",
                "color": "#2166ac" if each["weight"] > 0 else "#b2182b",
                "alpha": 0.15 + 0.85 * abs(each["weight"]) / most,
                "linewidth": 0.4 + 2.6 * abs(each["weight"]) / most,
                "shrinkA": 12,
                "shrinkB": 12,
                # Straight arrows within a layer would run through the boxes in between.
                "connectionstyle": "arc3,rad=0.2",
            },
        )
    for node in nodes:
        score = "" if node["score"] is None else f"\n{node['score']:.2f}"
        axes.text(
            *places[node["id"]],
            shown(node["label"], 18) + score,
            ha="center",
            va="center",
            fontsize=7,
            bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "#666666"},
        )
    tokens = circuit["prompt"]["tokens"]
    starts = list(accumulate(columns.values(), initial=0))
    middles = [start + (n - 1) / 2 for start, n in zip(starts, columns.values(), strict=False)]
    axes.set_xticks(middles, [f"{at} {shown(displayed(tokens[at]), 12)}" for at in columns])
    for start in starts[1:-1]:
        axes.axvline(start - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
    axes.set_xlim(-0.7, width - 0.3)
    layers = [_place(node)[1] for node in nodes]
    axes.set_ylim(min(layers) - 0.6, max(layers) + 0.6)
    axes.set_yticks(range(min(layers), max(layers) + 1))
    axes.set_xlabel("token at the members' mean position")
    axes.set_ylabel("layer of the members, mean")
    axes.set_title(f"{shown(circuit['prompt']['text'], 90)}\n{_grouped(circuit)}")
    return figure


def _grouped(circuit: Answer) -> str:
    """Subtitle: number of supernodes drawn, their method, and their share of the features' influence."""
    nodes, total = circuit["supernodes"]["nodes"], circuit["supernodes"]["totalCount"]
    method, author = nodes[0]["method"], nodes[0]["author"]
    text = f"{len(nodes)} of {counted(total, 'supernode')}, method {shown(method, 40)}"
    for each in circuit["groupings"]:
        whole = each["nSupernodes"] == total and each["share"] is not None
        if whole and each["method"] == method and author in each["authors"]:
            return f"{text}: together {each['share']:.0%} of the features' influence"
    return text


def _place(node: Answer) -> tuple[int, int]:
    """Mean position and layer of a supernode's members, rounded."""
    return round(fmean(each["position"] for each in node["members"])), round(
        fmean(each["layer"] for each in node["members"])
    )


def _columns(nodes: Sequence[Answer]) -> dict[int, int]:
    """Position with supernodes, ascending → the largest number of supernodes side by side there."""
    found: dict[int, int] = {}
    for (position, _), n in Counter(map(_place, nodes)).items():
        found[position] = max(found.get(position, 0), n)
    return dict(sorted(found.items()))


def _places(nodes: Sequence[Answer], columns: dict[int, int]) -> dict[str, tuple[float, float]]:
    """Supernode id → place of its box: the middle of its column, or next to the others at its place."""
    starts = dict(zip(columns, accumulate(columns.values(), initial=0), strict=False))
    together: dict[tuple[int, int], list[str]] = {}
    for node in nodes:
        together.setdefault(_place(node), []).append(node["id"])
    return {
        each: (
            starts[position] + (columns[position] - len(ids)) / 2 + number,
            layer + STAGGER * (number % 2 - 0.5) * (len(ids) > 1),
        )
        for (position, layer), ids in together.items()
        for number, each in enumerate(ids)
    }


SUPERNODES = Chart(
    "supernodes",
    "The supernodes of one circuit, and their effects on each other",
    """
query ($filter: CircuitFilter, $method: String, $author: String) {
  circuits(filter: $filter, first: 1) {
    nodes {
      id
      prompt { text tokens }
      groupings { method authors nSupernodes share }
      supernodes(method: $method, author: $author, first: 100) {
        totalCount
        nodes { id label method author score members { position layer } }
      }
      supernodeEdges(method: $method, author: $author) { weight source { id } target { id } }
    }
  }
}
""",
    draw,
    {
        "filter": 'filter of circuits, such as {"text": "dallas"}; the first match is drawn',
        "method": "method of the grouping, such as `person`; the API's first when left out",
        "author": "author of the grouping; any author when left out",
    },
)
