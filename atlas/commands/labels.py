"""`atlas examples` and `atlas label`: what features fire on, and labels that are tested."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from atlas.commands.options import ModelPath, TranscodersPath, err, out, use_cores
from atlas.settings import Settings
from atlas.token_file import read_token
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

if TYPE_CHECKING:
    from ingest.annotations.labels import CorpusPass, CorpusSettings
    from ingest.annotations.supernode_scores import GroupScores
    from schema.database import Database
    from schema.errors import EndpointError


Corpus = Annotated[
    str | None,
    typer.Option(
        help="Texts: .jsonl, .csv or .txt as for `atlas ingest`, or `bundled`.",
        show_default="bundled, for the bundled model",
    ),
]


def examples(
    corpus: Corpus = None, model: ModelPath = MODEL_DIR, transcoders: TranscodersPath = TRANSCODERS_DIR
) -> None:
    """Store for each feature of the atlas the contexts that it fires in most.

    Its density in the corpus and the tokens that it promotes and suppresses are stored too, and what it
    writes, for `nearestFeatures`.
    """
    from atlas.local.login import Login
    from ingest.annotations.labels import CorpusSettings, write_examples, write_vectors

    with Login(Settings.load()).connect() as database:
        done = _pass(database, CorpusSettings(model, transcoders, corpus))
        n = write_examples(database, done, console=err)
        write_vectors(database, done)
    out.print(
        f"{n} of the atlas's {len(done.features)} features fire in the corpus; their examples are stored.",
        soft_wrap=True,
    )


def label(
    corpus: Corpus = None,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    llm: Annotated[
        str | None,
        typer.Option(
            help="Ask the language model of this OpenAI-compatible endpoint, such as http://localhost:11434/v1."
        ),
    ] = None,
    llm_model: Annotated[str, typer.Option(help="The language model's name there.")] = "default",
    llm_key_file: Annotated[Path | None, typer.Option(help="A file with the endpoint's key.")] = None,
    first: Annotated[
        int, typer.Option(min=1, help="With --llm: how many features, the most influential first.")
    ] = 20,
) -> None:
    """Label each feature of the atlas by the tokens around its firings, and score the labels.

    A score is the balanced accuracy of predicting, from the label alone, where the feature fires in held-out
    texts; beside it stands what labels of other features of its layer get. Vectors of labels and of what
    features write are stored too, for `similarLabels` and `nearestFeatures`.
    """
    from atlas.local.login import Login
    from ingest.annotations.labels import CorpusSettings, write_labels, write_model_labels, write_vectors
    from ingest.labels.endpoint import ModelEndpoint

    endpoint = None
    problems: list[EndpointError] = []
    if llm is not None:
        endpoint = ModelEndpoint(llm, llm_model, None if llm_key_file is None else read_token(llm_key_file))

    with Login(Settings.load()).connect() as database:
        done = _pass(database, CorpusSettings(model, transcoders, corpus))
        if endpoint is None:
            said = write_labels(database, done, console=err).sentence()
        else:
            n, problems = write_model_labels(database, done, endpoint, first, console=err)
            for problem in problems:
                err.print(f"refused: {problem}", markup=False, soft_wrap=True)
            said = f"{n} labels of {endpoint.model} stored, {len(problems)} features without a usable answer."
        write_vectors(database, done)
        database.settle()
    out.print(said, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def supernodes(
    corpus: Corpus = None,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    score: Annotated[
        bool,
        typer.Option(
            "--score", help="Change nothing: score the groups by what the corpus says of its texts."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --score: for scripts.")] = False,
) -> None:
    """Group features that fire most in the same texts, over the whole atlas: at most 20 supernodes a circuit.

    What this method grouped before is replaced; supernodes of people and of other methods stay.
    """
    from atlas.local.login import Login
    from ingest.annotations.labels import CorpusSettings
    from ingest.annotations.supernode_scores import group_scores
    from ingest.annotations.supernodes import write_supernodes

    with Login(Settings.load()).connect() as database:
        done = _pass(database, CorpusSettings(model, transcoders, corpus))
        if score:
            found = group_scores(done)
            if as_json:
                out.print_json(data=found.as_json())
            else:
                _show(found)
            return
        n, share = write_supernodes(database, done, console=err)
        database.settle()
    out.print(f"{n} circuits grouped; supernodes hold {share:.1%} of feature influence on average.")


def _show(found: "GroupScores") -> None:
    table = Table(
        "F1", "features", "tags", *("AMI", "k-means", "random", "purity", "k-means", "random"), box=box.SIMPLE
    )
    for each in found.agreements:
        rates = (
            *(each.ami, each.decoder_ami, each.random_ami),
            *(each.purity, each.decoder_purity, each.random_purity),
        )
        table.add_row(
            f"≥ {each.clear}", str(each.n_features), str(each.n_concepts), *(f"{rate:.3f}" for rate in rates)
        )
    out.print(f"{found.n_features} features in {found.n_groups} groups")
    out.print(table)
    out.print(
        "Over features that a tag of the corpus fits at least so well (F1), against these tags. k-means: as "
        "many groups of decoder vectors; random: groups of our groups' sizes.",
        soft_wrap=True,
    )
    out.print(f"another seed: AMI {found.seed_ami:.3f}; half of the texts: AMI {found.half_ami:.3f}")


def _pass(database: "Database", settings: "CorpusSettings") -> "CorpusPass":
    from ingest.annotations.labels import run_pass

    use_cores()
    done = run_pass(database, settings, console=err)
    for problem in done.problems:
        err.print(f"left out: {problem}", markup=False, soft_wrap=True)
    return done
