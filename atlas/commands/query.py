"""`atlas query`: ask the API the GraphQL question in a file."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import ApiAddress, JsonOrTable, TokenFile, Variables, name_and_value, out
from atlas.settings import Settings
from atlas.tables import print_rows, tables, write_csv
from atlas.token_file import read_token
from schema.errors import InputError


def query(
    file: Annotated[
        Path,
        typer.Argument(help="A .graphql file with one query; `-` reads the query from the standard input."),
    ],
    var: Variables = None,
    as_json: JsonOrTable = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print the answer's only list as CSV. The fields of objects become dotted columns."
        ),
    ] = False,
    api: ApiAddress = None,
    token_file: TokenFile = None,
) -> None:
    """Ask the GraphQL API the question in a file and print the answer.

    For example: `atlas query question.graphql --var family=arithmetic --table`. `atlas serve` starts the API;
    docs/questions has a page with a query for each question.
    """
    from atlas.client import AtlasClient

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", next_step="name a .graphql text file") from error
    variables = dict(name_and_value(each, "--var", "first=20") for each in var or ())
    token = None if token_file is None else read_token(token_file)
    with AtlasClient(api or Settings.load().api, token=token) as client:
        answer = client.query(text, variables)
    if as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n")
    elif as_csv:
        found = tables(answer)
        lists = [rows for rows in found if not rows.scalars] or found
        if len(lists) != 1:
            raise InputError(
                f"The answer has {len(lists)} lists, but a CSV file holds one",
                next_step="ask for one list, or use --json",
            )
        write_csv(lists[0], sys.stdout)
    else:
        for rows in tables(answer):
            print_rows(out, rows)
