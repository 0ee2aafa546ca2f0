"""Attributes prompts and loads their circuits: `atlas ingest`, `atlas attribute` and the worker.

1. read      the prompts file. The error of a bad line is recorded, and the other lines continue
2. plan      tokenize each prompt and compute the id of its circuit. A prompt that the model cannot take is
             recorded as an error
3. skip      ask the database which circuits it has already
4. count     what each feature fires on over all prompts of the file; first labels come from these counts
5. attribute the prompts in groups; each missing circuit is pruned, converted, labelled, grouped into
             supernodes and handed to the loader

Loading runs beside attribution, in file order, one transaction for a few circuits. The database holds whole
circuits whenever the run is stopped, and the same command resumes it with the same final content. For that,
groups are cut from the whole file and not from the missing prompts, because the last bits of a sum depend on
the prompts that are computed together.
"""

import importlib.metadata
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ingest.circuits import convert
from ingest.circuits.expected import continuation, unreachable
from ingest.circuits.heads import with_heads, with_qk
from ingest.circuits.known_prompts import KnownPrompts, tag_known_prompts
from ingest.circuits.limits import MANY_EDGES, MAX_FEATURE_NODES
from ingest.circuits.loader import GroupLoader, resumable
from ingest.circuits.prompts import PromptLine, read_prompts
from ingest.engine.attribution.attribute import attribute_each
from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import Pruned, prune
from ingest.engine.attribution.targets import DEFAULT, Target, named, parse
from ingest.engine.errors import EngineError
from ingest.engine.replacement.model import LEFT_OUT, Encoded, ReplacementModel
from ingest.labels.explain import METHOD
from ingest.labels.namer import Namer
from ingest.labels.supernodes import group_by_concept
from ingest.progress import progress
from schema.annotations.tags import tag_again
from schema.circuit.records import (
    ATLAS,
    Circuit,
    Label,
    Model,
    NodeKind,
    Prompt,
    Run,
    TranscoderSet,
    circuit_id,
)
from schema.counted import counted
from schema.database import Database
from schema.errors import AtlasError, InputError
from schema.loading import runs as ledger
from schema.loading.leases import Doing, leased
from schema.loading.load import Outcome, Prepared, StoredSize, Unfit, prepare, present
from schema.loading.model_of_set import assign_model

VERSIONS = ("circuit-atlas", "torch", "transformers")
"""Packages whose versions a run records."""

GROUP_SIZE = 16
"""Prompts that are attributed together."""


@dataclass(frozen=True)
class IngestSettings:
    """What to ingest, and how."""

    prompts: Path
    """The prompts file."""
    model: Path
    """Folder of the language model."""
    transcoders: Path
    """Folder of the transcoders."""
    device: str = "auto"
    """Where the model runs; `auto` is the first GPU, or else the CPU."""
    dtype: str = "float32"
    """Number format of the weights."""
    node_threshold: float = 0.8
    """Share of influence, 0 to 1, that the kept nodes have together."""
    edge_threshold: float = 0.98
    """Share of influence, 0 to 1, that the kept edges have together."""
    max_feature_nodes: int | None = MAX_FEATURE_NODES
    """Most features of one attribution graph; None means all active features."""
    max_edges: int | None = None
    """Most edges of one circuit; None means no limit."""
    target: tuple[Target, ...] = DEFAULT
    """What to attribute when the line of a prompt names no target."""
    first_token: str = LEFT_OUT
    memory: int | None = None
    """Bytes that attribution may use besides the model; None means no limit."""
    heads: bool = False
    """Whether to compute and store what attention heads carry of each edge."""
    chat: bool = False
    """Whether prompts are messages to a chat model, to which its chat template is applied."""

    def load_model(self) -> ReplacementModel:
        """The model with its transcoders. Raises EngineError."""
        return ReplacementModel.load(self.model, self.transcoders, device=self.device, dtype=self.dtype)


@dataclass
class IngestSummary:
    """What one ingest did."""

    loaded: int = 0
    """Circuits that are new in the database."""
    present: int = 0
    """Circuits that the database had already."""
    known: KnownPrompts = field(default_factory=KnownPrompts)
    """What changed for the prompts of those circuits."""
    problems: list[Exception] = field(default_factory=list)
    """One error for each line or prompt that failed."""
    edge_shares: list[float] = field(default_factory=list)
    """For each graph that lost edges to `max_edges`: share of its edges' influence that is left, 0 to 1."""
    notes: list[str] = field(default_factory=list)
    """What people should know about prompts that did not fail."""
    seconds: float = 0.0
    """Duration from the first step to the last transaction."""

    def take(self, each: "Attributed", say: Callable[[str], None]) -> None:
        """Record the problem, the dropped edges and the note of one prompt."""
        if each.problem is not None:
            self.problems.append(each.problem)
        if each.edge_share is not None:
            self.edge_shares.append(each.edge_share)
        if each.note is not None:
            say(each.note)

    def sentence(self, done: str = "loaded") -> str:
        """The summary for people. done: what was done with the circuits that are new."""
        rate = f" ({self.loaded / self.seconds:.1f} circuits/s, all steps counted)" if self.loaded else ""
        failed = f", {len(self.problems)} failed" if self.problems else ""
        cut = ""
        if self.edge_shares:
            cut = (
                f" {counted(len(self.edge_shares), 'graph')} lost edges to the limit; the kept edges hold "
                f"at least {min(self.edge_shares):.1%} of the influence of a graph's edges."
            )
        return (
            f"{counted(self.loaded, 'circuit')} {done} in {self.seconds:.1f} s{rate}, "
            f"{counted(self.present, 'was', 'were')} there already{failed}.{cut}{self.known.sentence()}"
        )


class Attributed(NamedTuple):
    """What became of one prompt that was attributed."""

    planned: "PlannedCircuit"
    circuit: Circuit | None
    """None when the prompt failed."""
    problem: InputError | None = None
    """Why the prompt failed."""
    edge_share: float | None = None
    """As in `IngestSummary.edge_shares`, when edges were dropped."""
    note: str | None = None
    """What a person should know of the number of edges."""


class IngestedJob(NamedTuple):
    """What became of the prompts of a job."""

    summary: IngestSummary
    """Counts, and one error for each prompt that failed."""
    circuits: list[str]
    """Ids of the circuits of all prompts that could be tokenized, in order."""


def ingest(database: Database, settings: IngestSettings, *, console: Console) -> IngestSummary:
    """Ingest a prompts file into a migrated database.

    The errors of single prompts are in the summary. Raises InputError when the file cannot be used at all,
    EngineError when the model or the transcoders cannot be used, and DatabaseError when Neo4j fails; circuits
    that were loaded before the failure stay.
    """
    started = time.monotonic()
    summary = IngestSummary()
    file = read_prompts(settings.prompts)
    summary.problems += file.problems
    with ThreadPoolExecutor(1) as planner:
        # The result is not needed: the first query reports what is wrong with the database.
        planner.submit(prepare, database)
        with console.status(f"Loading the model {settings.model.name} …"):
            model = settings.load_model()
        attributor = Attributor(model, settings)
        console.print(first_token(model, settings.first_token), markup=False, soft_wrap=True)
        planned = attributor.plan(file.prompts, summary.problems)
        summary.notes += attributor.unreachable(planned)
        missing = find_missing(database, settings, planned, summary)[0]
        if missing:
            with resumable(lambda: summary.loaded), progress(console) as work:
                counting = work.add("prompts whose features are counted", len(planned))
                loading = work.add("circuits", len(missing))
                _ingest_all(
                    database,
                    attributor,
                    planned,
                    missing,
                    summary,
                    say=lambda text: console.print(text, markup=False, soft_wrap=True),
                    counted=counting.advance,
                    done=loading.advance,
                )
            database.wait_for_full_text()
    ledger.end_ingest(database, attributor.run(), summary.problems)
    summary.seconds = time.monotonic() - started
    return summary


def ingest_job(
    database: Database,
    attributor: "Attributor",
    lines: list[PromptLine],
    *,
    name: str,
    check: Callable[[], None],
    step: Callable[[int], None],
    say: Callable[[str], None],
) -> IngestedJob:
    """Ingest the prompts of a job, as `ingest` does with those of a file. The model is loaded already.

    name: what the run records in place of a file name. check: is called often. step: is called, from another
    thread, with the number of finished prompts. say: is called with what a person should know. An exception
    from `check` or `step` stops the work and is raised.
    """
    started, summary = time.monotonic(), IngestSummary()
    planned = attributor.plan(lines, summary.problems)
    missing, ids = find_missing(database, attributor.settings, planned, summary)
    n_done = len(lines) - len(missing)
    step(n_done)

    def done() -> None:
        nonlocal n_done
        n_done += 1
        step(n_done)

    if missing:
        of_job = attributor.for_run(name)
        ids |= _ingest_all(database, of_job, planned, missing, summary, say=say, counted=check, done=done)
        database.wait_for_full_text()
        ledger.end_ingest(database, of_job.run(), summary.problems)
    summary.seconds = time.monotonic() - started
    return IngestedJob(summary, [ids.get(each.key, each.key) for each in planned])


def attribute_one(
    prompt: str,
    *,
    model: Path,
    transcoders: Path,
    device: str = "auto",
    dtype: str = "float32",
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    max_feature_nodes: int | None = MAX_FEATURE_NODES,
    max_edges: int | None = None,
    target: tuple[Target, ...] = DEFAULT,
    first_token: str = LEFT_OUT,
    memory: int | None = None,
    heads: bool = False,
    qk: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    chat: bool = False,
) -> Circuit:
    """The circuit of one prompt, without labels and without a database. Raises EngineError.

    heads: add what attention heads carry of each edge. qk: add the attention scores of these heads and
    positions, each written like 3/1@5 (layer 3, head 1, position 5). say: is called with what a person should
    know of the number of edges. chat: the prompt is a message to a chat model.
    """
    settings = IngestSettings(
        prompts=Path(),
        model=model,
        transcoders=transcoders,
        device=device,
        dtype=dtype,
        node_threshold=node_threshold,
        edge_threshold=edge_threshold,
        max_feature_nodes=max_feature_nodes,
        max_edges=max_edges,
        target=target,
        first_token=first_token,
        memory=memory,
        heads=heads,
        chat=chat,
    )
    attributor = Attributor(settings.load_model(), settings)
    problems: list[Exception] = []
    planned = attributor.plan([PromptLine(1, prompt)], problems)
    if problems:
        raise problems[0]
    (graph,) = attributor.graphs(planned)
    if isinstance(graph, EngineError):
        raise graph
    pruned = attributor.prune(graph)
    if (note := edge_note(pruned)) is not None:
        say(note)
    return with_qk(attributor.circuit(planned[0], graph, pruned), attributor.model, qk)


@dataclass(frozen=True)
class PlannedCircuit:
    """One prompt to attribute, and the circuit that it will give."""

    line: PromptLine
    encoded: Encoded
    target: tuple[Target, ...]
    ids: tuple["_PossibleId", ...]
    """The first one is that of a circuit for which no limit dropped anything."""

    @property
    def key(self) -> str:
        """Tells the prompts of one file apart."""
        return self.ids[0].id


class _PossibleId(NamedTuple):
    """An id that a circuit may get. Whether a limit drops something is known only when it is computed."""

    id: str
    max_feature_nodes: int | None
    """The limit of features, if this is the id of a circuit for which features were dropped."""
    max_edges: int | None
    """The limit of edges, if this is the id of a circuit for which edges were dropped."""


def versions() -> dict[str, str]:
    """The version of each of the packages `VERSIONS`."""
    return {name: importlib.metadata.version(name) for name in VERSIONS}


class Attributor:
    """A loaded model with settings: turns prompts into circuits."""

    def __init__(self, model: ReplacementModel, settings: IngestSettings) -> None:
        """Raises SettingError for a first token that the tokenizer does not have."""
        self.model = model.putting_first(settings.first_token)
        self.settings = settings
        self.model_record: Model = convert.model_record(model)
        self.transcoders_record: TranscoderSet = convert.transcoders_record(model, self.model_record.id)

    def for_run(self, name: str) -> "Attributor":
        """A copy whose run has another name."""
        other = copy(self)
        other.settings = replace(self.settings, prompts=Path(name))
        return other

    def run(self) -> Run:
        """The run that the database records."""
        settings = self.settings
        return Run(
            settings={
                "prompts": settings.prompts.name,
                "model": self.model_record.id,
                "transcoders": self.transcoders_record.id,
                "node_threshold": settings.node_threshold,
                "edge_threshold": settings.edge_threshold,
                "max_feature_nodes": settings.max_feature_nodes,
                **({} if settings.max_edges is None else {"max_edges": settings.max_edges}),
                "first_token": settings.first_token,
                **({"chat": True} if settings.chat else {}),
            },
            versions=versions(),
        )

    def plan(self, lines: list[PromptLine], problems: list[Exception]) -> list[PlannedCircuit]:
        """Tokenize prompts and compute circuit ids. Failed and repeated prompts go to `problems`.

        Raises SettingError for a chat template that the tokenizer does not have.
        """
        planned: dict[str, PlannedCircuit] = {}
        for line in lines:
            if self.settings.chat:
                line = replace(line, prompt=self.model.chat(line.prompt))
            try:
                encoded = self.model.encode(line.prompt)
                target = self.settings.target if line.target is None else parse(line.target)
                each = PlannedCircuit(line, encoded, target, self._ids(encoded, target))
            except EngineError as error:
                problems.append(InputError(f"line {line.line}: {error.what}", next_step=error.next_step))
                continue
            if each.key in planned:
                problems.append(
                    InputError(
                        f"line {line.line}: the same prompt as on line {planned[each.key].line.line}; "
                        "this line was skipped",
                        next_step="put all tags of a prompt on one line",
                    )
                )
                continue
            planned[each.key] = each
        return list(planned.values())

    def unreachable(self, planned: Sequence[PlannedCircuit]) -> list[str]:
        """A sentence for each line with an expected answer that the vocabulary cannot write."""
        found = ((each.line.line, unreachable(self.model, each.line.answers)) for each in planned)
        return [
            f"line {line}: the tokenizer cannot write the expected answer {' or '.join(map(repr, texts))}, "
            "so no answer can equal it"
            for line, texts in found
            if texts
        ]

    def graphs(self, group: list[PlannedCircuit]) -> Iterator[GraphNodes | EngineError]:
        """The attribution graph of each prompt of a group, or the error of the prompt, in order."""
        settings, done = self.settings, 0
        try:
            for graph in attribute_each(
                self.model,
                [(each.encoded, each.target) for each in group],
                max_feature_nodes=settings.max_feature_nodes,
                memory=settings.memory,
            ):
                yield graph
                done += 1
        except EngineError as error:
            if len(group) == 1:
                yield error
            else:
                # The others may succeed when they are computed alone.
                for each in group[done:]:
                    yield from self.graphs([each])

    def attributed(
        self, group: list[PlannedCircuit], wanted: Container[str], namer: Namer
    ) -> Iterator[Attributed]:
        """What becomes of each wanted prompt of a group, in order. wanted: keys of prompts.

        The whole group is attributed, unless nothing of it is wanted: the last bits of a sum depend on the
        prompts that are computed together.
        """
        if not any(each.key in wanted for each in group):
            return
        for each, graph in zip(group, self.graphs(group), strict=True):
            if each.key not in wanted:
                continue
            line = each.line.line
            if isinstance(graph, EngineError):
                problem = InputError(f"line {line}: {graph.what}", next_step=graph.next_step)
                yield Attributed(each, None, problem)
                continue
            pruned = self.prune(graph)
            note = edge_note(pruned) if pruned.edge_share is None else None
            yield Attributed(
                each,
                self.circuit(each, graph, pruned, namer),
                edge_share=pruned.edge_share,
                note=None if note is None else f"line {line}: {note}",
            )

    def prune(self, graph: GraphNodes) -> Pruned:
        """Prune a graph to the thresholds of the settings."""
        settings = self.settings
        return prune(
            graph,
            node_threshold=settings.node_threshold,
            edge_threshold=settings.edge_threshold,
            max_edges=settings.max_edges,
        )

    def circuit(
        self, planned: PlannedCircuit, graph: GraphNodes, pruned: Pruned, namer: Namer | None = None
    ) -> Circuit:
        """Convert a pruned graph; add heads when the settings say so, and labels when there is a namer."""
        line = planned.line
        prompt = Prompt(
            text=line.prompt,
            tokens=planned.encoded.tokens,
            token_ids=planned.encoded.ids,
            family=line.family,
            tags=line.tags,
            expected=line.expected,
            accepted=line.accepted,
            pair=line.pair,
            split=line.split,
        )
        circuit = convert.circuit(graph, pruned, prompt, self.model_record, self.transcoders_record)
        answer = circuit.answer
        if line.answers and answer is not None and answer.index is not None:
            said = continuation(self.model, planned.encoded.ids, answer.index, line.answers)
            circuit = replace(circuit, continuation=said)
        if self.settings.heads:
            circuit = with_heads(circuit, self.model, graph, pruned, planned.target)
        return circuit if namer is None else _labelled(circuit, namer)

    def _ids(self, encoded: Encoded, target: tuple[Target, ...]) -> tuple[_PossibleId, ...]:
        settings, name = self.settings, named(self.model, encoded, target)
        id_of = partial(
            circuit_id,
            model_id=self.model_record.id,
            transcoders_id=self.transcoders_record.id,
            dtype=str(self.model.dtype).removeprefix("torch."),
            token_ids=encoded.ids,
            target=name.target,
            target_position=name.position,
            node_threshold=settings.node_threshold,
            edge_threshold=settings.edge_threshold,
            special_first_token=encoded.n_left_out > 0,
            n_left_out=encoded.n_left_out,
        )
        limits = product(
            dict.fromkeys((None, settings.max_feature_nodes)), dict.fromkeys((None, settings.max_edges))
        )
        return tuple(
            _PossibleId(id_of(max_feature_nodes=features, max_edges=edges), features, edges)
            for features, edges in limits
        )


def find(settings: IngestSettings, planned: PlannedCircuit, there: Mapping[str, StoredSize]) -> str | None:
    """The id of the stored circuit that the settings give; None when none of `there` is it."""
    for each in planned.ids:
        if (size := there.get(each.id)) is None:
            continue
        all_features = each.max_feature_nodes is not None or _fits(
            size.n_active_features, settings.max_feature_nodes
        )
        all_edges = each.max_edges is not None or _fits(size.n_edges, settings.max_edges)
        if all_features and all_edges:
            return each.id
    return None


def _fits(size: int | None, limit: int | None) -> bool:
    return limit is None or size is None or size <= limit


def edge_note(pruned: Pruned) -> str | None:
    """What a person should know of the number of edges of a pruned graph; None for an ordinary one."""
    n = counted(len(pruned.weight), "edge")
    if pruned.edge_share is not None:
        return (
            f"the strongest {n} are kept, with {pruned.edge_share:.1%} of the influence of the graph's edges"
        )
    if len(pruned.weight) > MANY_EDGES:
        return f"the graph has {n}; --max-edges, or lower thresholds, keep fewer"
    return None


def first_token(model: ReplacementModel, chosen: str) -> str:
    """A sentence on the token that is put first."""
    first = model.first_token(chosen)
    if first is None:
        return "No token is put before prompts. --first-token puts one there; it can change answers."
    return (
        f"The token {model.decode(first)!r} is put before prompts that do not begin with a special token. It "
        "can change answers; --first-token chooses another, or none."
    )


def _labelled(circuit: Circuit, namer: Namer) -> Circuit:
    features = [
        (node.layer, node.index)
        for node in circuit.nodes
        if node.kind is NodeKind.FEATURE and node.index is not None
    ]
    names = namer.names(features)
    return replace(
        circuit,
        labels=tuple(Label(*key, name.text, METHOD, ATLAS) for key, name in names.items()),
        supernodes=group_by_concept(circuit.nodes, {key: name.concept for key, name in names.items()}),
    )


def find_missing(
    database: Database, settings: IngestSettings, planned: list[PlannedCircuit], summary: IngestSummary
) -> tuple[list[PlannedCircuit], dict[str, str]]:
    """The circuits that the database lacks, and key → id of those it has.

    The prompts of the circuits that it has get new tags, and are counted.
    """
    there = present(database, [possible.id for each in planned for possible in each.ids])
    ids = {each.key: found for each in planned if (found := find(settings, each, there)) is not None}
    summary.present = len(ids)
    summary.known = tag_known_prompts(
        partial(tag_again, database), {ids[each.key]: each.line for each in planned if each.key in ids}
    )
    return [each for each in planned if each.key not in ids], ids


def _ingest_all(
    database: Database,
    attributor: Attributor,
    planned: list[PlannedCircuit],
    missing: list[PlannedCircuit],
    summary: IngestSummary,
    *,
    say: Callable[[str], None],
    counted: Callable[[], None],
    done: Callable[[], None],
) -> dict[str, str]:
    """Compute and load the missing circuits. Returns key → id of those that could be computed."""
    # All prompts of the file are counted, not only the missing ones: a resumed run gives the same labels.
    namer = Namer.over(attributor.model, [each.encoded for each in planned], advance=counted)
    run = attributor.run()
    assign_model(database, attributor.transcoders_record, attributor.model_record)

    ids: dict[str, str] = {}
    lines: dict[str, int] = {}
    wanted = {each.key for each in missing}

    def loaded(group: Sequence[tuple[Prepared | Unfit, Outcome]]) -> None:
        for (circuit, *_), outcome in group:
            if isinstance(outcome, AtlasError):
                what = f"line {lines[circuit.id]}: {outcome.what}"
                summary.problems.append(InputError(what, next_step=outcome.next_step))
            else:
                summary.loaded += outcome
            done()

    with (
        leased(database, Doing.LOADING, [run.id]) as require,
        GroupLoader(database, require=require, loaded=loaded) as loader,
    ):
        ledger.begin(database, run)
        for group in groups(planned):
            for each in attributor.attributed(group, wanted, namer):
                summary.take(each, say)
                if each.circuit is None:
                    done()
                    continue
                ids[each.planned.key] = each.circuit.id
                lines[each.circuit.id] = each.planned.line.line
                loader.put(each.circuit, run)
    return ids


def groups(planned: Sequence[PlannedCircuit]) -> Iterator[list[PlannedCircuit]]:
    """The prompts that are attributed together. They are cut from the whole file, in order."""
    for start in range(0, len(planned), GROUP_SIZE):
        yield list(planned[start : start + GROUP_SIZE])
