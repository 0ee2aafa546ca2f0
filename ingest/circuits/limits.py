"""Limits of the graphs that are computed and stored."""

MAX_FEATURE_NODES = 7500
"""Features of one graph that are attributed unless another limit is given. circuit-tracer's command has the
same limit."""

MANY_EDGES = 50_000
"""A graph with more edges is announced before it is stored. A pruned graph of a short prompt has 1 000 to
20 000."""


def parse_limit(given: str | int) -> int | None:
    """The number of `--max-feature-nodes` and `--max-edges`, from 1 up; None for the text `none`.

    Raises ValueError for anything else.
    """
    if str(given).strip().lower() == "none":
        return None
    if (number := int(given)) < 1:
        raise ValueError(given)
    return number
