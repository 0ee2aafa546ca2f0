"""The pages that Neuronpedia has for features: which sets have pages, and the address of a feature's page.

Neuronpedia names a set by its model and its source set, such as `gemma-2-2b/clt-hp`. Graph files say so. For
published sets whose graphs do not say so, the table below does.
"""

from typing import NamedTuple
from urllib.parse import quote, urlsplit

SITE = "https://www.neuronpedia.org"

PUBLISHED = {
    "mntss/gemma-scope-transcoders": "gemma-2-2b/gemmascope-transcoder-16k",
    "gemma": "gemma-2-2b/gemmascope-transcoder-16k",
    "mntss/clt-gemma-2-2b-2.5M": "gemma-2-2b/clt-hp",
    "mwhanna/qwen3-4b-transcoders": "qwen3-4b/transcoder-hp",
}
"""Name of a set on the hub, or circuit-tracer's short name of it → model and source set. Source: the table of
sets in Neuronpedia's graph server (`apps/graph/neuronpedia_graph/server.py`)."""


class Pages(NamedTuple):
    """Where Neuronpedia has the features of one transcoder set."""

    mlp: str | None
    """Model and source set of the features of MLPs; None when unknown."""
    attention: str | None = None
    """Model and source set of the features of attention; None when unknown."""


def is_of_site(address: str | None) -> bool:
    """Whether an address is one of Neuronpedia's."""
    try:
        host = urlsplit(address or "").hostname or ""
    except ValueError:
        return False
    return host.removeprefix("www.") == "neuronpedia.org"


def pages_of(name: str, mlp: str | None, attention: str | None) -> Pages:
    """The pages of a set. name: of the transcoders. mlp, attention: what files say, if they say it."""
    return Pages(mlp or PUBLISHED.get(name), attention)


def feature_url(pages: Pages, layer: int, index: int, component: str | None = None) -> str | None:
    """The address of a feature's page; None when it is unknown. component: as in `Node`."""
    found = pages.mlp if component is None else pages.attention
    if found is None:
        return None
    model, _, source_set = (quote(part, safe="") for part in found.partition("/"))
    return f"{SITE}/{model}/{layer}-{source_set}/{index}"
