"""The demo: ingest the bundled prompts, serve the API, put three questions to it over HTTP, repeat three
studies.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from itertools import chain
from typing import Any

from rich.console import Console
from rich.markup import escape

from atlas.client import AtlasClient
from atlas.demo.studies import study_answers
from atlas.local.login import Login
from atlas.local.server import LocalServer
from atlas.serving.api_server import check_port, serving
from atlas.settings import Settings
from atlas.tables import Rows, print_rows
from ingest.circuits.run import IngestSettings, ingest
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.errors import AtlasError

STATE = "texas"
LAST_DIGITS = "6+9"
SHOWN = 10


def run_demo(
    settings: Settings,
    console: Console,
    *,
    once: bool,
    quick: bool,
    port: int,
    bolt_port: int,
    http_port: int,
) -> None:
    """Everything the demo does. With `quick` the studies are left out; with `once` it ends after the answers,
    else it serves until Ctrl-C.

    A local database that this call started is stopped at the end; its data stays. Raises what steps raise.
    """
    check_port("127.0.0.1", port)
    with _database(settings, bolt_port=bolt_port, http_port=http_port) as console_address:
        _ingest(settings, console)
        with serving(settings, port=port) as api, AtlasClient(api) as client:
            shown = chain(answers(client), () if quick else study_answers(settings, console))
            for number, (question, rows) in enumerate(shown, 1):
                console.print(f"\n[bold]{number}. {escape(question)}[/]", soft_wrap=True)
                print_rows(console, rows)
            if once:
                return
            _addresses(settings, console, api, console_address)
            try:
                while True:
                    time.sleep(3600)
            except KeyboardInterrupt:
                console.print("Stopping …")


@contextmanager
def _database(settings: Settings, *, bolt_port: int, http_port: int) -> Iterator[str | None]:
    """A running database; yields the console's address when it is a local one."""
    if settings.neo4j_uri is not None:
        yield None
        return
    local = LocalServer(settings.home)
    was_running = local.status().running
    address = local.start(bolt_port=bolt_port, http_port=http_port)
    try:
        yield address.browser_url
    finally:
        if not was_running:
            local.stop()


def _ingest(settings: Settings, console: Console) -> None:
    with Login(settings).connect() as database:
        summary = ingest(
            database,
            IngestSettings(prompts=PROMPTS_PATH, model=MODEL_DIR, transcoders=TRANSCODERS_DIR),
            console=console,
        )
    console.print(summary.sentence(), highlight=False, soft_wrap=True)
    if summary.problems:
        raise summary.problems[0]


def _addresses(settings: Settings, console: Console, api: str, browser: str | None) -> None:
    console.print("\n[bold]Look around[/]")
    console.print(f"GraphiQL       {api}")
    if browser is not None:
        login = Login(settings)
        console.print(
            f"Neo4j console  {browser}   user {login.user}, password {login.password}", soft_wrap=True
        )
        console.print(
            f"               connect to {login.uri}; queries to paste are in docs/console.md", soft_wrap=True
        )
        guide = api.replace("127.0.0.1", "localhost").removesuffix("/graphql") + "/guide.html"
        console.print(f"               and type there  :guide {guide}", soft_wrap=True)
    console.print("Scripts        examples/, and `.venv/bin/atlas query FILE.graphql --table`")
    console.print("Stop           Ctrl-C (the data stays; the next `make demo` takes seconds)")


def answers(client: AtlasClient) -> Iterator[tuple[str, Rows]]:
    """The three questions, each with its answer as a table. Raises AtlasError when the API does."""
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
    answer = client.query(_text("circuits_sharing"), {"features": [feature], "first": SHOWN})[
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
        f"{len(rows)} of {answer['totalCount']} circuits shown"
    )
    return question, Rows("", ["prompt", "answer", "influence", "fires on (positions from the end)"], rows)


def _carriers(shared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Features that fire on the last token, hence after both words of the city: most of the state's circuits
    and fewest others first."""
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
        f"{found['outside']['nCircuits']} harmless requests?\n   {found['totalCount']} features"
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
        f"   {found['totalCount']} features, the most typical first"
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
    return resources.files("atlas").joinpath("questions", f"{name}.graphql").read_text(encoding="utf-8")
