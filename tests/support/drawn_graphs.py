"""Hypothesis strategies for graph files of every dialect, in forms and orders that files can have."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.support.graph_files import ALL, Graph

NUMBERS = st.floats(-100, 100, allow_nan=False, width=32)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
"""Any JSON."""
UNKNOWN = st.dictionaries(TEXTS.map("x-{}".format), VALUES, max_size=2)
"""Keys that no tool has."""
INFO = st.fixed_dictionaries(
    {},
    optional={
        "creator_name": TEXTS | st.integers(),
        "creator_url": TEXTS | st.none(),
        "source_urls": st.lists(TEXTS, max_size=3) | TEXTS,
        "create_time_ms": st.integers(0, 2**60) | TEXTS,
        "generator": st.fixed_dictionaries({"name": TEXTS}, optional={"version": TEXTS, "url": TEXTS}),
        "neuronpedia_link": TEXTS,
    },
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "max_n_logits": st.integers(1, 20),
        "desired_logit_prob": st.floats(0, 1),
        "batch_size": st.integers(1, 500),
        "max_feature_nodes": st.integers(1, 9000) | st.none(),
        "enable_qk_tracing": st.booleans(),
    },
)


@st.composite
def graph_files(draw: st.DrawFn) -> Graph:
    """A file of any dialect in any order, with several forms of ids, pins, supernodes and odd keys."""
    name = draw(st.sampled_from(sorted(ALL)))
    graph = ALL[name]()
    nodes, links, metadata = graph["nodes"], graph["links"], graph["metadata"]
    if name in ("circuit-tracer", "neuronpedia", "anthropic"):
        _rename(graph, draw(st.sampled_from(("{layer}_-1_{ctx_idx}", "0_{layer}_{ctx_idx}", "e{layer}"))))
    graph["nodes"] = nodes = draw(st.permutations(nodes))
    graph["links"] = links = draw(st.permutations(links))
    if draw(st.booleans()):
        places = {node["node_id"]: place for place, node in enumerate(nodes)}
        links.sort(key=lambda link: (places[link["source"]], places[link["target"]]))
    for node in nodes:
        node |= draw(UNKNOWN)
        if draw(st.booleans()):
            node["influence"] = draw(st.none() | st.floats(-1, 2))
        if node["feature_type"] == "cross layer transcoder":
            node["clerp"] = draw(TEXTS)
            node["activation"] = draw(NUMBERS | st.none())
        if draw(st.booleans()):
            node |= {"is_target_logit": False, "run_idx": 0, "reverse_ctx_idx": draw(st.integers(0, 1))}
    for link in links:
        link["weight"] = draw(NUMBERS)
        if draw(st.integers(0, 5)) == 0:
            link |= draw(UNKNOWN)
    metadata |= draw(UNKNOWN)
    if name != "circuit-tracer":  # a source would make it Neuronpedia's
        metadata["info"] = draw(INFO)
    metadata |= draw(
        st.fixed_dictionaries(
            {}, optional={"generation_settings": SETTINGS, "pruning_settings": UNKNOWN, "title_prefix": TEXTS}
        )
    )
    _draw_view(draw, graph)
    return graph | draw(UNKNOWN)


def _draw_view(draw: st.DrawFn, graph: Graph) -> None:
    key = draw(st.sampled_from(("node_id", "jsNodeId")))
    ids = st.sampled_from([node[key] for node in graph["nodes"]] + ["no_such_node"])
    groups = draw(st.lists(st.tuples(TEXTS, st.lists(ids, max_size=4)), max_size=3))
    view: dict[str, Any] = draw(UNKNOWN) | {
        "pinnedIds": draw(st.lists(ids, max_size=4)),
        "supernodes": [[label, *members] for label, members in groups],
        "clerps": [[draw(ids), draw(TEXTS)] for _ in range(draw(st.integers(0, 2)))],
        "linkType": draw(st.sampled_from(("both", "either", None))),
        "sg_pos": draw(TEXTS),
    }
    for name in draw(st.sets(st.sampled_from(sorted(view)))):
        del view[name]
    if draw(st.booleans()):  # as web addresses and viewers hold them
        for name in view.keys() & {"supernodes", "clerps"}:
            view[name] = json.dumps(view[name])
        if "pinnedIds" in view:
            view["pinnedIds"] = ",".join(view["pinnedIds"])
    graph["qParams"] = view
    if draw(st.integers(0, 5)) == 0:
        del graph["qParams"]


def _rename(graph: Graph, form: str) -> None:
    """Give the errors ids of another form."""
    new = {
        node["node_id"]: form.format(**node)
        for node in graph["nodes"]
        if node["feature_type"] == "mlp reconstruction error"
    }
    for node in graph["nodes"]:
        if node["node_id"] in new:
            node["node_id"] = new[node["node_id"]]
            node["jsNodeId"] = f"{node['node_id']}-0"
    for link in graph["links"]:
        link["source"] = new.get(link["source"], link["source"])
