"""`atlas study`: run the studies on the bundled model or another one, and store their results."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from atlas.commands.options import (
    Device,
    Dtype,
    FirstToken,
    JsonOrTable,
    MaxFeatureNodes,
    ModelPath,
    TranscodersPath,
    err,
    out,
    use_cores,
)
from atlas.settings import Settings
from atlas.tables import Rows, print_rows
from ingest.circuits.limits import MAX_FEATURE_NODES
from ingest.engine.errors import EngineError
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from ingest.progress import progress
from schema.errors import AtlasError, InputError, UnreachableError

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.tools.supernodes import SupernodeTensors

study = typer.Typer(
    help="Run the studies of “On the Biology of a Large Language Model”.\n\nA study has prompts, one "
    "GraphQL question, and causal tests whose success rates are compared with those of random features. For "
    "example: `atlas study list`, then `atlas study run multi-step`, then `atlas report`.",
    no_args_is_help=True,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Names of studies, as `atlas study list` prints them.", show_default="all studies"),
]


@study.command("list")
def list_() -> None:
    """List the studies, the question of each, and what its prompts must have.

    `atlas study run NAME` runs one.
    """
    from ingest.studies.all import STUDIES

    columns = ["study", "asks", "needs prompts"]
    rows = [
        [
            each.name,
            each.asks,
            "; ".join(("optional: " if need.optional else "") + need.words() for need in each.needs),
        ]
        for each in STUDIES.values()
    ]
    print_rows(out, Rows("", columns, rows))


@study.command("run")
def run(
    names: Names = None,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    first_token: FirstToken = "left-out",
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Prompts in a file as for `atlas ingest`. The study reads their families, expected answers "
            "and tags.",
            show_default="the bundled corpus",
        ),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="With --prompts: apply the tokenizer's chat template to each prompt."),
    ] = False,
    held_out: Annotated[
        int | None, typer.Option(min=1, help="Use at most this many held-out prompts of each kind.")
    ] = None,
    max_feature_nodes: MaxFeatureNodes = MAX_FEATURE_NODES,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results. Each study writes NAME.json.", show_default="ATLAS_HOME/studies"
        ),
    ] = None,
    as_json: JsonOrTable = False,
    pages: Annotated[
        Path | None,
        typer.Option(
            help="Also write the results into NAME.md of this folder, with a figure (needs matplotlib) and "
            "the API's answer to the study's question."
        ),
    ] = None,
    api: Annotated[
        str | None,
        typer.Option(
            help="With --pages: address of the API of an atlas of the bundled prompts.",
            show_default="ATLAS_API",
        ),
    ] = None,
) -> None:
    """Run studies and store their results. Each takes half a minute to five minutes on the bundled model.

    For example: `atlas study run multi-step refusals`. Then `atlas report` shows the results in a page.

    Rules and strengths are chosen on prompts that the model was trained on, and tested once on held-out
    prompts. Each rate is printed beside the rate of random features that write as much at the same positions.
    When the local database runs and holds supernodes of these transcoders, whole supernodes are edited too. A
    study whose prompts do not have what it needs fails and names what is missing; when all studies are run,
    the others continue.
    """
    from atlas.client import AtlasClient
    from atlas.studies.pages import write_page
    from atlas.studies.results import to_json, write_result
    from atlas.studies.tables import measured_tables
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.all import STUDIES
    from ingest.studies.tools.prompts import BUNDLED, bundled, from_file

    address = api or Settings.load().api
    if pages is not None:  # Before anything is computed that takes long.
        with AtlasClient(address) as client:
            client.query("{ __typename }")
    for name in names or []:
        if name not in STUDIES:
            raise InputError(f"There is no study {name!r}", next_step=f"name one of: {', '.join(STUDIES)}")
    given = bundled() if prompts is None else from_file(prompts)
    if held_out is not None:
        given = given.few(held_out)
    if prompts is None and model != MODEL_DIR:
        err.print(
            "The studies use the prompts of the bundled corpus. Choose others with --prompts.", style="dim"
        )
    use_cores(1)  # The published rates come from one thread; more would add in another order.
    loaded = ReplacementModel.load(model, transcoders, device=device, dtype=dtype).putting_first(first_token)
    given = replace(
        given.rewritten(loaded.chat) if chat else given,
        supernodes=_supernodes(loaded),
        max_feature_nodes=max_feature_nodes,
    )
    folder = results or Settings.load().home / "studies"
    found = {}
    skipped = []
    wanted = names or list(STUDIES)
    for number, name in enumerate(wanted, 1):
        chosen = STUDIES[name]
        try:
            with progress(err, resumes=False, erase=True) as work:
                work.add(f"{chosen.title} ({number} of {len(wanted)})")
                result = chosen.on(loaded, given)
        except (AtlasError, EngineError) as error:
            if names:
                raise
            skipped.append(name)
            err.print(f"{name} was skipped: {error}", soft_wrap=True, markup=False)
            continue
        measured = to_json(
            chosen,
            result,
            model=BUNDLED if model == MODEL_DIR else str(model),
            transcoders=BUNDLED if transcoders == TRANSCODERS_DIR else str(transcoders),
            prompts=given.name,
            first_token=first_token,
            max_feature_nodes=max_feature_nodes,
        )
        write_result(folder, measured)
        found[name] = measured
        if not as_json:
            out.print(f"\n[bold]{chosen.title}[/]: {chosen.asks}")
            for rows in measured_tables(measured):
                print_rows(out, rows)
        if pages is not None:
            write_page(pages, measured, result.grids, address)
    if as_json:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    if skipped and not found:
        raise InputError(
            f"No study could run on {given.name}", next_step="`atlas study list` prints what each study needs"
        )


def _supernodes(model: "ReplacementModel") -> "SupernodeTensors | None":
    from atlas.local.login import Login
    from ingest.annotations.supernodes import supernodes_of

    reason = "the local database does not run (`atlas db start`)"
    try:
        with Login(Settings.load()).connect() as database:
            found = supernodes_of(database, model)
    except UnreachableError:
        found = None
    else:
        reason = "the atlas has no supernodes of these transcoders (`atlas supernodes`)"
    if found is None:
        err.print(f"Only single features are edited, not whole supernodes: {reason}.", style="dim")
    return found
