"""One circuit's supernodes and how they act on each other: positions to the right, layers up.

Supernodes of several methods may group the same features; those of one method are drawn.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing, shown


def draw(answer: Answer) -> Figure:
    circuits = [each for each in answer["circuits"]["nodes"] if each["supernodes"]["nodes"]]
    if not circuits:
        raise nothing("the circuits that fit have no supernodes", "atlas supernodes")
    circuit = circuits[0]
    nodes = _of_one_method(circuit["supernodes"]["nodes"])
    places = _places(nodes)
    figure = Figure(figsize=(11.0, 7.0), layout="constrained")
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
            },
        )
    for node in nodes:
        score = "" if node["score"] is None else f"\n{node['score']:.2f}"
        axes.text(
            *places[node["id"]],
            shown(node["label"]) + score,
            ha="center",
            va="center",
            fontsize=7,
            bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "#666666"},
        )
    tokens = circuit["prompt"]["tokens"]
    axes.set_xticks(range(len(tokens)), [shown(each, 12) for each in tokens], rotation=60, ha="right")
    axes.set_xlim(-0.8, len(tokens) - 0.2)
    layers = [y for _, y in places.values()]
    axes.set_ylim(min(layers) - 0.8, max(layers) + 0.8)
    axes.set_ylabel("layer of the members, mean (boxes are moved apart)")
    axes.set_title(shown(circuit["prompt"]["text"], 90))
    return figure


def _of_one_method(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the method whose supernodes hold most influence, as far as it is known; then of most nodes."""
    methods: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        methods.setdefault(node["method"], []).append(node)
    return max(methods.values(), key=lambda mine: (sum(node["score"] or 0.0 for node in mine), len(mine)))


def _places(nodes: list[dict[str, object]]) -> dict[str, tuple[float, float]]:
    """Supernode id → mean position and layer of its members; boxes in one column are moved apart."""
    found: dict[str, tuple[float, float]] = {}
    for node in sorted(nodes, key=lambda node: str(node["id"])):
        members = node["members"]
        assert isinstance(members, list)
        n = len(members)
        x = sum(each["position"] for each in members) / n
        y = sum(each["layer"] for each in members) / n
        while any(abs(x - a) < 1.2 and abs(y - b) < 0.4 for a, b in found.values()):
            y += 0.4
        found[str(node["id"])] = x, y
    return found


SUPERNODES = Chart(
    "supernodes",
    "One circuit's supernodes, and how they act on each other",
    """
query ($filter: CircuitFilter) {
  circuits(filter: $filter, first: 1) {
    nodes {
      id
      prompt { text tokens }
      supernodes(first: 100) { nodes { id label method score members { position layer } } }
      supernodeEdges { weight source { id } target { id } }
    }
  }
}
""",
    draw,
    {"filter": 'which circuit, such as {"text": "dallas"}; the first that fits'},
)
