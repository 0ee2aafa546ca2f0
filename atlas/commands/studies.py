"""`atlas study`: run the studies again, on the bundled model or another, and keep what they measure."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from atlas.client import DEFAULT_URL
from atlas.commands.options import JsonOrTable, ModelPath, TranscodersPath, err, out, use_cores
from atlas.local.login import Login
from atlas.settings import Settings
from atlas.studies import results as study_results
from atlas.studies.tables import measured_tables
from atlas.tables import Rows, print_rows
from ingest.engine.errors import EngineError
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.errors import AtlasError, InputError, UnreachableError

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.tools.supernodes import SupernodeTensors

study = typer.Typer(
    help="The studies of “On the Biology of a Large Language Model”: prompts, one GraphQL question, causal "
    "tests with success rates beside random features. `atlas study list` names all.",
    no_args_is_help=True,
)

Names = Annotated[
    list[str] | None, typer.Argument(help="Which studies; all when none is named.", show_default=False)
]


@study.command("list")
def list_() -> None:
    """Name the studies, what each asks, and what its prompts must have."""
    from ingest.studies.all import STUDIES

    columns = ["study", "asks", "needs prompts"]
    rows = [
        [each.name, each.asks, "; ".join(need.words() for need in each.needs)] for each in STUDIES.values()
    ]
    print_rows(out, Rows("", columns, rows))


@study.command("run")
def run(
    names: Names = None,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Prompts whose families, expected answers and tags the study reads, as `atlas ingest` takes "
            "them.",
            show_default="the bundled corpus",
        ),
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(min=1, help="At most so many held-out prompts of each kind.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the result as NAME.json.", show_default="ATLAS_HOME/studies"),
    ] = None,
    as_json: JsonOrTable = False,
    pages: Annotated[
        Path | None,
        typer.Option(
            help="Write what was measured into NAME.md of this folder, with a figure (needs matplotlib) and "
            "the answer of the API to the study's question."
        ),
    ] = None,
    api: Annotated[str, typer.Option(help="The API that pages ask: an atlas of the bundled prompts.")] = (
        DEFAULT_URL
    ),
) -> None:
    """Run studies: half a minute to five minutes each on the bundled model.

    Rules and strengths are chosen on prompts the model was trained on, then tried once on held-out ones;
    every rate stands beside that of random features which write as much at the same places. Where the atlas
    runs and has supernodes of these transcoders, whole ones are edited too. A study whose prompts lack
    something says what; when all are run, the others go on.
    """
    from atlas.studies.pages import write_page
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.all import STUDIES
    from ingest.studies.tools.prompts import BUNDLED, bundled, from_file

    for name in names or []:
        if name not in STUDIES:
            raise InputError(f"There is no study {name!r}", next_step=f"name one of: {', '.join(STUDIES)}")
    given = bundled() if prompts is None else from_file(prompts)
    if held_out is not None:
        given = given.few(held_out)
    if prompts is None and model != MODEL_DIR:
        err.print("The prompts are those of the bundled corpus; --prompts names others.", style="dim")
    use_cores(1)  # The published rates come from one thread; more would add in another order.
    loaded = ReplacementModel.load(model, transcoders)
    given = replace(given, supernodes=_supernodes(loaded))
    folder = results or Settings.load().home / "studies"
    found = {}
    skipped = []
    for name in names or list(STUDIES):
        chosen = STUDIES[name]
        try:
            with err.status(f"{chosen.title} …"):
                result = chosen.on(loaded, given)
        except (AtlasError, EngineError) as error:
            if names:
                raise
            skipped.append(name)
            err.print(f"{name} was left out: {error}", soft_wrap=True, markup=False)
            continue
        measured = study_results.kept(
            chosen,
            result,
            model=BUNDLED if model == MODEL_DIR else str(model),
            transcoders=BUNDLED if transcoders == TRANSCODERS_DIR else str(transcoders),
            prompts=given.name,
        )
        study_results.keep(folder, measured)
        found[name] = measured
        if not as_json:
            out.print(f"\n[bold]{chosen.title}[/]: {chosen.asks}")
            for rows in measured_tables(measured):
                print_rows(out, rows)
        if pages is not None:
            write_page(pages, measured, result.grids, api)
    if as_json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    if skipped and not found:
        raise InputError(
            f"No study could run on {given.name}", next_step="`atlas study list` says what each needs"
        )


def _supernodes(model: "ReplacementModel") -> "SupernodeTensors | None":
    from ingest.annotations.supernodes import supernodes_of

    missing = "no atlas runs here (`atlas db start`)"
    try:
        with Login(Settings.load()).connect() as database:
            found = supernodes_of(database, model)
    except UnreachableError:
        found = None
    else:
        missing = "the atlas has none of these transcoders (`atlas supernodes`)"
    if found is None:
        err.print(f"Single features are edited, and no whole supernodes: {missing}.", style="dim")
    return found
