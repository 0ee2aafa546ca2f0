"""`atlas modules`: find communities of the feature graph and store them."""

from typing import Annotated

import typer

from atlas.commands.options import Seed, out
from atlas.settings import Settings
from schema.counted import counted

modules = typer.Typer(no_args_is_help=True)


@modules.callback()
def about() -> None:
    """Find communities of the feature graph.

    For example: `atlas modules compute`, then `modules` in GraphQL or `atlas figure modules`.
    """


@modules.command("compute")
def compute(
    transcoders: Annotated[
        str | None, typer.Option(help="Id of a transcoder set.", show_default="every set")
    ] = None,
    min_circuits: Annotated[
        int, typer.Option(min=1, help="Use only effects that occur in at least this many circuits.")
    ] = 2,
    resolution: Annotated[
        float, typer.Option(min=0.0, help="A resolution above 1 gives smaller modules.")
    ] = 1.0,
    seed: Seed = 0,
    null: Annotated[
        int, typer.Option(min=0, help="Number of rewired graphs whose modularity is computed for comparison.")
    ] = 20,
) -> None:
    """Find modules with the Leiden algorithm and store them with their modularity.

    For example: `atlas modules compute --resolution 1.5`. Then `modules` in GraphQL shows the newest
    partition.

    An effect has the weight |mean| × number of circuits. Earlier partitions stay stored. Rewired graphs show
    how much modularity chance alone gives.
    """
    from atlas.local.login import Login
    from schema.annotations.modules import ModuleSettings
    from schema.annotations.modules import compute as compute_modules

    settings = ModuleSettings(seed=seed, resolution=resolution, min_circuits=min_circuits, n_null=null)
    with Login(Settings.load()).connect() as database:
        for found in compute_modules(database, settings, transcoders):
            chance = (
                ""
                if found.null_mean is None
                else f" (rewired graphs: {found.null_mean:.3f} ± {found.null_sd:.3f})"
            )
            out.print(
                f"{found.transcoders}: {counted(found.n_modules, 'module')} of "
                f"{counted(found.n_features, 'feature')} and {counted(found.n_effects, 'effect')}, "
                f"modularity {found.modularity:.3f}{chance}"
            )
            out.print(
                f"  {'stored as' if found.new else 'stored before as'} partition {found.partition}",
                soft_wrap=True,
            )
