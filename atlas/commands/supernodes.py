"""`atlas supernodes`: group features that fire in the same texts."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from atlas.commands.labels import corpus_pass
from atlas.commands.options import (
    CorpusName,
    CpusPerWorker,
    Device,
    Dtype,
    FirstToken,
    GpusPerWorker,
    ModelPath,
    Ray,
    TranscodersPath,
    Workers,
    err,
    out,
    ray_cluster,
)
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.counted import counted

if TYPE_CHECKING:
    from ingest.annotations.supernode_scores import GroupScores


def supernodes(
    corpus: CorpusName = None,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    first_token: FirstToken = "left-out",
    score: Annotated[
        bool,
        typer.Option(
            "--score", help="Store nothing. Only score the groups against the tags of the corpus texts."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --score: print JSON for scripts.")] = False,
    ray: Ray = None,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0.0,
) -> None:
    """Group features that fire most in the same texts into supernodes, over the whole atlas.

    For example: `atlas supernodes`, then `supernodes` in GraphQL. `atlas intervene --ablate {LABEL}@all`
    edits a supernode.

    A circuit gets at most 20 supernodes. They replace the supernodes that this command stored before;
    supernodes of people and of other methods stay.
    """
    cluster = ray_cluster(ray, workers, cpus_per_worker, gpus_per_worker)
    from atlas.local.login import Login
    from ingest.annotations.labels import CorpusSettings
    from ingest.annotations.supernode_scores import group_scores
    from ingest.annotations.supernodes import write_supernodes

    with Login(Settings.load()).connect() as database:
        settings = CorpusSettings(
            model, transcoders, corpus, device=device, dtype=dtype, first_token=first_token
        )
        done = corpus_pass(database, settings, cluster)
        if score:
            scores = group_scores(done)
            if as_json:
                out.print_json(data=scores.as_json())
            else:
                _print_scores(scores)
            return
        n_circuits, share = write_supernodes(database, done, console=err)
        database.wait_for_full_text()
    out.print(
        f"{counted(n_circuits, 'circuit')} grouped; supernodes hold {share:.1%} of feature influence on "
        "average."
    )


def _print_scores(scores: "GroupScores") -> None:
    table = Table(
        "F1", "features", "tags", *("AMI", "k-means", "random", "purity", "k-means", "random"), box=box.SIMPLE
    )
    for each in scores.agreements:
        rates = (
            *(each.ami, each.decoder_ami, each.random_ami),
            *(each.purity, each.decoder_purity, each.random_purity),
        )
        table.add_row(
            f"≥ {each.clear}", str(each.n_features), str(each.n_concepts), *(f"{rate:.3f}" for rate in rates)
        )
    out.print(f"{counted(scores.n_features, 'feature')} in {counted(scores.n_groups, 'group')}")
    out.print(table)
    out.print(
        "Each row compares the groups with the tags of the corpus, over the features that some tag fits "
        "with at least this F1 score. k-means: the same number of groups, made from decoder vectors. "
        "random: random groups of the same sizes.",
        soft_wrap=True,
    )
    out.print(f"another seed: AMI {scores.seed_ami:.3f}; half of the texts: AMI {scores.half_ami:.3f}")
