"""Converts graph JSON of any tool to a circuit.

1. decode   bytes to typed values; a value of a wrong type is refused with its key
2. variant  recognise the tool, which determines how nodes are numbered
3. nodes    find kind, layer, position and index of each node; refuse duplicates and impossible places
4. links    find both ends; when an old file gives a feature and an error the same id, the order of links
            decides
5. view     pins, supernodes and labels; traced attention scores are kept unchanged
6. order    sort canonically and hash, so that a graph that was imported before is recognised
7. derive   what the file determines of influence, shares and scores (`schema.circuit.derived`)

Facts that a file neither gives nor determines are None.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from schema.circuit.canonical import canonical, digest
from schema.circuit.derived import derive, is_cumulative
from schema.circuit.direction import backward_edge
from schema.circuit.records import (
    FLOAT32_MAX,
    Circuit,
    Edge,
    Model,
    Node,
    NodeKind,
    Prompt,
    TranscoderSet,
    stable_id,
)
from schema.counted import counted
from schema.errors import FileError
from schema.exports.graph_json import FILE_SECTIONS
from schema.formats import atlas
from schema.formats.about import source
from schema.formats.anthropic import ANTHROPIC
from schema.formats.atlas import ATLAS
from schema.formats.circuit_tracer import CIRCUIT_TRACER
from schema.formats.crm import CRM
from schema.formats.eleuther import ELEUTHER
from schema.formats.layout import TOO_LARGE, WholeFile, layout_of
from schema.formats.neuronpedia import NEURONPEDIA
from schema.formats.qk_tracing import qk_tracing
from schema.formats.raw import TEXT_LIMIT, RawGraph, RawLink, RawNode, decode, file_parts
from schema.formats.variant import SourceNames, Variant
from schema.formats.view import view

VARIANTS = (ATLAS, ELEUTHER, CRM, ANTHROPIC, CIRCUIT_TRACER, NEURONPEDIA)
"""The first variant that applies is used. The last one always applies."""

_OUTPUT = r'(?:Output|Logit|output:) "(.*)" \(p=([\d.]+(?:[eE][-+]?\d+)?|\?)\)'
_LOGIT = re.compile(_OUTPUT, re.DOTALL)
_REMARKED_LOGIT = re.compile(r".*[\s\])]" + _OUTPUT, re.DOTALL)
"""With a remark of a person before it, such as '[Output "big" or "large"] Output "large" (p=0.420)'."""
_POSITION_LIMIT = 2**31
UNNAMED = (
    "the file does not say which transcoders it was made with, so its features are kept apart from those of "
    "all other files; --transcoders names them"
)
_UNNAMED = "unnamed transcoders "
_EDGE: Callable[[tuple[int, int, float, float | None]], Edge] = partial(tuple.__new__, Edge)
"""Makes an edge from a tuple of its fields, several times as fast as from the single fields."""


class Given(NamedTuple):
    """Names from the command line, which replace the names in the files. None keeps the name in the file."""

    model: str | None = None
    transcoders: str | None = None
    family: str | None = None
    tags: tuple[str, ...] = ()


class Imported(NamedTuple):
    """The content of one file."""

    circuit: Circuit
    notes: tuple[str, ...] = ()
    """Remarks about the parts of the file that were left out."""


def read_graph(data: bytes, file: str, given: Given = Given()) -> Imported:  # noqa: B008  immutable
    """The circuit of a graph JSON file.

    file: name of the file in messages. given: names that replace those in the file. Raises FileError.
    """
    raw = decode(data, file)
    variant = next(each for each in VARIANTS if each.applies(raw))
    if not raw.nodes:
        raise FileError(file, "nodes", "is empty", next_step="leave the file out")
    nodes = _nodes(raw, variant, file)
    places = _places(raw, nodes, file)
    edges = _edges(raw, places, nodes, file)
    left = view(raw, nodes, places, variant, file)
    traced, notes = qk_tracing(raw, nodes, places, file)
    for place in left.pinned:
        nodes[place] = replace(nodes[place], pinned=True)
    ours = atlas.block(raw, file)
    names = variant.names(raw) if ours is None else SourceNames("-", "-", None)
    transcoders, model = _named(names, raw, given, file)
    if names.transcoders is None and given.transcoders is None:
        notes += (UNNAMED,)
    parts = file_parts(data, file)
    about, unkept = source(raw, parts, variant, names, file)
    circuit = Circuit(
        prompt=_prompt(raw, nodes),
        model=Model(model, None, None, names.n_layers, None, None),
        transcoders=TranscoderSet(
            name=transcoders,
            revision=names.transcoders_revision,
            kind=None,
            activation=None,
            input_hook=None,
            output_hook=None,
            n_features=None,
            model_id=model,
            neuronpedia=names.pages,
            neuronpedia_attention=names.attention_pages,
        ),
        target=_target(raw),
        target_position=max((n.position for n in nodes if n.kind is NodeKind.LOGIT), default=0),
        node_threshold=_share(raw, "node_threshold"),
        edge_threshold=_share(raw, "edge_threshold"),
        max_feature_nodes=_positive_integer(raw.metadata.generation_settings, "max_feature_nodes"),
        max_edges=_positive_integer(raw.metadata.pruning_settings, "max_edges"),
        dtype=None,
        special_first_token=None,
        replacement_score=None,
        completeness_score=None,
        error_share=None,
        n_active_features=None,
        n_selected_features=None,
        kept_influence=None,
        nodes=tuple(nodes),
        edges=tuple(edges),
        labels=left.labels,
        supernodes=tuple(entry for entry in left.entries if entry is not None),
        weights=names.weights,
        qk_tracing=traced,
        target_logit=_target_logit(raw, nodes),
        source=about,
    )
    before = canonical(circuit)
    places_of = {node.key: place for place, node in enumerate(before.nodes)}
    order = [places_of[node.key] for node in nodes]
    if ours is not None:
        moved = {name: order[place] for name, place in places.items()}
        circuit = canonical(atlas.restore(before, ours, moved, raw, file))
    else:
        circuit = replace(before, content=digest(before))
    if variant is not ATLAS:
        if not unkept:
            change = None if ours is None else atlas.unfilled(ours)
            layout = layout_of(WholeFile(data, parts, file, change), circuit, order, edges, left.entries)
            about = replace(about, file_layout=layout)
            unkept = (TOO_LARGE,) if layout is None else ()
        sections = {name: getattr(about, name) for name in FILE_SECTIONS}
        circuit = replace(circuit, source=replace(circuit.source or about, **sections))
    cumulative, doubts = _doubts(raw, circuit)
    circuit = derive(circuit, influence=cumulative)
    prompt = circuit.prompt
    prompt = replace(
        prompt,
        family=given.family or prompt.family,
        tags=tuple(sorted({*prompt.tags, *given.tags})),
    )
    return Imported(replace(circuit, prompt=prompt), left.notes + notes + doubts + unkept)


def _doubts(raw: RawGraph, circuit: Circuit) -> tuple[bool, tuple[str, ...]]:
    """Whether the influences of a file are cumulative shares, and notes on those that are none."""
    carriers = [node for node in circuit.nodes if node.kind is not NodeKind.LOGIT]
    zeros = sum(node.cumulative == 0 and node.influence is None for node in carriers)
    notes: tuple[str, ...] = ()
    if zeros:
        notes = (
            f"the influence of {counted(zeros, 'node')} is 0, which is no cumulative share: left unknown",
        )
    # A logit's influence is its probability, whatever the file says.
    strange = [
        node.influence
        for node in raw.nodes
        if node.influence is not None and _share_of(node.influence) is None
    ]
    if strange:
        nodes = counted(len(strange), "node")
        return False, (
            f"the influence of {nodes} is outside 0 … 1 (such as {strange[0]:g}): left unknown, "
            "and no influence is derived",
            *notes,
        )
    ordered = [node for node in carriers if node.kind in (NodeKind.FEATURE, NodeKind.ERROR)]
    if not is_cumulative([node.cumulative for node in ordered if node.cumulative]):
        return False, (
            "the influence of the nodes is no cumulative share of all influence: none is derived from it",
            *notes,
        )
    return True, notes


def unnamed(*content: object) -> str:
    """The name of the transcoders of a graph that does not name them. content: what tells it from others."""
    return f"{_UNNAMED}{stable_id(*content)}"


def is_unnamed(transcoders: TranscoderSet) -> bool:
    """Whether the file of the transcoders' graph did not name them."""
    return transcoders.name.startswith(_UNNAMED)


def _named(found: SourceNames, raw: RawGraph, given: Given, file: str) -> tuple[str, str]:
    """The names of the transcoders and of the model. Raises FileError when one of them is empty."""
    transcoders = given.transcoders or found.transcoders
    if transcoders is None:
        # What people draw in a graph does not change this name.
        nodes = sorted(f"{node.node_id} {node.activation}" for node in raw.nodes)
        transcoders = unnamed(raw.metadata.prompt_tokens, nodes)
    model = given.model or (f"model of {transcoders}" if found.model is None else found.model)
    if not transcoders.strip() or not model.strip():
        raise FileError(
            file,
            "metadata.scan",
            "is empty, so the transcoders or the model have no name",
            next_step="name them with --transcoders and --model",
        )
    return transcoders, model


def _nodes(raw: RawGraph, variant: Variant, file: str) -> list[Node]:
    """The nodes in the order of the file."""
    tokens = raw.metadata.prompt_tokens
    nodes = [_node(raw, variant, node, place, tokens, file) for place, node in enumerate(raw.nodes)]
    above = 1 + max((node.layer for node in nodes if node.kind is not NodeKind.LOGIT), default=-1)
    seen: dict[str, int] = {}
    for place, node in enumerate(nodes):
        if node.kind is NodeKind.LOGIT and node.layer < 0:
            node = nodes[place] = replace(node, layer=max(above, 0))
        first = seen.setdefault(node.key, place)
        if first != place:
            raise FileError(
                file,
                f"nodes[{place}]",
                f"is the same {node.kind} as nodes[{first}]: layer {node.layer}, position {node.position}, "
                f"index {node.index}",
                next_step="keep one of the two",
            )
    return nodes


def _node(raw: RawGraph, variant: Variant, node: RawNode, place: int, tokens: list[str], file: str) -> Node:
    try:
        found = variant.place(node, raw)
    except ValueError as error:
        raise FileError(
            file, f"nodes[{place}]", str(error), next_step="correct the node, or leave the file out"
        ) from error
    if not 0 <= found.position < min(len(tokens), _POSITION_LIMIT):
        raise FileError(
            file,
            f"nodes[{place}].ctx_idx",
            f"is {found.position}, but there are {len(tokens)} prompt_tokens",
            next_step="correct the node, or leave the file out",
        )
    if len(found.component or "") > 200 or (found.index or 0) >= 2**63:
        raise FileError(
            file, f"nodes[{place}]", "its number or id is too large", next_step="correct the node"
        )
    token, probability, influence = None, None, node.raw_influence
    if found.kind is NodeKind.TOKEN:
        token = tokens[found.position] if node.token is None else node.token
    elif found.kind is NodeKind.LOGIT:
        token, probability = _output(node, variant)
        influence = probability
        if probability is not None and not 0 <= probability <= 1:
            raise FileError(
                file,
                f"nodes[{place}].token_prob",
                f"is {probability}, outside 0 … 1",
                next_step="correct the node, or leave the file out",
            )
    if token is not None and len(token) > TEXT_LIMIT:
        raise FileError(
            file, f"nodes[{place}].token", f"has more than {TEXT_LIMIT} characters", next_step="shorten it"
        )
    return Node(
        found.kind,
        found.layer,
        found.position,
        found.index,
        node.activation,
        influence,
        None if found.kind is NodeKind.LOGIT or node.influence is None else _share_of(node.influence),
        token,
        probability,
        found.component,
    )


def _share_of(value: float) -> float | None:
    """A cumulative influence, 0 to 1; None when the value is none. Some tools write other numbers there.

    circuit-tracer adds 32-bit numbers, so its last values can be a little above 1.
    """
    return min(value, 1.0) if 0 <= value <= 1 + 1e-5 else None


def _output(node: RawNode, variant: Variant) -> tuple[str | None, float | None]:
    """Text and probability of a logit, from their own keys or from the clerp that other tools write."""
    token, probability = node.token, node.token_prob or None
    clerp = node.clerp or ""
    if variant is not ATLAS and (found := _LOGIT.fullmatch(clerp) or _REMARKED_LOGIT.fullmatch(clerp)):
        token = found[1] if token is None else token
        if probability is None and re.fullmatch(r"\d\.?\d{0,17}(?:[eE]-\d{1,3})?", found[2]):
            probability = float(found[2]) or None
    return token, probability


def _places(raw: RawGraph, nodes: list[Node], file: str) -> dict[str, int]:
    """Node id → place. An id that a feature and an error share gives the place of the feature."""
    places: dict[str, int] = {}
    for place, node in enumerate(raw.nodes):
        first = places.setdefault(node.node_id, place)
        if first == place:
            continue
        kinds = {nodes[first].kind, nodes[place].kind}
        if kinds != {NodeKind.FEATURE, NodeKind.ERROR}:
            raise FileError(
                file,
                f"nodes[{place}].node_id",
                f"{node.node_id[:60]!r} is also the id of nodes[{first}]",
                next_step="give every node a different id",
            )
        if nodes[place].kind is NodeKind.FEATURE:
            places[node.node_id] = place
    return places


def _edges(raw: RawGraph, places: dict[str, int], nodes: list[Node], file: str) -> list[Edge]:
    shared = _shared(raw, places)
    # Links are read by column, because a file has tens of thousands of them and a loop would double the time.
    try:
        sources = [places[link.source] for link in raw.links]
        targets = [places[link.target] for link in raw.links]
    except KeyError:
        raise _no_such_end(raw.links, places, file) from None
    if shared:
        for number, link in enumerate(raw.links):
            if link.source in shared:
                sources[number] = _which(
                    raw.links, number, places, sources[number], shared[link.source], file
                )
    count = len(nodes)
    if len({target * count + source for source, target in zip(sources, targets, strict=True)}) < len(sources):
        seen: dict[tuple[int, int], int] = {}
        for number, pair in enumerate(zip(sources, targets, strict=True)):
            first = seen.setdefault(pair, number)
            if first != number:
                raise FileError(
                    file,
                    f"links[{number}]",
                    f"has the same source and target as links[{first}]",
                    next_step="keep one of the two",
                )
    if (found := backward_edge(nodes, list(zip(sources, targets, strict=True)))) is not None:
        number, reason = found
        raise FileError(
            file,
            f"links[{number}]",
            f"{reason}; effects run from earlier to later layers",
            next_step="write the graph again; a transposed matrix turns every link around",
        )
    weights, shares = [link.weight for link in raw.links], [link.share for link in raw.links]
    if any(abs(weight) > FLOAT32_MAX for weight in weights):
        number = next(n for n, weight in enumerate(weights) if abs(weight) > FLOAT32_MAX)
        raise FileError(
            file,
            f"links[{number}].weight",
            f"is {weights[number]:g}, beyond the largest 32-bit number",
            next_step="mend the value, or leave the file out",
        )
    return list(map(_EDGE, zip(sources, targets, weights, shares, strict=True)))


def _no_such_end(links: list[RawLink], places: dict[str, int], file: str) -> FileError:
    for number, link in enumerate(links):
        for end, name in (("source", link.source), ("target", link.target)):
            if name not in places:
                return FileError(
                    file,
                    f"links[{number}].{end}",
                    f"{name[:60]!r} is not the id of a node",
                    next_step="add the node, or remove the link",
                )
    raise AssertionError("both ends of every link are nodes")


def _shared(raw: RawGraph, places: dict[str, int]) -> dict[str, int]:
    """Id that a feature and an error share → place of the error."""
    if len(places) == len(raw.nodes):
        return {}
    return {node.node_id: place for place, node in enumerate(raw.nodes) if places[node.node_id] != place}


def _which(
    links: list[RawLink], number: int, places: dict[str, int], feature: int, error: int, file: str
) -> int:
    """The source of a link whose source id belongs to a feature and to an error.

    circuit-tracer writes the links of one target in the order of their sources, and features before errors.
    So the neighbouring links decide. An error is never a target.
    """
    link = links[number]
    before = links[number - 1] if number and links[number - 1].target == link.target else None
    after = links[number + 1] if number + 1 < len(links) and links[number + 1].target == link.target else None
    if before is not None and before.source == link.source:
        return error
    if after is not None and after.source == link.source:
        return feature
    low = -1 if before is None else places[before.source]
    high = len(places) + len(links) if after is None else places[after.source]
    fits = [place for place in (feature, error) if low < place < high]
    if len(fits) == 1:
        return fits[0]
    raise FileError(
        file,
        f"links[{number}].source",
        f"{link.source[:60]!r} is the id of a feature and of an error, and the links do not tell which",
        next_step="write the graph again with a circuit-tracer newer than July 2026",
    )


def _prompt(raw: RawGraph, nodes: list[Node]) -> Prompt:
    """The prompt. Its token ids are known when every token has a node with an id."""
    tokens = raw.metadata.prompt_tokens
    ids = {n.position: n.index for n in nodes if n.kind is NodeKind.TOKEN and n.index is not None}
    token_ids = tuple(ids[place] for place in range(len(tokens))) if len(ids) == len(tokens) else None
    return Prompt(raw.metadata.prompt, tuple(tokens), token_ids or None)


def _target(raw: RawGraph) -> str | None:
    settings = raw.metadata.generation_settings or {}
    most, wanted = _whole(settings.get("max_n_logits")), settings.get("desired_logit_prob")
    # A share; float() would fail for an integer of hundreds of digits.
    if most is not None and isinstance(wanted, int | float) and 0 <= wanted <= 1:
        return f"salient-logits({most}, {float(wanted)})"
    return None


def _target_logit(raw: RawGraph, nodes: list[Node]) -> str | None:
    """The key of the logit that the file marks as the target; of several, the most probable one."""
    marked = [
        node
        for node, found in zip(nodes, raw.nodes, strict=True)
        if found.is_target_logit and node.kind is NodeKind.LOGIT
    ]
    best = max(marked, key=lambda node: node.probability or 0.0, default=None)
    return None if best is None else best.key


def _share(raw: RawGraph, key: str) -> float | None:
    value = (raw.metadata.pruning_settings or {}).get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    return raw.metadata.node_threshold if key == "node_threshold" else None


def _positive_integer(settings: dict[str, Any] | None, key: str) -> int | None:
    value = _whole((settings or {}).get(key))
    return value if value is not None and 0 < value < 2**63 else None


def _whole(value: Any) -> int | None:
    """The whole number, also when it is written as 5.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None
