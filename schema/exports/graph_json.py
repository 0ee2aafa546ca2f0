"""A circuit as circuit-tracer's graph JSON, which circuit-tracer's viewer, Neuronpedia and other tools open.

Top level: metadata, qParams, nodes, links. The weight of a link is the signed direct effect, which includes
the activation of the source. `influence` of a node is the *cumulative* share (a small value means important).
What was derived from a pruned file (`schema.circuit.derived`) is left out.
Facts for which the format has no key are in keys that other readers ignore: `metadata.atlas`;
`raw_influence`, `token` and `component` of nodes; `share` and `heads` of links. `schema.formats` reads the
file back as the same circuit with the same id; only attention scores (`qk`) are not read back.

A circuit that was imported from graph JSON is written as its file was (`schema.exports.layout`): every key,
the order of nodes and links, and the forms of ids are those of the file. `metadata.atlas` is added. Labels
that the atlas has fill empty clerps, and supernodes of the atlas stand after those of the file. The rest of
this page is about other circuits.

node_id     feature {layer}_{index}_{position}, of attention {layer}_lor_{index}_{position}
            error {layer}_-1_{position}, of attention {layer}_error_attn_{position}
            token E_{vocabulary id}_{position}; logit {n_layers + 1}_{vocabulary id}_{position}
feature     features: Cantor pairing of layer and index; errors: -1; tokens: the position; logits: the
            vocabulary id, or null when it is unknown; other nodes: null
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from schema.atomic_file import atomic_write
from schema.circuit.canonical import canonical, digest
from schema.circuit.derived import underived
from schema.circuit.records import Circuit, FeatureKey, Label, Node, NodeKind, Prompt, Source, stable_id
from schema.errors import InputError
from schema.exports.layout import laid_out_ids, laid_out_links, laid_out_nodes, renamed, unpack
from schema.loading.properties import CIRCUIT_FIELDS

GENERATOR = "circuit-atlas"

FEATURE_TYPES = {
    NodeKind.FEATURE: "cross layer transcoder",
    NodeKind.ERROR: "mlp reconstruction error",
    NodeKind.TOKEN: "embedding",
    NodeKind.LOGIT: "logit",
    NodeKind.OTHER: "unknown",
}
"""Kind of a node → `feature_type`, by which readers recognise the kind. Features of per-layer transcoders
have the same type as features of cross-layer transcoders."""
ATTENTION_TYPES = {NodeKind.FEATURE: "lorsa", NodeKind.ERROR: "lorsa error"}
"""Kind → `feature_type` of nodes whose component is attention."""
ATTENTION = "attention"
QK_RESULTS, QK_ONLY = "qk_tracing_results", "qk_only_nodes"
"""Keys, in a node and in the file, of the attention scores that Neuronpedia's second engine traces."""
BIAS = "bias:"
"""Beginning of the component of a bias."""
VERSION = 1
"""Version of `metadata.atlas`."""
VIEWER = "viewer"
"""`Label.method` and `Supernode.method` of labels and supernodes from another tool's viewer."""
EXPLANATION = "explanation"
"""`Label.method` of explanations of which it is unknown how they were made, such as those in graph files."""
FILE_SECTIONS = ("file_metadata", "file_view", "file_layout")
"""Fields of `Source` that hold parts of the file."""


def to_json(circuit: Circuit, *, slug: str | None = None) -> dict[str, Any]:
    """The file as plain values. slug: name of the graph in viewers; the default is `default_slug`."""
    circuit = underived(circuit)
    ids = [node_id(node) for node in circuit.nodes]
    if circuit.source is not None and circuit.source.file_layout is not None:
        return _as_in_file(circuit, circuit.source, slug, ids)
    traced = {} if circuit.qk_tracing is None else orjson.loads(circuit.qk_tracing)
    return {
        "metadata": _metadata(circuit, slug or default_slug(circuit), ids),
        "qParams": _view(circuit, ids),
        "nodes": nodes_of(circuit, ids, traced.get(QK_RESULTS, {}), newest_labels(circuit.labels)),
        "links": _links(circuit, ids),
        **({QK_ONLY: traced[QK_ONLY]} if QK_ONLY in traced else {}),
    }


def _links(circuit: Circuit, ids: list[str]) -> list[dict[str, Any]]:
    keys = [node.key for node in circuit.nodes] if circuit.head_parts else ids
    heads: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for part in circuit.head_parts:
        carried = {"layer": part.layer, "head": part.head, "weight": part.weight}
        heads.setdefault((part.source, part.target), {"heads": []})["heads"].append(carried)
    return [
        {"source": ids[source], "target": ids[target], "weight": weight}
        | ({} if share is None else {"share": share})
        | heads.get((keys[source], keys[target]), {})
        for source, target, weight, share in circuit.edges
    ]


def _as_in_file(circuit: Circuit, source: Source, slug: str | None, ids: list[str]) -> dict[str, Any]:
    """The file from which the circuit was imported, with what the atlas adds."""
    assert source.file_layout is not None
    layout = unpack(source.file_layout)
    order = layout["nodes"].get("order", range(len(ids)))
    names = laid_out_ids(ids, layout["nodes"])
    traced = {} if circuit.qk_tracing is None else orjson.loads(circuit.qk_tracing)
    results = renamed(traced.get(QK_RESULTS, {}), dict(zip(ids, names, strict=True)))
    nodes = laid_out_nodes(nodes_of(circuit, ids, results), layout["nodes"])
    # Labels of viewers and explanations without a method are in the file that they come from, and only there.
    said = {str(node.get("clerp")).strip() for node in nodes}
    labels = newest_labels(
        tuple(
            label
            for label in circuit.labels
            if label.method not in (VIEWER, EXPLANATION) and label.text not in said
        )
    )
    filled: dict[str, list[Any]] = {}
    for place, node in zip(order, nodes, strict=True):
        ours = circuit.nodes[place]
        if ours.kind is NodeKind.FEATURE and not node.get("clerp") and ours.feature_key in labels:
            filled[node["node_id"]] = [node["clerp"]] if "clerp" in node else []
            node["clerp"] = labels[ours.feature_key]
    metadata = {} if source.file_metadata is None else json.loads(source.file_metadata)
    view = None if source.file_view is None else json.loads(source.file_view)
    view = _view_with(view, layout["groups"], circuit, names)
    links = laid_out_links(_links(circuit, names), circuit.edges, layout["links"], order)
    only = {QK_ONLY: traced[QK_ONLY]} if QK_ONLY in traced else {}
    return {
        "metadata": metadata
        | ({} if slug is None else {"slug": slug})
        | {"atlas": _atlas_block(circuit, ids) | ({"filled": filled} if filled else {})},
        **({} if view is None else {"qParams": view}),
        "nodes": nodes,
        "links": links,
        **only,
        **layout["more"],
    }


def _view_with(
    view: dict[str, Any] | None, groups: list[list[int] | None], circuit: Circuit, ids: list[str]
) -> dict[str, Any] | None:
    """`qParams` of the file with the supernodes that the circuit has now.

    groups: the members of each supernode of the file, or None for one that the atlas cannot hold.
    """
    held = {(group.label, group.members) for group in circuit.supernodes}
    text = (view or {}).get("supernodes")
    entries = json.loads(text) if isinstance(text, str) and groups else text or []
    kept, shown = [], set()
    for entry, members in zip(entries, groups, strict=False):
        group = None if members is None else (entry[0], tuple(members))
        shown.add(group)
        if group is None or group in held:
            kept.append(entry)
    added = [group for group in circuit.supernodes if (group.label, group.members) not in shown]
    if not added and len(kept) == len(groups):
        return view
    kept += [[group.label, *(ids[member] for member in group.members)] for group in added]
    pins = (view or {}).get("pinnedIds")
    pinned = [pin for pin in pins.split(",") if pin] if isinstance(pins, str) else pins or []
    # Viewers draw only supernodes whose members are pinned.
    pinned = [*dict.fromkeys([*pinned, *(ids[member] for group in added for member in group.members)])]
    return (view or {}) | {
        "supernodes": json.dumps(kept) if isinstance(text, str) else kept,
        "pinnedIds": ",".join(pinned) if isinstance(pins, str) else pinned,
    }


def write(circuit: Circuit, path: Path, *, slug: str | None = None) -> None:
    """Write the file. Raises InputError when the path cannot be written."""
    try:
        with atomic_write(path) as part:
            part.write_bytes(encode(to_json(circuit, slug=slug)))
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", next_step="name a file in a folder that exists"
        ) from error


def encode(values: dict[str, Any]) -> bytes:
    """The file's content."""
    try:
        return orjson.dumps(values)
    except TypeError:  # a number of more than 64 bits, which came with the file
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def default_slug(circuit: Circuit) -> str:
    """A name for menus and addresses of viewers: words of the prompt and the beginning of the circuit's id.

    An imported circuit keeps its slug.
    """
    if circuit.source is not None:
        return circuit.source.slug
    words = re.findall(r"[a-z0-9]+", circuit.prompt.text.lower())
    return "-".join([*words[:8], circuit.id[:8]])


def node_id(node: Node) -> str:
    """The id of a node in the file. It is unique in the graph."""
    attention = node.component == ATTENTION
    match node.kind:
        case NodeKind.FEATURE:
            return f"{node.layer}_{'lor_' if attention else ''}{node.index}_{node.position}"
        case NodeKind.ERROR:
            return f"{node.layer}_{'error_attn' if attention else '-1'}_{node.position}"
        case NodeKind.TOKEN:
            return f"E_{-1 if node.index is None else node.index}_{node.position}"
        case NodeKind.OTHER:
            what = (node.component or "").removeprefix(BIAS)
            return f"{node.layer}_{feature_type(node)}_{what}_{node.position}"
        case _:
            index = f"text-{stable_id(node.token)}" if node.index is None else node.index
            return f"{node.layer + 1}_{index}_{node.position}"


def feature_type(node: Node) -> str:
    """`feature_type` of a node, by which readers recognise its kind."""
    if node.kind is NodeKind.OTHER and (node.component or "").startswith(BIAS):
        return "bias"
    kinds = ATTENTION_TYPES if node.component == ATTENTION else FEATURE_TYPES
    return kinds.get(node.kind, FEATURE_TYPES[node.kind])


def cantor(layer: int, index: int) -> int:
    """The Cantor pairing of a layer and a feature index: one number, often larger than 2^31."""
    return (layer + index) * (layer + index + 1) // 2 + index


def _metadata(circuit: Circuit, slug: str, ids: list[str]) -> dict[str, Any]:
    prompt, transcoders, source = circuit.prompt, circuit.transcoders, circuit.source
    generator = {"name": GENERATOR}
    with suppress(PackageNotFoundError):  # the package is not installed but runs from its folder
        generator["version"] = version(GENERATOR)
    info: dict[str, Any] = {"generator": generator, "transcoder_set": transcoders.name}
    if source is not None:
        info |= _without_none(creator_name=source.creator, description=source.description)
    settings: dict[str, Any] = _without_none(
        target=circuit.target, max_feature_nodes=circuit.max_feature_nodes
    )
    if found := re.fullmatch(r"salient-logits\((\d+), ([\d.]+)\)", circuit.target or ""):
        settings |= {"max_n_logits": int(found[1]), "desired_logit_prob": float(found[2])}
    metadata = {
        "slug": slug,
        "scan": transcoders.name if source is None else source.scan,
        "transcoder_list": [],
        "prompt_tokens": list(prompt.tokens),
        "prompt": prompt.text,
        "schema_version": 1,
        "title_prefix": prompt.family or "",
        "info": info,
        "generation_settings": settings,
        "pruning_settings": _without_none(
            node_threshold=circuit.node_threshold,
            edge_threshold=circuit.edge_threshold,
            max_edges=circuit.max_edges,
        ),
        "atlas": _atlas_block(circuit, ids),
    }
    if source is not None and (source.source_set or source.attention_source_set):
        metadata["feature_details"] = _without_none(
            neuronpedia_source_set=source.source_set,
            neuronpedia_lorsa_source_set=source.attention_source_set,
        )
    return metadata | _without_none(node_threshold=circuit.node_threshold)


def _atlas_block(circuit: Circuit, ids: list[str]) -> dict[str, Any]:
    """`metadata.atlas`: the facts for which the format has no key."""
    prompt, source = circuit.prompt, circuit.source
    return {
        "version": VERSION,
        "circuit": circuit.id,
        "imported": circuit.content is not None,
        "content": digest(canonical(circuit)),
        "model": asdict(circuit.model),
        "transcoders": asdict(circuit.transcoders),
        "prompt": {
            each.name: getattr(prompt, each.name) for each in fields(Prompt) if each.name not in OWN_KEYS
        },
        "settings": {name: getattr(circuit, name) for name in SETTINGS},
        "source": None if source is None else _without_sections(source),
        **({"as_in_file": True} if source is not None and source.file_layout is not None else {}),
        "labels": [asdict(label) for label in circuit.labels],
        "pinned": [name for node, name in zip(circuit.nodes, ids, strict=True) if node.pinned],
        "supernodes": [
            asdict(group) | {"members": [ids[member] for member in group.members]}
            for group in circuit.supernodes
        ],
        **_attention(circuit),
    }


def _without_sections(source: Source) -> dict[str, Any]:
    """The facts about the file, without the sections that the exported file has anyway."""
    return {name: value for name, value in asdict(source).items() if name not in FILE_SECTIONS}


def _attention(circuit: Circuit) -> dict[str, Any]:
    """The keys about attention heads; no keys when nothing is known about them."""
    scores = [
        score._asdict() | {"pairs": [pair._asdict() for pair in score.pairs]} for score in circuit.qk_scores
    ]
    totals = [total._asdict() for total in circuit.head_totals]
    return ({"heads": totals} if totals else {}) | ({"qk": scores} if scores else {})


_LEFT_OUT = ("content", "qk_tracing", "derived", "error_share_low", "error_share_high")
SETTINGS = tuple(name for name in CIRCUIT_FIELDS if name not in _LEFT_OUT)
"""Fields of `Circuit` that `metadata.atlas` holds unchanged. A reader derives again what was derived."""

OWN_KEYS = ("text", "tokens")
"""Fields of `Prompt` that have keys in `metadata`, so `metadata.atlas` leaves them out."""


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _view(circuit: Circuit, ids: list[str]) -> dict[str, Any]:
    """`qParams`: what a viewer shows first. Viewers draw only supernodes whose members are pinned."""
    groups = [[ids[member] for member in supernode.members] for supernode in circuit.supernodes]
    pinned = [name for node, name in zip(circuit.nodes, ids, strict=True) if node.pinned]
    return {
        "pinnedIds": list(dict.fromkeys([*pinned, *(member for group in groups for member in group)])),
        "supernodes": [
            [supernode.label, *group] for supernode, group in zip(circuit.supernodes, groups, strict=True)
        ],
        "linkType": "both",
        "clickedId": "",
        "sg_pos": "",
    }


def newest_labels(labels: tuple[Label, ...]) -> dict[FeatureKey, str]:
    """Key of each feature → the text of its newest label, which is the last one in `labels`."""
    return {FeatureKey(label.layer, label.index, label.component): label.text for label in labels}


def nodes_of(
    circuit: Circuit,
    ids: list[str],
    traced: Mapping[str, Any],
    labels: Mapping[FeatureKey, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """The nodes in our form. ids: `node_id` of each. traced: attention scores by id. labels: by feature."""
    answer = None if circuit.answer is None else circuit.answer.key
    target = circuit.target_logit or answer
    nodes = []
    for node, name in zip(circuit.nodes, ids, strict=True):
        clerp, layer, js_id = "", str(node.layer), name
        feature: int | None = -1
        if node.kind is NodeKind.FEATURE and node.index is not None:
            clerp = labels.get(node.feature_key, "")
            feature, js_id = cantor(node.layer, node.index), f"{name.rsplit('_', 1)[0]}-0"
        elif node.kind is NodeKind.ERROR:
            js_id = f"{name.rsplit('_', 1)[0]}-{node.position}"
        elif node.kind is NodeKind.TOKEN:
            feature, layer, js_id = node.position, "E", f"{name.rsplit('_', 1)[0]}-{node.position}"
        elif node.kind is NodeKind.LOGIT:
            # Viewers read the probability after "(p=".
            share = "?" if node.probability is None else f"{node.probability:.3f}"
            clerp = f'Output "{node.token or ""}" (p={share})'
            feature, layer = node.index, str(node.layer + 1)
            js_id = f"L_{name.split('_', 1)[1].rsplit('_', 1)[0]}-{node.position}"
        else:
            feature = None
        nodes.append(
            {
                "node_id": name,
                "feature": feature,
                "layer": layer,
                "ctx_idx": node.position,
                "feature_type": feature_type(node),
                "token_prob": node.probability or 0.0,
                "is_target_logit": target is not None and node.key == target,
                "run_idx": 0,
                "reverse_ctx_idx": 0,
                "jsNodeId": js_id,
                "clerp": clerp,
                "influence": None if node.kind is NodeKind.LOGIT else node.cumulative,
                "activation": node.activation,
                "raw_influence": None if node.kind is NodeKind.LOGIT else node.influence,
                **_without_none(token=node.token, component=node.component),
                **({QK_RESULTS: traced[name]} if name in traced else {}),
            }
        )
    return nodes
