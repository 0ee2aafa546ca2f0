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
        str, typer.Option(help="Address to listen on. Everyone who can reach it can read all circuits.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token that requests must carry. Mutations are allowed only with a token."
        ),
    ] = None,
    introspection: Annotated[
        bool, typer.Option(help="Answer questions about the GraphQL schema. GraphiQL needs this.")
    ] = True,
    running: Annotated[
        int,
        typer.Option(
            min=1,
            help="The most questions that the database is asked at the same time. More than about four times "
            "the number of its cores make all questions slower.",
        ),
    ] = 8,
    waiting: Annotated[
        int,
        typer.Option(
            min=0,
            help="The most requests at hand, above --running. Further requests are refused with status 429.",
        ),
    ] = 200,
    connections: Annotated[
        int,
        typer.Option(
            min=2,
            help="The most connections to the database. Give at least two for each of --running. Connections "
            "are opened when they are needed. Give fewer when other programs use the same database.",
        ),
    ] = 100,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="A name under which clients reach this server, such as atlas.example.org; repeatable. A "
            "server without a token refuses requests for other names, except for those of this machine."
        ),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Address of a proxy whose X-Forwarded-For names the client; repeatable. Without it, all "
            "clients behind a proxy share the limits of one client."
        ),
    ] = None,
    otel_endpoint: Annotated[
        str | None,
        typer.Option(
            help="Send traces to this OpenTelemetry collector (OTLP over HTTP), such as "
            "http://localhost:4318. Traces contain queries and their arguments. Needs the extra `otel`.",
            show_default="OTEL_EXPORTER_OTLP_ENDPOINT, else none",
        ),
    ] = None,
) -> None:
    """Serve the GraphQL API, with GraphiQL in the browser, until Ctrl-C.

    For example: `atlas serve --port 8100`. Then open http://127.0.0.1:8100/graphql in a browser, or ask with
    `atlas query`.

    Each request writes a line of JSON to the standard error output. /metrics has counters for Prometheus.
    """
    from api.request.limits import Limits
    from atlas.serving.api_server import serve as serve_until_stopped

    if connections <= running:
        raise InputError(
            f"--connections {connections} is too few for --running {running}: a download may need two",
            next_step=f"give --connections {2 * running}",
        )
    serve_until_stopped(
        Settings.load(),
        out,
        host=host,
        port=port,
        token_file=token_file,
        limits=Limits(introspection=introspection, running=running, waiting=waiting),
        connections=connections,
        otel_endpoint=otel_endpoint,
        names=name or (),
        proxies=proxy or (),
    )
