"""`atlas figure`: draw the answer to a GraphQL question."""

from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import ApiAddress, TokenFile, Variables, name_and_value, out
from atlas.settings import Settings
from atlas.tables import Rows, print_rows
from atlas.token_file import read_token
from schema.errors import InputError


def figure(
    name: Annotated[str, typer.Argument(help="Name of the figure; `list` prints all names.")],
    path: Annotated[
        Path | None, typer.Option("--out", help="The file to write: .svg, .png or .html.")
    ] = None,
    var: Variables = None,
    api: ApiAddress = None,
    token_file: TokenFile = None,
) -> None:
    """Ask the API one question and draw a figure of the answer.

    For example: `atlas figure tokens --var 'filter={"text": "dallas"}' --out dallas.svg`. `atlas figure list`
    names all figures with their variables. Figures need a running API (`atlas serve`).
    """
    from atlas.client import AtlasClient
    from figures.all import CHARTS

    if name == "list":
        rows = [[each.name, each.title, ", ".join(each.variables)] for each in CHARTS.values()]
        print_rows(out, Rows("", ["figure", "shows", "--var"], rows))
        return
    if name not in CHARTS:
        raise InputError(f"There is no figure {name!r}", next_step=f"name one of: {', '.join(CHARTS)}")
    if path is None:
        raise InputError("There is no file to write to", next_step=f"for example --out {name}.svg")
    chart, variables = CHARTS[name], dict(name_and_value(each, "--var", "first=20") for each in var or ())
    chart.require_known(variables)
    token = None if token_file is None else read_token(token_file)
    with AtlasClient(api or Settings.load().api, token=token) as client:
        chart.write(client.query(chart.query, variables), path)
    out.print(f"{path}: {chart.title}", markup=False, soft_wrap=True)
