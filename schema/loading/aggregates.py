"""The arithmetic of all aggregates in one place: add circuits, remove one circuit, or recompute.

Loading, the bulk import, deletion and `atlas check` use these steps. The Cypher and the numpy code perform
the same operations on the same numbers in the same order, so both ways of loading store the same values.

DRIVES and DRIVES_IN, for the effects w_1 … w_n of one pair of features in the n circuits that have it
(Welford 1962, "Note on a method for calculating corrected sums of squares and products"):

    add        n' = n + 1, mean' = mean + (w - mean) / n', m2' = m2 + (w - mean) (w - mean'), for each w in
               the order of the circuits: however the circuits are grouped, the result has the same bits
    remove     the same steps backwards
    recompute  mean = sum of w_i / n, m2 = sum of (w_i - mean)^2
    always     sd = sqrt(m2 / n), sign_consistency = max(n_positive, n_negative) / n

FOUND_IN, and n_circuits, n_measured and influence of Feature: a count of USES, a count of USES with a known
influence, and the sum of these influences.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

LOST = 1e-6
"""When an aggregate shrinks below this share of its former size, rounding errors show. It is then
recomputed, as it is when it is infinite or NaN."""

# -- DRIVES and DRIVES_IN in Cypher, for the relationship d between features f and g, and an effect w or the
# effects ws of several circuits

_SIGN_CONSISTENCY = "CASE WHEN positive > negative THEN 1.0 * positive / n ELSE 1.0 * negative / n END"

_SET_EFFECT = f"""
SET d.n_circuits = n, d.n_positive = positive, d.n_negative = negative, d.mean = mean, d.m2 = m2,
    d.sd = sqrt(m2 / n), d.sign_consistency = {_SIGN_CONSISTENCY}
"""

# `s` holds n, mean and m2.
_STEPS = """reduce(s = [coalesce(d.n_circuits, 0), coalesce(d.mean, 0.0), coalesce(d.m2, 0.0)], w IN ws |
         [s[0] + 1, s[1] + (w - s[1]) / (s[0] + 1),
          s[2] + (w - s[1]) * (w - (s[1] + (w - s[1]) / (s[0] + 1)))])"""


def add_effects(create: str, then: str = "") -> str:
    """Adds ws to every d, and creates the d that are null.

    create: pattern in Cypher of the new relationship, with `properties` in the place of its properties.
    then: Cypher that follows, with one row f, g for each new relationship.
    """
    properties = f"""n_circuits: n, n_positive: positive, n_negative: negative, mean: mean, m2: m2,
                     sd: sqrt(m2 / n), sign_consistency: {_SIGN_CONSISTENCY}, pair: pair"""
    return f"""
WITH f, g, pair, d, CASE WHEN d IS NULL AND size(ws) = 1 THEN [1, ws[0], 0.0] ELSE {_STEPS} END AS s,
     coalesce(d.n_positive, 0) + size([w IN ws WHERE w > 0]) AS positive,
     coalesce(d.n_negative, 0) + size([w IN ws WHERE w < 0]) AS negative
WITH f, g, pair, d, positive, negative, s[0] AS n, s[1] AS mean, s[2] AS m2
CALL (d, positive, negative, n, mean, m2) {{
  WITH d, positive, negative, n, mean, m2 WHERE d IS NOT NULL
  {_SET_EFFECT}
}}
WITH f, g, pair, positive, negative, n, mean, m2, d WHERE d IS NULL
CREATE {create.replace("properties", properties)}
{then}"""


def remove_effect(cleanup: str = "") -> str:
    """Removes w from d, and deletes d when no circuit is left.

    cleanup: Cypher that runs for each d before it is deleted. The remaining rows are the f and g whose d has
    to be recomputed, because removing w left so little that rounding errors show.
    """
    return f"""
WITH f, g, w, d WHERE d IS NOT NULL
WITH f, g, w, d, d.n_circuits - 1 AS n, d.mean AS before,
     d.m2 + d.n_circuits * d.mean * d.mean AS size_before,
     d.n_positive - CASE WHEN w > 0 THEN 1 ELSE 0 END AS positive,
     d.n_negative - CASE WHEN w < 0 THEN 1 ELSE 0 END AS negative
FOREACH (gone IN CASE n WHEN 0 THEN [d] ELSE [] END | {cleanup} DELETE gone)
WITH * WHERE n > 0
WITH *, before + (before - w) / n AS mean
WITH *, d.m2 - (w - before) * (w - mean) AS left
WITH *, CASE WHEN n < 2 OR left < 0 THEN 0.0 ELSE left END AS m2
{_SET_EFFECT}
WITH f, g WHERE NOT m2 + n * mean * mean >= {LOST} * size_before
"""


MOMENTS = """
WITH *, size(ws) AS n, reduce(s = 0.0, w IN ws | s + w) / size(ws) AS mean
WITH *, reduce(s = 0.0, w IN ws | s + (w - mean) * (w - mean)) AS m2
"""
"""n, mean and m2 of the list `ws` of effects, one of each circuit."""

RECOMPUTED_EFFECT = f"""{MOMENTS}
WITH *, size([w IN ws WHERE w > 0]) AS positive, size([w IN ws WHERE w < 0]) AS negative
WITH *, sqrt(m2 / n) AS sd, {_SIGN_CONSISTENCY} AS sign_consistency
"""
"""n, positive, negative, mean, m2, sd and sign_consistency of the list `ws`."""

# -- FOUND_IN and the sums of Feature, for `sums`, a node or relationship with n_circuits, n_measured,
# influence


def add_uses(sums: str) -> str:
    """SET in Cypher that adds circuits to sums.

    `row.n` is the number of circuits, and `row.influences` are the influences that are known, in the order of
    the circuits.
    """
    return f"""
SET {sums}.n_circuits = coalesce({sums}.n_circuits, 0) + row.n,
    {sums}.n_measured = coalesce({sums}.n_measured, 0) + size(row.influences),
    {sums}.influence = reduce(sum = coalesce({sums}.influence, 0.0), each IN row.influences | sum + each)
"""


def remove_use(sums: str, influence: str, keep: str = "") -> str:
    """WITH and SET in Cypher that remove one circuit from sums.

    keep: the other variables that stay in scope, each followed by a comma. Afterwards `n` is the number of
    circuits that are left, and `lost` says whether the sum of influences has to be recomputed.
    """
    return f"""
WITH {keep} {sums}, {sums}.influence AS before, {sums}.n_circuits - 1 AS n,
     {sums}.n_measured - CASE WHEN {influence} IS NULL THEN 0 ELSE 1 END AS measured,
     {sums}.influence - coalesce({influence}, 0.0) AS influence
SET {sums}.n_circuits = n, {sums}.n_measured = measured,
    {sums}.influence = CASE measured WHEN 0 THEN 0.0 ELSE influence END
WITH {keep} {sums}, n, measured > 0 AND NOT abs(influence) >= {LOST} * abs(before) AS lost
"""


RECOMPUTED_USES = (
    "count(u) AS n_circuits, count(toFloatOrNull(u.influence)) AS n_measured, "
    "1.0 * sum(toFloatOrNull(u.influence)) AS influence"
)
"""The sums over USES relationships `u`. What is no number counts as absent."""

# -- the same steps in Python


def add_use_to(sums: dict[str, Any], influence: float | None) -> None:
    """`add_uses` of one circuit, for properties that wait in memory."""
    sums["n_circuits"] += 1
    if influence is not None:
        sums["n_measured"] += 1
        sums["influence"] += influence


NO_USES: dict[str, Any] = {"n_circuits": 0, "n_measured": 0, "influence": 0.0}
"""The sums before the first circuit."""


def effect_columns(
    sources: "np.ndarray[Any, Any]", targets: "np.ndarray[Any, Any]", weights: "np.ndarray[Any, Any]"
) -> Iterator[list["np.ndarray[Any, Any]"]]:
    """The steps of `add_effects` for many new pairs at once.

    sources, targets, weights: (n,) the effects of many circuits, in the order of the circuits. Gives at most
    one list of columns: source, target, and the properties of DRIVES before `pair` in their declared order.

    The effects are sorted by pair, and the order of the circuits is kept within a pair. Then step k = 1, 2, …
    adds the k-th effect of every pair that has so many effects.
    """
    # Importing numpy takes 0.1 s, and only the bulk import needs it.
    import numpy as np

    if not len(weights):
        return
    order = np.lexsort((np.arange(len(weights)), targets, sources))
    sources, targets, weights = sources[order], targets[order], weights[order]
    new = np.ones(len(weights), dtype=bool)
    new[1:] = (sources[1:] != sources[:-1]) | (targets[1:] != targets[:-1])
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(weights)))
    by_count = np.argsort(-counts, kind="stable")
    starts, counts = starts[by_count], counts[by_count]
    mean, m2 = np.zeros(len(starts)), np.zeros(len(starts))
    positive, negative = np.zeros(len(starts), dtype=np.int64), np.zeros(len(starts), dtype=np.int64)
    alive = len(starts)
    for k in range(int(counts[0])):
        while alive and counts[alive - 1] <= k:
            alive -= 1
        w, before = weights[starts[:alive] + k], mean[:alive].copy()
        mean[:alive] = before + (w - before) / (k + 1)
        m2[:alive] = m2[:alive] + (w - before) * (w - mean[:alive])
        positive[:alive] += w > 0
        negative[:alive] += w < 0
    sd, sign_consistency = np.sqrt(m2 / counts), np.maximum(positive, negative) / counts
    yield [sources[starts], targets[starts], counts, positive, negative, mean, m2, sd, sign_consistency]
