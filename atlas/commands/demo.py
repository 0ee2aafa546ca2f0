"""`atlas demo`: what the atlas does, on the bundled model and prompts."""

import time
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.markup import escape

from atlas.commands.options import ApiPort, BoltPort, HttpPort, out, use_cores
from atlas.settings import Settings
from atlas.tables import Rows, print_rows


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the answers.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Skip the studies.")] = False,
    port: ApiPort = 8000,
    bolt_port: BoltPort = 7687,
    http_port: HttpPort = 7474,
) -> None:
    """Ingest the bundled prompts, answer three questions across their graphs and repeat three studies.

    For example: `atlas demo --quick`. The command then serves the API and the Neo4j console until Ctrl-C; it
    prints their addresses. A local database that the demo started is stopped at the end, and its data stays.
    """
    from atlas.demo.questions import answers
    from atlas.demo.running import running_demo
    from atlas.demo.studies import study_answers, study_inputs

    settings = Settings.load()
    use_cores()
    with running_demo(settings, out, port=port, bolt_port=bolt_port, http_port=http_port) as running:
        number = _print_answers(answers(running.client), 1)
        if not quick:
            inputs = study_inputs(settings, out)
            use_cores(
                1
            )  # The rates of the studies' pages come from one thread; more would add in another order.
            _print_answers(study_answers(inputs), number)
        if once:
            return
        running.print_addresses(out)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            out.print("Stopping …")


def _print_answers(answers: Iterable[tuple[str, Rows]], number: int) -> int:
    """Print questions with their answers, numbered from `number`. Returns the next number."""
    for question, rows in answers:
        out.print(f"\n[bold]{number}. {escape(question)}[/]", soft_wrap=True)
        print_rows(out, rows)
        number += 1
    return number
