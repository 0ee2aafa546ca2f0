"""What changes in the circuit when one word of the prompt changes? The features that differ most.

    python examples/minimal_pair.py --a CIRCUIT --b CIRCUIT --out pair.png

Without --a and --b, the script takes the first two circuits whose prompts are marked as a pair. A bar is the
influence in a minus the influence in b. A feature that a circuit does not have counts as 0 there, also when
it was only pruned.
"""

from collections import defaultdict
from typing import Any

from drawing import axes, draw, names

from atlas.client import AtlasClient
from schema.errors import InputError

CIRCUITS = """query ($after: String) { circuits(first: 100, after: $after) {
  pageInfo { hasNextPage endCursor } nodes { id transcoders { id } prompt { pair } } } }"""
PROMPTS = """query ($a: ID!, $b: ID!) {
  a: circuit(id: $a) { answer prompt { text } } b: circuit(id: $b) { answer prompt { text } } }"""


def first_pair(client: AtlasClient) -> tuple[str, str]:
    """Ids of two circuits whose prompts are marked as a pair. Raises InputError when there is no pair."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for circuit in client.nodes(CIRCUITS):
        pair = circuit["prompt"]["pair"]
        if pair is not None:
            of_pair = found[pair, circuit["transcoders"]["id"]]
            of_pair.append(circuit["id"])
            if len(of_pair) == 2:
                return of_pair[0], of_pair[1]
    raise InputError("No prompts are marked as a pair", next_step="name two circuits with --a and --b")


def differences(client: AtlasClient, a: str, b: str) -> dict[str, float]:
    """Feature → influence in a minus influence in b. The largest differences come first."""
    found: dict[str, float] = defaultdict(float)
    for part in ("OnlyInA", "OnlyInB", "InBoth"):
        rows = client.download(f"compareCircuits.features{part}", a=a, b=b)
        for row in rows.iter_rows(named=True):
            found[row["feature"]] += (row["influence_a"] or 0.0) - (row["influence_b"] or 0.0)
    return dict(sorted(found.items(), key=lambda each: (-abs(each[1]), each[0])))


def picture(client: AtlasClient, a: str | None, b: str | None, first: int) -> Any:
    left, right = (a, b) if a is not None and b is not None else first_pair(client)
    found = dict(list(differences(client, left, right).items())[:first])
    said = client.query(PROMPTS, {"a": left, "b": right})
    values = list(found.values())[::-1]
    figure, plot = axes(8, 1.5 + 0.25 * len(found))
    plot.barh(
        names(client, list(found)[::-1]),
        values,
        color=["tab:blue" if value > 0 else "tab:orange" for value in values],
    )
    plot.axvline(0, color="black", linewidth=0.8)
    plot.tick_params(axis="y", labelsize=7)
    plot.set_xlabel("influence in a − influence in b")
    plot.set_title(
        "\n".join(f"{side}: {said[side]['prompt']['text']} → {said[side]['answer']}" for side in "ab"),
        fontsize=9,
        loc="left",
    )
    return figure


if __name__ == "__main__":
    draw(__doc__, picture, out="pair.png", a=None, b=None, first=25)
