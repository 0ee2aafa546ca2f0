"""The ingest service: per prompt attribute, prune, convert, load. Only this file writes to the database.

1. read     the prompts file; every bad line is remembered
2. tokenize; every prompt the model cannot take is remembered
3. ask      the database which circuits are there already (the id of a circuit is known before it is computed)
4. count    what each feature fires on over all prompts of the file, for first labels
5. per group of prompts: attribute together; per missing circuit: prune → convert → label → group, and hand
   it to the loading thread

Loading runs beside attribution, one circuit a transaction, in file order. Stopped at any moment, the database
holds whole circuits only; the same command goes on from there and ends with the same content: groups are cut
from the whole file, not from what is missing, because the last bits of a sum depend on what is computed with
it.
"""

import importlib.metadata
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ingest.circuits import convert
from ingest.circuits.heads import with_heads, with_qk
from ingest.circuits.loader import Loader, going_on
from ingest.circuits.prompts import PromptLine, read_prompts
from ingest.circuits.resume import Again, given_again
from ingest.engine.attribution.attribute import attribute_each
from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import Pruned, prune
from ingest.engine.attribution.targets import DEFAULT, Named, Target, named, parse
from ingest.engine.errors import EngineError
from ingest.engine.replacement.model import Encoded, FirstToken, ReplacementModel
from ingest.labels.namer import Namer
from ingest.labels.supernodes import group_by_concept
from schema.circuit.records import Circuit, Model, NodeKind, Prompt, Run, TranscoderSet, circuit_id
from schema.database import Database
from schema.errors import InputError
from schema.loading.load import load_circuit, prepare, present
from schema.loading.set_model import settle_model

VERSIONS = ("circuit-atlas", "torch", "transformers")
"""Packages whose versions a run records."""

GROUP_SIZE = 16
"""Prompts that are attributed together."""


@dataclass(frozen=True)
class IngestSettings:
    """What to ingest, and how."""

    prompts: Path
    model: Path
    transcoders: Path
    node_threshold: float = 0.8
    edge_threshold: float = 0.98
    max_feature_nodes: int | None = None
    target: tuple[Target, ...] = DEFAULT
    """Of every prompt whose line names none."""
    first_token: FirstToken = "left-out"
    memory: int | None = None
    """Bytes that attribution may take besides the model; None: no limit."""
    heads: bool = False
    """Whether what attention heads carry is kept too."""


@dataclass
class Summary:
    """What one call did."""

    loaded: int = 0
    present: int = 0
    """Circuits that the database had already."""
    again: Again = field(default_factory=Again)
    problems: list[Exception] = field(default_factory=list)
    """One for each line or prompt that failed."""
    seconds: float = 0.0
    """From the first step to the last transaction."""

    def sentence(self) -> str:
        rate = f" ({self.loaded / self.seconds:.1f} circuits/s, all steps counted)" if self.loaded else ""
        failed = f", {len(self.problems)} failed" if self.problems else ""
        return (
            f"{self.loaded} circuits loaded in {self.seconds:.1f} s{rate}, "
            f"{self.present} were there already{failed}.{self.again.sentence()}"
        )


def ingest(database: Database, settings: IngestSettings, *, console: Console) -> Summary:
    """Ingest a prompts file into a migrated database.

    Raises InputError when the file cannot be used at all, EngineError when the model or the transcoders
    cannot, DatabaseError when Neo4j fails (what was loaded stays). Single prompts' trouble is in the summary.
    """
    started = time.monotonic()
    summary = Summary()
    file = read_prompts(settings.prompts)
    summary.problems += file.problems
    with ThreadPoolExecutor(1) as planner:
        # Nobody asks for its result: what is wrong with the database, the first question to it says.
        planner.submit(prepare, database)
        with console.status(f"Loading the model {settings.model.name} …"):
            model = ReplacementModel.load(settings.model, settings.transcoders)
        work = Work(model, settings)
        jobs = work.jobs(file.prompts, summary.problems)
        todo = _missing(database, jobs, summary)
        if todo:
            with going_on(lambda: summary.loaded), _progress(console) as progress:
                counting = progress.add_task("counting features", total=len(jobs))
                loading = progress.add_task("circuits", total=len(todo))
                _ingest_all(
                    *(database, work, jobs, todo, summary),
                    counted=lambda: progress.advance(counting),
                    done=lambda: progress.advance(loading),
                )
            database.settle()
    summary.seconds = time.monotonic() - started
    return summary


def ingest_job(
    database: Database,
    work: "Work",
    lines: list[PromptLine],
    *,
    name: str,
    check: Callable[[], None],
    step: Callable[[int], None],
) -> tuple[Summary, list[str]]:
    """The prompts of a job, as `ingest` does those of a file, with a model that is loaded already.

    name: of the run, in place of the file's; check: called often; step: told, from another thread, how many
    prompts are finished. Either stops the work by raising. Returns what was done and the circuits' ids.
    """
    started, summary = time.monotonic(), Summary()
    jobs = work.jobs(lines, summary.problems)
    todo = _missing(database, jobs, summary)
    n_done = len(lines) - len(todo)
    step(n_done)

    def done() -> None:
        nonlocal n_done
        n_done += 1
        step(n_done)

    if todo:
        _ingest_all(*(database, work.called(name), jobs, todo, summary), counted=check, done=done)
        database.settle()
    summary.seconds = time.monotonic() - started
    return summary, [job.circuit_id for job in jobs]


def attribute_one(
    prompt: str,
    *,
    model: Path,
    transcoders: Path,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    max_feature_nodes: int | None = None,
    target: tuple[Target, ...] = DEFAULT,
    first_token: FirstToken = "left-out",
    memory: int | None = None,
    heads: bool = False,
    qk: Sequence[str] = (),
) -> Circuit:
    """The circuit of one prompt, without labels and without a database. Raises EngineError.

    heads: with what attention heads carry; qk: with the scores of these heads and positions, such as 3/1@5.
    """
    settings = IngestSettings(
        *(Path(), model, transcoders, node_threshold, edge_threshold, max_feature_nodes),
        *(target, first_token, memory, heads),
    )
    work = Work(ReplacementModel.load(model, transcoders), settings)
    problems: list[Exception] = []
    jobs = work.jobs([PromptLine(1, prompt)], problems)
    if problems:
        raise problems[0]
    (graph,) = work.graphs(jobs)
    if isinstance(graph, EngineError):
        raise graph
    pruned = work.prune(graph)
    return with_qk(work.circuit(jobs[0], graph, pruned), work.model, qk)


@dataclass(frozen=True)
class _Job:
    """One prompt to attribute."""

    line: PromptLine
    encoded: Encoded
    target: tuple[Target, ...]
    circuit_id: str


class Work:
    """What all prompts of one call share."""

    def __init__(self, model: ReplacementModel, settings: IngestSettings) -> None:
        self.model = model
        self.settings = settings
        self.model_record: Model = convert.model_record(model)
        self.transcoders_record: TranscoderSet = convert.transcoders_record(model, self.model_record.id)

    def called(self, name: str) -> "Work":
        """The same for a run of another name."""
        other = copy(self)
        other.settings = replace(self.settings, prompts=Path(name))
        return other

    def run(self) -> Run:
        settings = self.settings
        return Run(
            settings={
                "prompts": settings.prompts.name,
                "model": self.model_record.id,
                "transcoders": self.transcoders_record.id,
                "node_threshold": settings.node_threshold,
                "edge_threshold": settings.edge_threshold,
                "max_feature_nodes": settings.max_feature_nodes,
                "first_token": settings.first_token,
            },
            versions={name: importlib.metadata.version(name) for name in VERSIONS},
        )

    def jobs(self, lines: list[PromptLine], problems: list[Exception]) -> list[_Job]:
        """Tokenize; prompts that fail, and repeats, go to `problems`."""
        jobs: dict[str, _Job] = {}
        for line in lines:
            try:
                encoded = self.model.encode(line.prompt, first_token=self.settings.first_token)
                target = self.settings.target if line.target is None else parse(line.target)
                key = self._circuit_id(encoded, named(self.model, encoded, target))
            except EngineError as error:
                problems.append(InputError(f"line {line.line}: {error.what}", next_step=error.next_step))
                continue
            if key in jobs:
                problems.append(
                    InputError(
                        f"line {line.line}: the same prompt as on line {jobs[key].line.line}, so left out",
                        next_step="put all tags of a prompt on one line",
                    )
                )
                continue
            jobs[key] = _Job(line, encoded, target, key)
        return list(jobs.values())

    def graphs(self, group: list[_Job]) -> Iterator[GraphNodes | EngineError]:
        """The graphs of a group of prompts, or what was wrong with each, in order."""
        settings, done = self.settings, 0
        try:
            for graph in attribute_each(
                self.model,
                [(job.encoded, job.target) for job in group],
                max_feature_nodes=settings.max_feature_nodes,
                memory=settings.memory,
            ):
                yield graph
                done += 1
        except EngineError as error:
            if len(group) == 1:
                yield error
            else:
                # One prompt's trouble is not that of the others.
                for job in group[done:]:
                    yield from self.graphs([job])

    def prune(self, graph: GraphNodes) -> Pruned:
        settings = self.settings
        return prune(graph, node_threshold=settings.node_threshold, edge_threshold=settings.edge_threshold)

    def circuit(self, job: _Job, graph: GraphNodes, pruned: Pruned, namer: Namer | None = None) -> Circuit:
        """Convert, with heads when asked for, and label when there is a namer."""
        line = job.line
        prompt = Prompt(
            text=line.prompt,
            tokens=job.encoded.tokens,
            token_ids=job.encoded.ids,
            family=line.family,
            tags=line.tags,
            expected=line.expected,
            pair=line.pair,
            split=line.split,
        )
        circuit = convert.circuit(graph, pruned, prompt, self.model_record, self.transcoders_record)
        if self.settings.heads:
            circuit = with_heads(circuit, self.model, graph, pruned, job.target)
        return circuit if namer is None else _labelled(circuit, namer)

    def _circuit_id(self, encoded: Encoded, name: Named) -> str:
        settings = self.settings
        return circuit_id(
            model_id=self.model_record.id,
            transcoders_id=self.transcoders_record.id,
            dtype=str(self.model.dtype).removeprefix("torch."),
            token_ids=encoded.ids,
            target=name.target,
            target_position=name.position,
            node_threshold=settings.node_threshold,
            edge_threshold=settings.edge_threshold,
            max_feature_nodes=settings.max_feature_nodes,
            special_first_token=encoded.special_first_token,
        )


def _labelled(circuit: Circuit, namer: Namer) -> Circuit:
    features = dict.fromkeys(
        (node.layer, node.index)
        for node in circuit.nodes
        if node.kind is NodeKind.FEATURE and node.index is not None
    )
    labels = (namer.label(layer, index) for layer, index in features)
    return replace(
        circuit,
        labels=tuple(label for label in labels if label is not None),
        supernodes=group_by_concept(circuit.nodes, namer.concept),
    )


def _missing(database: Database, jobs: list[_Job], summary: Summary) -> list[_Job]:
    """Those whose circuits are not there; what becomes of the others goes into the summary."""
    there = present(database, [job.circuit_id for job in jobs])
    summary.present = sum(job.circuit_id in there for job in jobs)
    summary.again = given_again(database, {j.circuit_id: j.line for j in jobs if j.circuit_id in there})
    return [job for job in jobs if job.circuit_id not in there]


def _ingest_all(
    database: Database,
    work: Work,
    jobs: list[_Job],
    todo: list[_Job],
    summary: Summary,
    *,
    counted: Callable[[], None],
    done: Callable[[], None],
) -> None:
    # Over all prompts of the file, not only the missing ones: a resumed run gives the same labels.
    namer = Namer.over(work.model, [job.encoded for job in jobs], advance=counted)
    run = work.run()
    settle_model(database, work.transcoders_record, work.model_record)

    def load(circuit: Circuit) -> None:
        summary.loaded += load_circuit(database, circuit, run)
        done()

    missing = {job.circuit_id for job in todo}
    with Loader(load) as loader:
        for start in range(0, len(jobs), GROUP_SIZE):
            group = jobs[start : start + GROUP_SIZE]
            if missing.isdisjoint(job.circuit_id for job in group):
                continue
            for job, graph in zip(group, work.graphs(group), strict=True):
                if job.circuit_id not in missing:
                    continue
                if isinstance(graph, EngineError):
                    summary.problems.append(
                        InputError(f"line {job.line.line}: {graph.what}", next_step=graph.next_step)
                    )
                    done()
                    continue
                loader.put(work.circuit(job, graph, work.prune(graph), namer))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
    )


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")
