"""Examples and labels of the features of an atlas, from a pass over a corpus.

1. ask   the database which features circuits have
2. run   the model over the corpus (`ingest.labels.contexts`), or read what an earlier command kept of it
3. write examples (`atlas examples`) or labels with scores (`atlas label`), some hundred features at a time

The database holds whole features whenever the command is stopped. Repeating the command writes the same data.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console

from ingest.circuits.convert import model_record, transcoders_record
from ingest.circuits.prompts import read_prompts
from ingest.engine.errors import PromptError
from ingest.engine.replacement.model import LEFT_OUT, Encoded, ReplacementModel
from ingest.labels.contexts import Activity, FeatureKey, activity, encode_all
from ingest.labels.endpoint import ModelEndpoint
from ingest.labels.examples import notes
from ingest.labels.firings_cache import Compute, FiringsCache, in_this_process
from ingest.labels.model_labels import explain_features
from ingest.labels.score import ScoredRule, label_features, phrases, weighted_median
from ingest.organism.corpus import FAMILIES, examples
from ingest.organism.families.example import HELD_OUT, TRAIN, unit
from ingest.organism.weights import MODEL_DIR
from ingest.progress import progress
from schema.annotations.labels import Evidence, LabelledFeature, features_of_set, load_labels
from schema.annotations.notes import load_notes
from schema.annotations.vectors import keep_directions, keep_label_vectors
from schema.circuit.records import ATLAS, Label
from schema.counted import counted
from schema.database import Database
from schema.errors import EndpointError, InputError

METHOD = "token-rules-v2"
"""`Label.method` of labels that are rules on tokens."""
MODEL_METHOD = "language-model-v1"
"""`Label.method` of labels from a language model."""
PER_FAMILY = 300
"""Texts of each family of the bundled corpus."""
BATCH = 200
"""Features of one transaction."""


@dataclass(frozen=True)
class CorpusSettings:
    """The model whose features are described, and the texts that it reads."""

    model: Path
    """Folder of the model."""
    transcoders: Path
    """Folder of the transcoders."""
    corpus: str | None = None
    """A prompts file, or `bundled`. None means the bundled corpus, for the bundled model only."""
    cache: Path | None = None
    """Folder of the cache of firings; None is a folder in the cache of huggingface_hub."""
    device: str = "auto"
    """Where the model runs; `auto` is the first GPU, or else the CPU."""
    dtype: str = "float32"
    """Number format of the weights."""
    first_token: str = LEFT_OUT
    """Treatment of the special first token of each text."""


@dataclass(frozen=True)
class CorpusPass:
    """The result of running a model over a corpus, with the features of an atlas."""

    model: ReplacementModel
    set_id: str
    """Id of the transcoder set."""
    features: list[LabelledFeature]
    """The features that circuits have, the most influential first."""
    found: Activity
    """Where these features fire."""
    problems: list[PromptError]
    """One error for each text that the model cannot take."""
    tags: list[tuple[str, ...]]
    """Tags of each text of `found`; empty where the corpus has none."""


@dataclass(frozen=True)
class LabelSummary:
    """Counts and scores of the labels that one call made."""

    n_features: int
    """Features that circuits have."""
    n_labels: int
    """Labels that were made."""
    n_scored: int
    """Labels that have a score."""
    n_beaten: int
    """Labels whose score is not above their null score."""
    median: float | None
    """Median of the scores, weighted by the influence of the features; None without scores."""
    null_median: float | None
    """Median of the null scores, weighted by influence; None without null scores."""

    def sentence(self) -> str:
        """The summary for people, in one sentence."""
        made = f"{counted(self.n_labels, 'label')} for {counted(self.n_features, 'feature')}"
        if self.median is None:
            return f"{made}; none could be scored."
        null = "" if self.null_median is None else f" (other features' labels: {self.null_median:.3f})"
        return (
            f"{made}, {self.n_scored} scored on held-out contexts: median balanced accuracy "
            f"weighted by influence {self.median:.3f}{null}; "
            f"{counted(self.n_beaten, 'does not beat its null', 'do not beat their null')}."
        )


Tagged = dict[str, tuple[str, ...]]
"""Text → its tags, sorted."""


def bundled_texts(per_family: int = PER_FAMILY) -> Tagged:
    """Up to `per_family` texts of each family of the bundled corpus, from both splits, chosen by a hash."""
    found: Tagged = {}
    for family in FAMILIES:
        tags: dict[str, set[str]] = {}
        for split in (TRAIN, HELD_OUT):
            for each in examples(split)[family]:
                tags.setdefault(" ".join(each.words), set()).update(f"{family}: {tag}" for tag in each.tags)
        for text in sorted(tags, key=lambda text: unit("corpus", text))[:per_family]:
            found[text] = tuple(sorted(tags[text]))
    return found


def corpus_texts(settings: CorpusSettings) -> Tagged:
    """The texts of the corpus that the settings name, with their tags.

    Raises InputError when the file cannot be used, or when a model other than the bundled one has no corpus.
    """
    if settings.corpus == "bundled" or (settings.corpus is None and settings.model == MODEL_DIR):
        return bundled_texts()
    if settings.corpus is None:
        raise InputError(
            "There is no corpus for this model, so the atlas cannot see what its features fire on",
            next_step="give texts like those that it was trained on: --corpus FILE.jsonl (or .csv, .txt)",
        )
    file = read_prompts(Path(settings.corpus))
    if not file.prompts:
        raise file.problems[0]
    return {line.prompt: line.tags for line in file.prompts}


def run_pass(
    database: Database, settings: CorpusSettings, *, console: Console, compute: Compute = in_this_process
) -> CorpusPass:
    """Run the model over the corpus.

    compute: gives the firings of texts that the cache lacks. Raises InputError when the atlas has no features
    of the transcoder set, PromptError when the model cannot take any text, EngineError when the model cannot
    be loaded, and the errors of `compute`.
    """
    texts = corpus_texts(settings)
    model = ReplacementModel.load(
        settings.model, settings.transcoders, device=settings.device, dtype=settings.dtype
    ).putting_first(settings.first_token)
    of_model = model_record(model)
    record = transcoders_record(model, of_model.id)
    features = features_of_set(database, record.id)
    if not features:
        raise InputError(
            f"No circuit in the database was made with {record.id}",
            next_step="run `atlas ingest` with it first",
        )
    cache = FiringsCache((of_model.revision, record.revision, str(model.dtype)), settings.cache)
    kept: list[str] = []
    problems: list[PromptError] = []

    def encoded() -> Iterator[Encoded]:
        for text, each in encode_all(model, texts, problems):
            kept.append(text)
            yield each

    with progress(console) as work:
        read = work.add("texts of the corpus", len(texts))
        found = activity(
            model,
            encoded(),
            {(each.layer, each.index) for each in features},
            cache=cache,
            compute=compute,
            advance=read.advance,
        )
        read.reach(len(texts))
    if not kept:
        raise problems[0]
    return CorpusPass(model, record.id, features, found, problems, [texts[text] for text in kept])


def write_examples(database: Database, done: CorpusPass, *, console: Console) -> int:
    """Store examples, density and promoted tokens of every feature of the atlas.

    A feature that does not fire in the corpus gets a density of 0 and no examples. Returns the number of
    features that fire.
    """
    features = [(each.layer, each.index) for each in done.features]
    with progress(console) as work:
        described = work.add("features with examples", len(features))
        for start in range(0, len(features), BATCH):
            part = features[start : start + BATCH]
            load_notes(database, notes(done.model, done.found, part, done.set_id), None)
            described.advance(len(part))
    return sum(key in done.found for key in features)


def write_vectors(database: Database, done: CorpusPass) -> int:
    """Store vectors for similarity search: decoder vectors of features, and text vectors of all labels.

    Returns the number of features.
    """
    by_layer: dict[int, list[int]] = {}
    for each in done.features:
        by_layer.setdefault(each.layer, []).append(each.index)
    n = 0
    for layer, indices in sorted(by_layer.items()):
        rows = done.model.transcoders.decoder_rows(layer, torch.tensor(indices), torch.float32)
        written = rows.sum(1).cpu().numpy()
        n += keep_directions(database, done.set_id, [(layer, index) for index in indices], written)
    keep_label_vectors(database)
    return n


def write_labels(database: Database, done: CorpusPass, *, console: Console) -> LabelSummary:
    """Make, score and store a label for every feature of the atlas that fires in the corpus."""
    influence = {(each.layer, each.index): each.influence for each in done.features}
    with progress(console) as work:
        labelled = work.add("features with labels", len(influence))
        scored = label_features(done.found, list(influence), advance=labelled.advance)
    load_labels(database, [evidence(done.model, each) for each in scored], done.set_id)
    return summary(scored, influence)


class ModelLabels(NamedTuple):
    """What became of features that a language model was to label."""

    n_stored: int
    """Labels that were stored."""
    problems: list[EndpointError]
    """One error for each feature without a usable answer."""


def write_model_labels(
    database: Database, done: CorpusPass, endpoint: ModelEndpoint, n: int, *, console: Console
) -> ModelLabels:
    """Let a language model label the `n` most influential features, and store each label at once.

    Raises EndpointError when the very first feature fails, because then the endpoint itself does not work.
    """
    features = [(each.layer, each.index) for each in done.features[:n]]
    stored, problems = 0, []
    found = explain_features(endpoint, done.found, features, done.model.decode)
    with progress(console) as work:
        labelled = work.add("features that the language model labels", len(features))
        for each in found:
            labelled.advance()
            if isinstance(each, EndpointError):
                if not stored:
                    raise each
                problems.append(each)
                continue
            label = Label(*each.key, each.text, MODEL_METHOD, endpoint.model, each.score, each.null_score)
            row = Evidence(label, asked=each.answer.asked, answered=each.answer.answered)
            stored += load_labels(database, [row], done.set_id)
    return ModelLabels(stored, problems)


def evidence(model: ReplacementModel, scored: ScoredRule) -> Evidence:
    """A scored rule as a label with its evidence."""
    text = "fires " + "; or ".join(phrases(scored.rule, model.decode))
    label = Label(*scored.key, text, METHOD, ATLAS, scored.score, scored.null_score)
    return Evidence(label, rule=json.dumps(scored.rule.clauses))


def summary(scored: Sequence[ScoredRule], influence: dict[FeatureKey, float]) -> LabelSummary:
    """Summarise labels; medians are weighted by the influence of the features."""
    tried = [each for each in scored if each.score is not None]
    return LabelSummary(
        n_features=len(influence),
        n_labels=len(scored),
        n_scored=len(tried),
        n_beaten=sum(each.null_score is not None and each.score <= each.null_score for each in tried),  # type: ignore[operator]
        median=weighted_median([(each.score or 0.0, influence[each.key]) for each in tried]),
        null_median=weighted_median(
            [(each.null_score, influence[each.key]) for each in tried if each.null_score is not None]
        ),
    )
