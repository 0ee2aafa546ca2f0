"""The demo's three questions across circuits, each with its answer as a table."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

from atlas.client import AtlasClient
from atlas.tables import Rows
from schema.counted import counted
from schema.errors import AtlasError

STATE = "texas"
"""The state whose two-hop circuits the first question is about."""
LAST_DIGITS = "6+9"
"""The last digits of the two summands that the third question is about."""
MAX_ROWS = 10
"""Circuits shown in the answer to the first question."""


def answers(client: AtlasClient) -> Iterator[tuple[str, Rows]]:
    """Ask the three questions. Yields each with its answer as a table. Raises what `AtlasClient.query`
    raises."""
    yield state_between_hops(client)
    yield refusals(client)
    yield last_digits(client)


def state_between_hops(client: AtlasClient) -> tuple[str, Rows]:
    """Which circuits share the feature that carries a state between two hops?"""
    tag = f"state:{STATE}"
    shared = client.query(_text("state_features"), {"tag": tag, "minCircuits": 2})["sharedFeatures"]
    carrier = next(iter(_carriers(shared["nodes"])), None)
    if carrier is None:
        raise AtlasError(f"No feature is shared by the two-hop circuits of {STATE}")
    feature = carrier["feature"]["id"]
    answer = client.query(_text("circuits_sharing"), {"features": [feature], "first": MAX_ROWS})[
        "circuitsSharing"
    ]
    rows = []
    for item in answer["nodes"]:
        (use,) = item["uses"]
        places = ", ".join(f"{o['token'].strip()} (-{o['positionFromEnd']})" for o in use["occurrences"])
        circuit = item["circuit"]
        rows.append([circuit["prompt"]["text"], circuit["answer"], use["influence"], places])
    question = (
        f"Which circuits share the feature that carries {STATE} between two hops?\n"
        f"   Feature {feature}: {_label(carrier)}\n"
        f"   It is in {carrier['nCircuits']} of {carrier['nConsidered']} two-hop circuits about {STATE} "
        f"and in {carrier['nCircuitsOutside']} of {carrier['nConsideredOutside']} others; "
        f"{len(rows)} of {counted(answer['totalCount'], 'circuit')} shown"
    )
    return question, Rows("", ["prompt", "answer", "influence", "fires on (positions from the end)"], rows)


def _carriers(shared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Features that fire on the last token, hence after both words of the city. The features come first that
    occur in most circuits of the state and in fewest others."""
    at_the_end = [
        item
        for item in shared
        if any(
            occurrence["positionFromEnd"] == 0
            for use in item["feature"]["circuits"]["nodes"]
            for occurrence in use["occurrences"]
        )
    ]
    return sorted(
        at_the_end or shared,
        key=lambda item: (
            item["nCircuitsOutside"] / item["nConsideredOutside"] - item["nCircuits"] / item["nConsidered"],
            item["feature"]["id"],
        ),
    )


def refusals(client: AtlasClient) -> tuple[str, Rows]:
    """Which features are shared by all refusals and absent from harmless requests?"""
    n = _count(client, "refuse")
    found = client.query(_text("refusals"), {"minCircuits": n})["sharedFeatures"]
    question = (
        f"Which features are shared by all {n} refusals and absent from all "
        f"{found['outside']['nCircuits']} harmless requests?\n   {counted(found['totalCount'], 'feature')}"
    )
    return question, _shared("", found["nodes"], "refuse", "safe")


def last_digits(client: AtlasClient) -> tuple[str, Rows]:
    """Which features do addition problems with the same last digits share?"""
    tag = f"ones:{LAST_DIGITS}"
    n = _count(client, tag)
    enough = max(2, n - 1)
    variables = {"tag": tag, "minCircuits": enough}
    found = client.query(_text("last_digits"), variables)["sharedFeatures"]
    question = (
        f"Which features do the {n} additions that end in {LAST_DIGITS} share (at least {enough} of them)?\n"
        f"   {counted(found['totalCount'], 'feature')}, the most typical first"
    )
    return question, _shared("", found["nodes"], f"of …{LAST_DIGITS}", "others")


def _shared(title: str, nodes: list[dict[str, Any]], inside: str, outside: str) -> Rows:
    rows = [
        [
            item["feature"]["id"],
            f"{item['nCircuits']}/{item['nConsidered']}",
            f"{item['nCircuitsOutside']}/{item['nConsideredOutside']}",
            item["meanInfluence"],
            _label(item),
        ]
        for item in nodes
    ]
    return Rows(title, ["feature", inside, outside, "mean influence", "label"], rows)


def _label(item: dict[str, Any]) -> str:
    labels = item["feature"]["labels"]
    return str(labels[0]["text"]) if labels else "(no label)"


def _count(client: AtlasClient, tag: str) -> int:
    return int(client.query(_text("count_tag"), {"tag": tag})["circuits"]["totalCount"])


def _text(name: str) -> str:
    return resources.files("atlas.demo").joinpath("graphql", f"{name}.graphql").read_text(encoding="utf-8")
