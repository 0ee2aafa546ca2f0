"""Pins, supernodes and labels that people added to a graph file in a viewer.

A supernode or pin names nodes by `node_id`; in Anthropic's files by `jsNodeId`. A label of the viewer
(`qParams.clerps`) names a node by its id or by layer, number and position, or a feature by its number.

`clerp` of a node is a label of the file's author, with one exception: a file that came from Neuronpedia's own
graphs holds there the explanation that Neuronpedia shows for the feature.
"""

from collections import defaultdict
from typing import Any, NamedTuple

import msgspec

from schema.circuit.records import FeatureKey, Label, Node, NodeKind, Supernode
from schema.counted import counted
from schema.errors import FileError
from schema.exports.graph_json import EXPLANATION, VIEWER
from schema.formats.raw import RawGraph, RawView
from schema.formats.variant import Variant, section

TEXTS = 3
"""Greatest number of JSON texts that are unpacked one inside another."""
NAMED = 5
"""Number of keys that a note names."""
LABEL_LIMIT = 4000
"""Largest size in bytes of a supernode's label, because the label becomes a key of the database."""


class View(NamedTuple):
    """What people added."""

    pinned: frozenset[int]
    """Places of the pinned nodes."""
    entries: tuple[Supernode | None, ...]
    """The supernode of each entry of `qParams.supernodes`; None for an entry without a node of the graph."""
    labels: tuple[Label, ...]
    notes: tuple[str, ...]
    """Remarks about pins and members that the graph lacks."""


def view(graph: RawGraph, nodes: list[Node], places: dict[str, int], variant: Variant, file: str) -> View:
    """The pins, supernodes and labels of a file.

    nodes: the nodes in the order of the file. places: node id → place in `nodes`. Raises FileError.
    """
    author = section(graph.metadata.info, "creator_name") or variant.author
    names = dict(places)
    by_script: dict[str, int | None] = {}
    for place, raw in enumerate(graph.nodes):
        if raw.jsNodeId is not None and raw.jsNodeId not in places:
            # In some files the nodes of a feature share one id. Such an id is ignored, because it is
            # ambiguous.
            by_script[raw.jsNodeId] = None if raw.jsNodeId in by_script else place
    names |= {name: place for name, place in by_script.items() if place is not None}
    notes: list[str] = []
    query = graph.qParams
    pins = _strings(query.pinnedIds) if query is not None else []
    groups = _lists(query.supernodes, notes) if query is not None else []
    pinned = frozenset(names[name] for name in pins if name in names)
    if missing := sum(name not in names for name in pins):
        notes.append(f"{counted(missing, 'pinned node is', 'pinned nodes are')} not in the graph")
    entries: list[Supernode | None] = []
    for number, parts in enumerate(groups):
        if not parts:
            entries.append(None)
            continue
        label, members = parts[0], [names[name] for name in parts[1:] if name in names]
        if len(label.encode(errors="replace")) > LABEL_LIMIT:
            raise FileError(
                file,
                f"qParams.supernodes[{number}][0]",
                f"is longer than {LABEL_LIMIT} bytes",
                next_step="shorten it",
            )
        if missing := len(parts) - 1 - len(members):
            notes.append(
                f"{counted(missing, 'member')} of supernode {label[:60]!r} left out: not in the graph"
            )
        if not members:
            entries.append(None)
        else:
            positions = {nodes[place].position for place in members}
            position = positions.pop() if len(positions) == 1 else None
            entries.append(Supernode(label, position, tuple(sorted(set(members))), VIEWER, author))
    labels = _labels(graph, nodes, names, variant, author, notes)
    return View(pinned, tuple(entries), labels, tuple(notes))


def _labels(
    graph: RawGraph,
    nodes: list[Node],
    names: dict[str, int],
    variant: Variant,
    author: str,
    notes: list[str],
) -> tuple[Label, ...]:
    """Labels at the nodes, and those of the viewer."""
    found: dict[Label, None] = {}

    def add(node: Node, text: str | None, method: str = VIEWER, author: str = author) -> None:
        text = (text or "").strip()
        if not text or node.kind is not NodeKind.FEATURE or node.index is None:
            return
        if variant.no_label is None or not variant.no_label.fullmatch(text):
            found[Label(node.layer, node.index, text, method, author, component=node.component)] = None

    by_number: dict[str, dict[FeatureKey, Node]] = defaultdict(dict)
    by_index: dict[str, dict[FeatureKey, Node]] = defaultdict(dict)
    for raw, node in zip(graph.nodes, nodes, strict=True):
        if node.kind is NodeKind.FEATURE:
            by_number[str(raw.feature)][node.feature_key] = node
            by_number[f"{node.layer}_{raw.feature}_{node.position}"][node.feature_key] = node
            by_index[f"{node.layer}_{node.index}_{node.position}"][node.feature_key] = node

    def named(key: str) -> Node | None:
        """A node of the feature that a key means. None for keys of something else, nothing or several."""
        if key in names:
            meant = [nodes[names[key]]]
        else:
            meant = list((by_number.get(key) or by_index.get(key) or {}).values())
        return meant[0] if len(meant) == 1 and meant[0].kind is NodeKind.FEATURE else None

    pairs, explained = _pairs(graph.qParams, notes), variant.explained(graph)
    people = {
        (meant.key, text.strip())
        for key, text in (*pairs, *(explained.of_people if explained is not None else ()))
        if (meant := named(key)) is not None
    }
    for raw, node in zip(graph.nodes, nodes, strict=True):
        if explained is None or (node.key, (raw.clerp or "").strip()) in people:
            add(node, raw.clerp)
        else:
            add(node, raw.clerp, EXPLANATION, explained.author)
    strangers = []
    for key, text in pairs:
        if (meant := named(key)) is None:
            strangers.append(key)
        else:
            add(meant, text)
    if strangers:
        some = ", ".join(repr(key[:60]) for key in strangers[:NAMED])
        more = f" and {len(strangers) - NAMED} more" if len(strangers) > NAMED else ""
        labels = counted(len(strangers), "label is", "labels are")
        notes.append(f"{labels} of no single feature of the graph: {some}{more} in qParams.clerps")
    return tuple(found)


def _pairs(query: RawView | None, notes: list[str]) -> list[tuple[str, str]]:
    """Key and text of each label of the viewer. A label that is no such pair is left out with a note."""
    value = None if query is None else _within(query.clerps)
    if isinstance(value, str):
        if value.strip():
            notes.append("qParams.clerps is a text, but no JSON: its labels are left out")
        return []
    pairs: list[tuple[str, str]] = []
    n_left_out = 0
    if isinstance(value, dict):
        value = list(value.items())
    for each in value if isinstance(value, list) else [] if value is None else [value]:
        match _within(each):
            case [str() | int() as key, str() as text]:
                pairs.append((str(key), text))
            case _:
                n_left_out += 1
    if n_left_out:
        items = counted(n_left_out, "item of qParams.clerps is", "items of qParams.clerps are")
        notes.append(f"{items} no pair of a key and a text: left out")
    return pairs


def _within(value: Any) -> Any:
    """What a JSON text holds, also when it is a JSON text in a JSON text; any other value as it is."""
    for _ in range(TEXTS):
        if not isinstance(value, str):
            return value
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            break
    return value


def _strings(value: list[str] | str | None) -> list[str]:
    """The list, which web addresses hold as a text with commas or as a JSON text."""
    if not isinstance(value, str):
        return value or []
    try:
        return msgspec.json.decode(value, type=list[str])
    except (msgspec.DecodeError, RecursionError):
        return [part for part in value.split(",") if part]


def _lists(value: list[list[str]] | str | None, notes: list[str]) -> list[list[str]]:
    """The list of lists, which web addresses hold as a JSON text."""
    if not isinstance(value, str) or not value.strip():
        return value if isinstance(value, list) else []
    try:
        return msgspec.convert(_within(value), list[list[str]])
    except msgspec.ValidationError:
        notes.append("qParams.supernodes is a text, but no JSON of lists of texts: they are left out")
        return []
