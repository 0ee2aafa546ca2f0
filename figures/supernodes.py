"""One circuit's supernodes and how they act on each other: positions to the right, layers up.

Of the ways in which the circuit is grouped one is drawn: that which is asked for, or the API's first.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing, shown


def draw(answer: Answer) -> Figure:
    circuits = [each for each in answer["circuits"]["nodes"] if each["supernodes"]["nodes"]]
    if not circuits:
        raise nothing("the circuits that fit have no such supernodes", "atlas supernodes")
    circuit = circuits[0]
    nodes = circuit["supernodes"]["nodes"]
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
    axes.set_title(f"{shown(circuit['prompt']['text'], 90)}\n{_grouped(circuit)}")
    return figure


def _grouped(circuit: Answer) -> str:
    """How many supernodes are drawn, of which method, and what they hold of the circuit's influence."""
    nodes, total = circuit["supernodes"]["nodes"], circuit["supernodes"]["totalCount"]
    method, author = nodes[0]["method"], nodes[0]["author"]
    text = f"{len(nodes)} of {total} supernodes, method {shown(method, 40)}"
    for each in circuit["groupings"]:
        whole = each["nSupernodes"] == total and each["share"] is not None
        if whole and each["method"] == method and author in each["authors"]:
            return f"{text}: together {each['share']:.0%} of the features' influence"
    return text


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
        "filter": 'which circuit, such as {"text": "dallas"}; the first that fits',
        "method": "which grouping of it, such as `person`; the API's first",
        "author": "whose; anybody's",
    },
)
