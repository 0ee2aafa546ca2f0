"""Neuronpedia's graph JSON, and graphs that others upload to Neuronpedia. `scan` names the model.

Numbers of features are Cantor pairings when the file has a `schema_version` or a source set. In older files
they are the layer and five digits for gemma-2-2b, and the index alone for qwen3-4b.
"""

import re
from urllib.parse import parse_qs, urlsplit

import msgspec

from schema.circuit.neuronpedia_pages import PUBLISHED
from schema.circuit.records import NodeKind
from schema.formats.circuit_tracer import logit_layer, plain_place
from schema.formats.numbers import feature_index
from schema.formats.raw import RawGraph, RawNode
from schema.formats.variant import (
    Explained,
    NodePlace,
    SourceNames,
    Variant,
    kind,
    layer_number,
    section,
)

_ADDRESS = re.compile(
    r"https?://(?:www\.)?neuronpedia\.org/(?P<model>[^/?#]+)/(?:\d{1,4}-)?(?P<set>[^/?#]+)/?(?:[?#].*)?",
    re.ASCII,
)
"""Of a set, such as gemma-2-2b/clt-hp, or of the part of a set that one layer has: gemma-2-2b/20-clt-hp."""
_FIVE_DIGITS = "gemma-2-2b"
_FIRST_SETS = {"gemma-2-2b": "gemmascope-transcoder-16k"}
"""Model → the source set of the graphs that were made before files named a source set."""
_FIRST_MODELS = ("gemma-2-2b", "qwen3-4b")
"""The models of those graphs. There was one set of transcoders for each."""


def source_set(graph: RawGraph) -> str | None:
    """The name of the source set: from the documented key, from the key that Neuronpedia reads, or from the
    address of the source."""
    metadata = graph.metadata
    return (
        section(metadata.feature_details, "neuronpedia_source_set")
        or section(metadata.info, "neuronpedia_source_set")
        or _set_of_address(graph)
    )


def _set_of_address(graph: RawGraph) -> str | None:
    """The set in an address of the model's features, such as https://neuronpedia.org/gemma-2-2b/clt-hp."""
    addresses = (graph.metadata.info or {}).get("source_urls")
    for address in addresses if isinstance(addresses, list) else [addresses]:
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is not None and found["model"] == graph.metadata.scan:
            return found["set"]
    return None


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    if what is not NodeKind.FEATURE:
        return plain_place(node, what)
    metadata, layer = graph.metadata, layer_number(node)
    paired = metadata.schema_version is not None or source_set(graph) is not None
    digits = 5 if metadata.scan == _FIVE_DIGITS else None
    return NodePlace(what, layer, node.ctx_idx, feature_index(node, layer, paired=paired, digits=digits))


def names(graph: RawGraph) -> SourceNames:
    metadata, found = graph.metadata, source_set(graph)
    hub_name, pages = section(metadata.info, "transcoder_set"), _pages(graph)
    first = metadata.schema_version is None and metadata.scan in _FIRST_MODELS
    transcoders = found or hub_name or (_FIRST_SETS.get(metadata.scan) if first else None)
    unnamed = f"transcoders of {metadata.scan}" if first else None
    return SourceNames(
        model=metadata.scan,
        transcoders=f"{metadata.scan}/{transcoders}" if transcoders else unnamed,
        n_layers=logit_layer(graph),
        source_set=found,
        pages=pages,
    )


def _pages(graph: RawGraph) -> str | None:
    """Model and source set under which Neuronpedia has the features of the graph; None when unknown."""
    metadata = graph.metadata
    found = source_set(graph)
    if found is None and metadata.schema_version is None:
        found = _FIRST_SETS.get(metadata.scan)
    if found is not None:
        return f"{metadata.scan}/{found}" if metadata.scan and "/" not in metadata.scan else None
    return PUBLISHED.get(section(metadata.info, "transcoder_set") or "")


def explained(graph: RawGraph) -> Explained | None:
    """Whether `clerp` holds Neuronpedia's explanations, and which texts a person wrote in their place.

    Neuronpedia's graph servers leave `clerp` empty. Its viewer shows the explanations of a feature's page in
    place of `clerp`, and a downloaded graph has them in `clerp`, together with the texts that a person wrote
    over them. The address of the viewer (`info.neuronpedia_link`) names these texts. A graph that another
    tool made and somebody uploaded has neither that address nor Neuronpedia's own address as its creator's.
    """
    info = graph.metadata.info
    link = section(info, "neuronpedia_link")
    made_there = _is_neuronpedia(section(info, "creator_url"))
    if _pages(graph) is None or not (made_there or _is_neuronpedia(link)):
        return None
    return Explained(AUTHOR, _texts_of_people(link))


def _is_neuronpedia(address: str | None) -> bool:
    try:
        host = urlsplit(address or "").hostname or ""
    except ValueError:
        return False
    return host.removeprefix("www.") == "neuronpedia.org"


def _texts_of_people(link: str | None) -> tuple[tuple[str, str], ...]:
    """The labels in an address of the viewer: key and text of each."""
    try:
        found = parse_qs(urlsplit(link or "").query).get("clerps", ["[]"])[-1]
        return tuple(msgspec.json.decode(found, type=list[tuple[str, str]]))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return ()


AUTHOR = "neuronpedia"
"""Author of labels whose author a file does not name, and of explanations that Neuronpedia shows."""
NEURONPEDIA = Variant("neuronpedia", lambda graph: True, place, names, author=AUTHOR, explained=explained)
