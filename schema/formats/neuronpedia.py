"""Neuronpedia's graph JSON, and graphs that others upload to Neuronpedia. `scan` names the model.

Numbers of features are Cantor pairings when the file has a `schema_version` or a source set. In older files
they are the layer and five digits for gemma-2-2b, and the index alone for qwen3-4b (`first_sets`).
"""

import re
from urllib.parse import parse_qs, urlsplit

import msgspec

from schema.circuit.neuronpedia_pages import PUBLISHED, is_of_site
from schema.circuit.records import NodeKind
from schema.formats.circuit_tracer import logit_layer, plain_place
from schema.formats.first_sets import DIGITS, SETS, is_of_first_sets
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
_NO_SETS = {"graph", "steer"}
"""What stands at the place of the set in addresses of other pages of a model."""


def source_set(graph: RawGraph) -> str | None:
    """The name of the source set: from the documented key, from the key that Neuronpedia reads, or from the
    address of the source. None when the file names none, or several.
    """
    metadata = graph.metadata
    for values in (metadata.feature_details, metadata.info):
        # Some tools write the address of the set, or the model before it.
        if name := section(values, "neuronpedia_source_set"):
            return _set_of_address(name, graph) or name.removeprefix(f"{metadata.scan}/")
    addresses = (metadata.info or {}).get("source_urls")
    sets = {
        found
        for address in (addresses if isinstance(addresses, list) else [addresses])
        if isinstance(address, str) and (found := _set_of_address(address, graph))
    }
    return sets.pop() if len(sets) == 1 else None


def _set_of_address(address: str, graph: RawGraph) -> str | None:
    """The set in an address of the model's features, such as https://neuronpedia.org/gemma-2-2b/clt-hp."""
    found = _ADDRESS.fullmatch(address)
    if found is None or found["model"] != graph.metadata.scan or found["set"] in _NO_SETS:
        return None
    return found["set"]


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    if what is not NodeKind.FEATURE:
        return plain_place(node, what)
    metadata, layer = graph.metadata, layer_number(node)
    paired = metadata.versioned or source_set(graph) is not None
    digits = DIGITS.get(metadata.scan)
    return NodePlace(what, layer, node.ctx_idx, feature_index(node, layer, paired=paired, digits=digits))


def names(graph: RawGraph) -> SourceNames:
    metadata, found = graph.metadata, source_set(graph)
    hub_name, pages = section(metadata.info, "transcoder_set"), _pages(graph)
    first = is_of_first_sets(graph)
    transcoders = found or hub_name or (SETS.get(metadata.scan) if first else None)
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
    found, hub_name = source_set(graph), section(metadata.info, "transcoder_set")
    if found is None and hub_name is not None:
        return PUBLISHED.get(hub_name)
    if found is None and is_of_first_sets(graph):
        found = SETS.get(metadata.scan)
    if found is None or not metadata.scan or "/" in metadata.scan:
        return None
    return f"{metadata.scan}/{found}"


def explained(graph: RawGraph) -> Explained | None:
    """Whether `clerp` holds Neuronpedia's explanations, and which texts a person wrote in their place.

    Neuronpedia's graph servers leave `clerp` empty. Its viewer shows the explanations of a feature's page in
    place of `clerp`, and a downloaded graph has them in `clerp`, together with the texts that a person wrote
    over them. The address of the viewer (`info.neuronpedia_link`) names these texts. A graph that another
    tool made and somebody uploaded has neither that address nor Neuronpedia's own address as its creator's.
    """
    info = graph.metadata.info
    link = section(info, "neuronpedia_link")
    made_there = is_of_site(section(info, "creator_url"))
    if _pages(graph) is None or not (made_there or is_of_site(link)):
        return None
    return Explained(AUTHOR, _texts_of_people(link))


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
