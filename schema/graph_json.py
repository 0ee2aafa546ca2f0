"""A circuit as circuit-tracer's graph JSON, which its viewer, Neuronpedia and others open.

Top level: metadata, qParams, nodes, links. A link's weight is the signed direct effect, the source's
activation folded in. A node's `influence` is the *cumulative* share (small = important). What the format has
no key for goes where readers look past it: `metadata.atlas`, and `raw_influence` on nodes.

node_id     feature {layer}_{index}_{position}      error {layer}_-1_{position}      token E_{vocabulary
id}_{position}
            logit {n_layers + 1}_{vocabulary id}_{position}
feature     Cantor pairing of layer and index; -1 errors; the position for tokens; the vocabulary id for
logits
"""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from schema.errors import InputError
from schema.records import Circuit, Node, NodeKind

GENERATOR = "circuit-atlas"

FEATURE_TYPES = {
    NodeKind.FEATURE: "cross layer transcoder",
    NodeKind.ERROR: "mlp reconstruction error",
    NodeKind.TOKEN: "embedding",
    NodeKind.LOGIT: "logit",
}
"""What readers tell the kinds by; features of per-layer transcoders are called the same."""


def to_json(circuit: Circuit, *, slug: str | None = None) -> dict[str, Any]:
    """The whole file as plain values. slug: the graph's name in viewers; by default from prompt and id."""
    ids = [node_id(node, circuit.model.n_layers) for node in circuit.nodes]
    return {
        "metadata": _metadata(circuit, slug or default_slug(circuit)),
        "qParams": _view(circuit, ids),
        "nodes": _nodes(circuit, ids),
        "links": [
            {"source": ids[edge.source], "target": ids[edge.target], "weight": edge.weight}
            for edge in circuit.edges
        ],
    }


def write(circuit: Circuit, path: Path, *, slug: str | None = None) -> None:
    """Write the file. Raises InputError when it cannot be written."""
    try:
        path.write_bytes(orjson.dumps(to_json(circuit, slug=slug)))
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", next_step="name a file in a folder that exists"
        ) from error


def default_slug(circuit: Circuit) -> str:
    """A name for viewers' menus and addresses: the prompt's words and the start of the circuit's id."""
    words = re.findall(r"[a-z0-9]+", circuit.prompt.text.lower())
    return "-".join([*words[:8], circuit.id[:8]])


def node_id(node: Node, n_layers: int) -> str:
    """The node's id in the file, unique in its graph."""
    match node.kind:
        case NodeKind.FEATURE:
            return f"{node.layer}_{node.index}_{node.position}"
        case NodeKind.ERROR:
            return f"{node.layer}_-1_{node.position}"
        case NodeKind.TOKEN:
            return f"E_{node.index}_{node.position}"
        case _:
            return f"{n_layers + 1}_{node.index}_{node.position}"


def cantor(layer: int, index: int) -> int:
    """One number for a layer and a feature index; soon beyond 2^31."""
    return (layer + index) * (layer + index + 1) // 2 + index


def _metadata(circuit: Circuit, slug: str) -> dict[str, Any]:
    prompt, transcoders = circuit.prompt, circuit.transcoders
    generator = {"name": GENERATOR}
    with suppress(PackageNotFoundError):  # run from a folder without an installation
        generator["version"] = version(GENERATOR)
    settings: dict[str, Any] = {"target": circuit.target}
    if found := re.fullmatch(r"salient-logits\((\d+), ([\d.]+)\)", circuit.target):
        settings |= {"max_n_logits": int(found[1]), "desired_logit_prob": float(found[2])}
    if circuit.max_feature_nodes is not None:
        settings["max_feature_nodes"] = circuit.max_feature_nodes
    return {
        "slug": slug,
        "scan": transcoders.name,
        "transcoder_list": [],
        "prompt_tokens": list(prompt.tokens),
        "prompt": prompt.text,
        "node_threshold": circuit.node_threshold,
        "schema_version": 1,
        "title_prefix": prompt.family or "",
        "info": {"generator": generator, "transcoder_set": transcoders.name},
        "generation_settings": settings,
        "pruning_settings": {
            "node_threshold": circuit.node_threshold,
            "edge_threshold": circuit.edge_threshold,
        },
        "atlas": {
            "circuit": circuit.id,
            "model": circuit.model.id,
            "transcoders": transcoders.id,
            "dtype": circuit.dtype,
            "target_position": circuit.target_position,
            "special_first_token": circuit.special_first_token,
            "replacement_score": circuit.replacement_score,
            "completeness_score": circuit.completeness_score,
            "error_share": circuit.error_share,
            "n_active_features": circuit.n_active_features,
            "n_selected_features": circuit.n_selected_features,
            "kept_influence": circuit.kept_influence,
        },
    }


def _view(circuit: Circuit, ids: list[str]) -> dict[str, Any]:
    """What a viewer shows first: viewers draw supernodes of pinned nodes only."""
    groups = [[ids[member] for member in supernode.members] for supernode in circuit.supernodes]
    return {
        "pinnedIds": list(dict.fromkeys(member for group in groups for member in group)),
        "supernodes": [
            [supernode.label, *group] for supernode, group in zip(circuit.supernodes, groups, strict=True)
        ],
        "linkType": "both",
        "clickedId": "",
        "sg_pos": "",
    }


def _nodes(circuit: Circuit, ids: list[str]) -> list[dict[str, Any]]:
    # A feature may have several labels; the last one given is the newest.
    labels = {(label.layer, label.index): label.text for label in circuit.labels}
    answer = circuit.answer
    nodes = []
    for node, name in zip(circuit.nodes, ids, strict=True):
        clerp, feature, layer = "", -1, str(node.layer)
        js_id = f"{node.layer}_-1-{node.position}"
        if node.kind is NodeKind.FEATURE and node.index is not None:
            clerp = labels.get((node.layer, node.index), "")
            feature, js_id = cantor(node.layer, node.index), f"{node.layer}_{node.index}-0"
        elif node.kind is NodeKind.TOKEN:
            feature, layer, js_id = node.position, "E", f"E_{node.index}-{node.position}"
        elif node.kind is NodeKind.LOGIT and node.index is not None:
            clerp = f'Output "{node.token}" (p={node.probability or 0.0:.3f})'
            feature, layer = node.index, str(circuit.model.n_layers + 1)
            js_id = f"L_{node.index}-{node.position}"
        nodes.append(
            {
                "node_id": name,
                "feature": feature,
                "layer": layer,
                "ctx_idx": node.position,
                "feature_type": FEATURE_TYPES[node.kind],
                "token_prob": node.probability or 0.0,
                "is_target_logit": node is answer,
                "run_idx": 0,
                "reverse_ctx_idx": 0,
                "jsNodeId": js_id,
                "clerp": clerp,
                "influence": None if node.kind is NodeKind.LOGIT else node.cumulative,
                "activation": node.activation,
                "raw_influence": None if node.kind is NodeKind.LOGIT else node.influence,
            }
        )
    return nodes
