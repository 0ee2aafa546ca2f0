"""Attributes the prompts of a file and writes their circuits as shards: `atlas ingest --to`.

The steps are those of `ingest.circuits.run`, with a store in place of the database: no Neo4j is needed.
Each shard has the circuits of `SHARD_PROMPTS` prompts of the file, so the shards are the same however often
the run was stopped between them.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from rich.console import Console

from ingest.circuits.known_prompts import tag_known_prompts
from ingest.circuits.prompts import read_prompts
from ingest.circuits.run import (
    Attributed,
    Attributor,
    IngestSettings,
    IngestSummary,
    PlannedCircuit,
    find,
    first_token,
    groups,
)
from ingest.labels.namer import Namer
from ingest.progress import progress
from schema.circuit.records import Circuit
from schema.errors import InputError
from schema.loading.load import StoredSize
from schema.loading.validate import check_record
from schema.shards.folder import SHARD_PROMPTS, packed, stored_sizes, write_failures
from schema.shards.store import Store
from schema.shards.tags import tag_stored


def ingest_to(store: Store, settings: IngestSettings, *, console: Console) -> IngestSummary:
    """Write the circuits of a prompts file to a store.

    The errors of single prompts are in the summary and in a file of the store. Raises InputError when the
    prompts file or the store cannot be used, EngineError when the model or the transcoders cannot; shards
    that were written stay, and the same call goes on from there.
    """
    started, summary = time.monotonic(), IngestSummary()
    file = read_prompts(settings.prompts)
    summary.problems += file.problems
    store.create()
    there = sizes_of(store)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    with console.status(f"Loading the model {settings.model.name} …"):
        model = settings.load_model()
    attributor = Attributor(model, settings)
    say(first_token(model, settings.first_token))
    planned = attributor.plan(file.prompts, summary.problems)
    summary.notes += attributor.unreachable(planned)
    missing = {each.key for each in find_missing_in(store, there, settings, planned, summary)}
    run = attributor.run()
    if missing:
        with progress(console) as work:
            counting = work.add("prompts whose features are counted", len(planned))
            writing = work.add("circuits", len(missing))
            namer = Namer.over(attributor.model, [each.encoded for each in planned], advance=counting.advance)
            for part in shares(planned):
                circuits: list[tuple[int, Circuit]] = []
                for group in groups(part):
                    for each in map(storable, attributor.attributed(group, missing, namer)):
                        summary.take(each, say)
                        writing.advance()
                        if each.circuit is not None:
                            circuits.append((each.planned.line.line, each.circuit))
                for name, data in packed(circuits, run):
                    store.put(name, data)
                summary.loaded += len(circuits)
    write_failures(store, run, summary.problems)
    summary.seconds = time.monotonic() - started
    return summary


def storable(each: Attributed) -> Attributed:
    """A problem in place of a circuit that the database would refuse."""
    if each.circuit is None:
        return each
    try:
        check_record(each.circuit)
    except InputError as error:
        problem = InputError(f"line {each.planned.line.line}: {error.what}", next_step=error.next_step)
        return each._replace(circuit=None, problem=problem)
    return each


def sizes_of(store: Store) -> dict[str, StoredSize]:
    """Id → size of each circuit that a store has. Raises FileError for a damaged shard."""
    return {id_: StoredSize(*size) for id_, size in stored_sizes(store).items()}


def find_missing_in(
    store: Store,
    there: Mapping[str, StoredSize],
    settings: IngestSettings,
    planned: Sequence[PlannedCircuit],
    summary: IngestSummary,
) -> list[PlannedCircuit]:
    """The circuits that a store lacks. there: those that it has.

    The prompts of the circuits that it has get new tags, and are counted. Raises FileError for a damaged
    shard.
    """
    ids = {each.key: found for each in planned if (found := find(settings, each, there)) is not None}
    summary.present = len(ids)
    lines = {ids[each.key]: each.line for each in planned if each.key in ids}
    given = {id_: line for id_, line in lines.items() if line.tags or line.family is not None}
    summary.known = tag_known_prompts(partial(tag_stored, store), given)
    return [each for each in planned if each.key not in ids]


def shares(planned: Sequence[PlannedCircuit]) -> Iterator[list[PlannedCircuit]]:
    """The prompts of each shard: whole groups, cut from the whole file in order."""
    for start in range(0, len(planned), SHARD_PROMPTS):
        yield list(planned[start : start + SHARD_PROMPTS])
