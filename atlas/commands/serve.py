"""`atlas serve`: the GraphQL API, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import out
from atlas.settings import Settings
from schema.errors import InputError


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; everyone who reaches it can read.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the token that requests must carry.")
    ] = None,
    introspection: Annotated[bool, typer.Option(help="Tell who asks the schema; GraphiQL needs it.")] = True,
    running: Annotated[
        int,
        typer.Option(
            min=1,
            help="Queries at a time, at most. More than about four times the cores of the database make all "
            "of them slower.",
        ),
    ] = 8,
    waiting: Annotated[
        int,
        typer.Option(
            min=0,
            help="Queries that wait for one of these to end, at most, served in the order of coming; who "
            "comes when the line is full is told to try again (429).",
        ),
    ] = 200,
    connections: Annotated[
        int,
        typer.Option(
            min=2,
            help="Connections to the database, at most: two for each of --running, and some to spare. They "
            "are opened as needed; a database that other programs use, too, may want fewer.",
        ),
    ] = 100,
    otel_endpoint: Annotated[
        str | None,
        typer.Option(
            help="Send traces to this OpenTelemetry collector (OTLP over HTTP), such as "
            "http://localhost:4318. They hold queries and their arguments. Needs the extra `otel`.",
            show_default="what OTEL_EXPORTER_OTLP_ENDPOINT says, else none",
        ),
    ] = None,
) -> None:
    """Serve the GraphQL API, with GraphiQL in the browser, until Ctrl-C.

    Each request leaves a line of JSON on the standard error output; /metrics is for Prometheus.
    """
    from api.request.limits import Limits
    from atlas.serving.api_server import serve as run

    if connections <= running:
        raise InputError(
            f"--connections {connections} is too few for --running {running}: a download needs two at times",
            next_step=f"give --connections {2 * running}",
        )

    run(
        Settings.load(),
        out,
        host=host,
        port=port,
        token_file=token_file,
        limits=Limits(introspection=introspection, running=running, waiting=waiting),
        connections=connections,
        otel_endpoint=otel_endpoint,
    )
