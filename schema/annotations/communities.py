"""Communities of a weighted graph, with what a graph without any would give; pure.

1. Leiden (Traag, Waltman, van Eck 2019, doi:10.1038/s41598-019-41695-z) for modularity
   Q = 1/2m Σ_ij (w_ij − γ k_i k_j / 2m) [i and j in one module], until an iteration changes nothing.
2. The null: the ends of all edges swapped at random so that every node keeps its number of edges, the
   weights dealt out again, and the same search. Sparse random graphs have a high modularity, too: only the
   difference says anything (Guimerà, Sales-Pardo, Amaral 2004, doi:10.1103/PhysRevE.70.025101).
"""

import random
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import NamedTuple

import igraph

SWAPS = 10
"""Tries to swap ends, per edge."""


class Link(NamedTuple):
    """An edge without direction."""

    source: int
    target: int
    weight: float
    """Above 0."""


class Communities(NamedTuple):
    """What was found."""

    membership: list[int]
    """Module of each node; modules are numbered from 0, the largest first, ties by their first node."""
    modularity: float
    null_mean: float | None
    """Over the rewired graphs; None when none was asked for."""
    null_sd: float | None


def communities(n: int, links: Sequence[Link], *, seed: int, resolution: float, n_null: int) -> Communities:
    """Modules of the nodes 0 … n-1; the same for the same arguments. No pair may be linked twice."""
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
