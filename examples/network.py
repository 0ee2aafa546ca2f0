"""What does a circuit look like? Its strongest effects as a network, with tokens below and logits above.

    python examples/network.py --circuit CIRCUIT --edges 60 --out network.png

Without --circuit, the script takes the circuit with the best replacement score. Columns are positions of the
prompt, rows are layers. A blue effect raises its target, a red effect lowers it; the width is |weight|.
"""

from typing import Any

import networkx
from drawing import axes, draw

from atlas.client import AtlasClient
from schema.errors import InputError

BEST = "{ circuits(first: 1, orderBy: REPLACEMENT_SCORE) { nodes { id } } }"
PROMPT = "query ($id: ID!) { circuit(id: $id) { answer prompt { text tokens } } }"
COLOURS = {"FEATURE": "tab:green", "ERROR": "lightgrey", "TOKEN": "gold", "LOGIT": "tab:purple"}


def strongest(graph: Any, edges: int) -> Any:
    """The subgraph of the strongest effects. edges: number of effects."""
    kept = sorted(graph.edges(data="weight"), key=lambda edge: (-abs(edge[2]), edge[0], edge[1]))[:edges]
    return graph.edge_subgraph([(source, target) for source, target, _ in kept]).copy()


def places(graph: Any) -> dict[str, tuple[float, float]]:
    """Node → coordinates: position and layer. Nodes with the same coordinates are moved side by side."""
    top = max((data["layer"] for _, data in graph.nodes(data=True) if data["kind"] != "LOGIT"), default=0)
    taken: dict[tuple[int, int], int] = {}
    found = {}
    for node, data in sorted(graph.nodes(data=True)):
        row = {"TOKEN": -1, "LOGIT": top + 1}.get(data["kind"], data["layer"])
        at = taken.setdefault((data["position"], row), 0)
        taken[data["position"], row] += 1
        found[node] = (data["position"] + 0.16 * (at % 5), row + 0.16 * (at // 5))
    return found


def picture(client: AtlasClient, circuit: str | None, edges: int) -> Any:
    if circuit is None:
        best = client.query(BEST)["circuits"]["nodes"]
        if not best:
            raise InputError("The atlas has no circuits", next_step="ingest some: atlas ingest PROMPTS")
        circuit = best[0]["id"]
    asked = client.query(PROMPT, {"id": circuit})["circuit"]
    graph = strongest(client.circuit_graph(circuit), edges)
    weights = [weight for _, _, weight in graph.edges(data="weight")]
    most = max(map(abs, weights), default=1.0) or 1.0
    tokens = asked["prompt"]["tokens"]
    figure, plot = axes(2 + 0.9 * len(tokens), 7)
    networkx.draw_networkx(
        graph,
        places(graph),
        ax=plot,
        with_labels=False,
        node_size=40,
        node_color=[COLOURS[data["kind"]] for _, data in graph.nodes(data=True)],
        edge_color=["tab:blue" if weight > 0 else "tab:red" for weight in weights],
        width=[0.3 + 2 * abs(weight) / most for weight in weights],
        arrowsize=6,
    )
    plot.set_xticks(range(len(tokens)), tokens, rotation=60, ha="right")
    plot.tick_params(left=True, bottom=True, labelleft=True, labelbottom=True)
    plot.set_ylabel("layer (tokens below, logits above)")
    plot.set_title(f"{asked['prompt']['text']} → {asked['answer']}: the {len(weights)} strongest effects")
    return figure


if __name__ == "__main__":
    draw(__doc__, picture, out="network.png", circuit=None, edges=60)
