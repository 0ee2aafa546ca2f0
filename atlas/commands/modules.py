"""`atlas modules`: find communities of the feature graph and keep them in the database."""

from typing import Annotated

import typer

from atlas.commands.options import Seed, out
from atlas.settings import Settings

modules = typer.Typer(no_args_is_help=True, help="Communities of the feature graph.")


@modules.callback()
def about() -> None:
    """Communities of the feature graph."""


@modules.command("compute")
def compute(
    transcoders: Annotated[
        str | None, typer.Option(help="Id of a transcoder set; left out: each set.")
    ] = None,
    min_circuits: Annotated[int, typer.Option(min=1, help="Effects of at least so many circuits count.")] = 2,
    resolution: Annotated[float, typer.Option(min=0.0, help="More than 1: smaller modules.")] = 1.0,
    seed: Seed = 0,
    null: Annotated[int, typer.Option(min=0, help="Rewired graphs to compare the modularity with.")] = 20,
) -> None:
    """Find modules by Leiden and keep them, with their modularity and that of rewired graphs.

    An effect weighs |mean| times circuits. Earlier computations stay; `modules` in GraphQL shows the newest.
    """
    from atlas.local.login import Login
    from schema.annotations.modules import ModuleSettings
    from schema.annotations.modules import compute as found_by

    settings = ModuleSettings(seed=seed, resolution=resolution, min_circuits=min_circuits, n_null=null)
    with Login(Settings.load()).connect() as database:
        for found in found_by(database, settings, transcoders):
            chance = (
                ""
                if found.null_mean is None
                else f" (rewired graphs: {found.null_mean:.3f} ± {found.null_sd:.3f})"
            )
            out.print(
                f"{found.transcoders}: {found.n_modules} modules of {found.n_features} features and "
                f"{found.n_effects} effects, modularity {found.modularity:.3f}{chance}"
            )
            out.print(
                f"  {'kept as' if found.new else 'known already as'} partition {found.partition}",
                soft_wrap=True,
            )
