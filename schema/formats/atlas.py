"""Our own exports (`schema.exports.graph_json`): with `metadata.atlas`, the whole circuit comes back.

The block is checked like everything from outside. When nodes or edges are not those of its `content` hash,
somebody edited the file: the circuit then gets an id of its own, as any imported one.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from schema.circuit.attention import HeadPart, HeadTotal
from schema.circuit.canonical import digest
from schema.circuit.records import Circuit, Label, Model, NodeKind, Prompt, Source, Supernode, TranscoderSet
from schema.errors import FileError
from schema.exports.graph_json import ATTENTION, VERSION
from schema.formats.circuit_tracer import plain_place
from schema.formats.numbers import feature_index
from schema.formats.raw import RawGraph, RawNode
from schema.formats.variant import Names, Place, Variant, kind, layer_number


class PromptFacts(msgspec.Struct):
    """Fields of `Prompt` that the common form lacks."""

    token_ids: tuple[int, ...] | None = None
    family: str | None = None
    tags: tuple[str, ...] = ()
    expected: str | None = None
    pair: str | None = None
    split: str | None = None


class Settings(msgspec.Struct):
    """Fields of `Circuit`, as in `schema.exports.graph_json.SETTINGS`."""

    target_position: int
    target: str | None = None
    node_threshold: float | None = None
    edge_threshold: float | None = None
    max_feature_nodes: int | None = None
    dtype: str | None = None
    special_first_token: bool | None = None
    replacement_score: float | None = None
    completeness_score: float | None = None
    error_share: float | None = None
    n_active_features: int | None = None
    n_selected_features: int | None = None
    kept_influence: float | None = None
    weights: str | None = None
    pruned_features: tuple[tuple[int, int], ...] | None = None
    unselected_features: tuple[tuple[int, int], ...] | None = None


class Group(msgspec.Struct):
    """A supernode, its members by node id."""

    label: str
    members: list[str]
    method: str
    author: str
    position: int | None = None
    score: float | None = None


class Total(msgspec.Struct):
    """Fields of `HeadTotal`."""

    layer: int
    head: int
    net: float
    gross: float


class Part(msgspec.Struct):
    """What one head carries of a link."""

    layer: int
    head: int
    weight: float


class Block(msgspec.Struct):
    """`metadata.atlas`."""

    imported: bool
    content: str
    model: Model
    transcoders: TranscoderSet
    prompt: PromptFacts
    settings: Settings
    source: Source | None = None
    labels: tuple[Label, ...] = ()
    pinned: tuple[str, ...] = ()
    supernodes: tuple[Group, ...] = ()
    heads: tuple[Total, ...] = ()


def block(graph: RawGraph, file: str) -> Block | None:
    """The checked block, None when the file has none of this version. Raises FileError."""
    found = graph.metadata.atlas
    if found is None or found.get("version") != VERSION:
        return None
    try:
        return msgspec.convert(found, Block)
    except msgspec.ValidationError as error:
        raise FileError(
            file, "metadata.atlas", str(error), next_step="remove the key to import the graph without it"
        ) from error


def applies(graph: RawGraph) -> bool:
    return graph.metadata.atlas is not None and graph.metadata.atlas.get("version") == VERSION


def place(node: RawNode, graph: RawGraph) -> Place:
    what = kind(node)
    allowed = (None, ATTENTION) if what in (NodeKind.FEATURE, NodeKind.ERROR) else (None,)
    if what is not NodeKind.OTHER and node.component not in allowed:
        raise ValueError(f"component {str(node.component)[:60]!r} is none of a {what} node")
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        index = feature_index(node, layer, paired=True)
        return Place(what, layer, node.ctx_idx, index, node.component)
    if what is NodeKind.OTHER:
        return Place(what, layer_number(node), node.ctx_idx, None, node.component)
    return replace(plain_place(node, what), component=node.component)


def names(graph: RawGraph) -> Names:
    return Names("", "", None)  # the block names them


def restore(circuit: Circuit, found: Block, places: dict[str, int], graph: RawGraph, file: str) -> Circuit:
    """The circuit with what the block and the links' heads say of it. places: node id → place in
    `circuit.nodes`. Raises FileError."""
    prompt = Prompt(circuit.prompt.text, circuit.prompt.tokens, **_fields(found.prompt))
    members = {name for group in found.supernodes for name in group.members}
    kept = set(found.pinned)
    names = {place: name for name, place in places.items()}
    nodes = tuple(
        replace(node, pinned=names[place] in kept or names[place] not in members) if node.pinned else node
        for place, node in enumerate(circuit.nodes)
    )
    groups = _groups(circuit.supernodes, found.supernodes, places)
    whole = replace(
        circuit,
        prompt=prompt,
        model=found.model,
        transcoders=found.transcoders,
        source=found.source,
        nodes=nodes,
        labels=_labels(circuit.labels, found.labels),
        supernodes=groups,
        head_parts=tuple(_head_parts(circuit, graph, places, file)),
        head_totals=tuple(HeadTotal(**_fields(total)) for total in found.heads),
        **_fields(found.settings),
    )
    content = digest(whole)
    return replace(whole, content=content if found.imported or content != found.content else None)


def _head_parts(circuit: Circuit, graph: RawGraph, places: dict[str, int], file: str) -> Iterator[HeadPart]:
    keys = {name: circuit.nodes[place].key for name, place in places.items()}
    for number, link in enumerate(graph.links):
        if link.heads is None:
            continue
        try:
            parts = msgspec.convert(link.heads, list[Part])
        except msgspec.ValidationError as error:
            raise FileError(
                file, f"links[{number}].heads", str(error), next_step="remove the key to import without it"
            ) from error
        for part in parts:
            yield HeadPart(keys[link.source], keys[link.target], **_fields(part))


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _labels(seen: tuple[Label, ...], stored: tuple[Label, ...]) -> tuple[Label, ...]:
    """The stored labels, and those that somebody changed in the file since."""
    known = {(label.layer, label.index, label.component, label.text) for label in stored}
    return (
        *stored,
        *(label for label in seen if (label.layer, label.index, label.component, label.text) not in known),
    )


def _groups(
    seen: tuple[Supernode, ...], stored: tuple[Group, ...], places: dict[str, int]
) -> tuple[Supernode, ...]:
    """Of the stored groups, those that the file still has; and those that somebody drew in it since."""
    drawn = {(group.label, group.members): group for group in seen}
    result = []
    known = set()
    for group in stored:
        members = tuple(sorted(places[name] for name in group.members if name in places))
        if (group.label, members) in drawn:
            known.add((group.label, members))
            result.append(
                Supernode(group.label, group.position, members, group.method, group.author, group.score)
            )
    return (*result, *(group for said, group in drawn.items() if said not in known))


ATLAS = Variant("circuit-atlas", applies, place, names, author="unknown")
