"""Finds communities in a weighted graph, and compares them with rewired graphs, which have none.

1. Leiden (Traag, Waltman, van Eck 2019, doi:10.1038/s41598-019-41695-z) for modularity
   Q = 1/2m Σ_ij (w_ij − γ k_i k_j / 2m) [i and j in one module], repeated until nothing changes.
2. Null: swap the ends of edges at random, so that every node keeps its number of edges, distribute the
   weights anew, and search again. Sparse random graphs have a high modularity, too, so only the difference
   is evidence (Guimerà, Sales-Pardo, Amaral 2004, doi:10.1103/PhysRevE.70.025101).
"""

import random
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import NamedTuple

import igraph

SWAPS = 10
"""Attempted swaps per edge."""


class Link(NamedTuple):
    """An undirected edge."""

    source: int
    target: int
    weight: float
    """Above 0."""


class Communities(NamedTuple):
    """The modules of a graph."""

    membership: list[int]
    """Module of each node. Modules are numbered from 0 by size, the largest first, then by first node."""
    modularity: float
    null_mean: float | None
    """Mean modularity over the rewired graphs; None when n_null is 0."""
    null_sd: float | None


def communities(n: int, links: Sequence[Link], *, seed: int, resolution: float, n_null: int) -> Communities:
    """Modules of the nodes 0 … n-1. Equal arguments give equal modules.

    links: no pair may occur twice; seed: of the random numbers; resolution: γ; n_null: rewired graphs.
    """
    rng = random.Random(seed)
    igraph.set_random_number_generator(rng)
    try:
        graph = igraph.Graph(n, [(link.source, link.target) for link in links])
        weights = [link.weight for link in links]
        membership, modularity = _search(graph, weights, resolution)
        null = []
        for _ in range(n_null):
            other, dealt = graph.copy(), rng.sample(weights, len(weights))
            other.rewire(n=SWAPS * len(links))
            null.append(_search(other, dealt, resolution)[1])
    finally:
        igraph.set_random_number_generator(random)
    return Communities(
        _numbered(membership),
        modularity,
        fmean(null) if null else None,
        pstdev(null) if null else None,
    )


def _search(graph: igraph.Graph, weights: list[float], resolution: float) -> tuple[list[int], float]:
    found = graph.community_leiden(
        objective_function="modularity", weights=weights, resolution=resolution, n_iterations=-1
    )
    value = graph.modularity(found.membership, weights=weights, resolution=resolution)
    return found.membership, float(value)


def _numbered(membership: Sequence[int]) -> list[int]:
    members: dict[int, list[int]] = {}
    for node, module in enumerate(membership):
        members.setdefault(module, []).append(node)
    order = sorted(members, key=lambda module: (-len(members[module]), members[module][0]))
    number = {module: place for place, module in enumerate(order)}
    return [number[module] for module in membership]
