"""Writes tags of prompts whose circuits a store has already.

A shard never changes, because its name holds the hash of its bytes. So a shard with such a circuit is written
again, with the tags, and only then is the old one deleted. Who stops in between leaves both. They give the
same circuits, and the prompts get the tags of both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from schema.circuit.records import Circuit
from schema.circuit.tagged import TaggedCircuit
from schema.shards.folder import FoundShard
from schema.shards.shard import is_shard_name, pack, prompts
from schema.shards.store import Store


def tag_stored(store: Store, circuits: Mapping[str, Sequence[str]]) -> list[TaggedCircuit]:
    """Give the prompts of stored circuits the tags that they lack. circuits: id of the circuit → tags.

    Raises FileError for a damaged shard.
    """
    if not circuits:
        return []
    shard_of: dict[str, str] = {}
    families: dict[str, str | None] = {}
    has: dict[str, set[str]] = {}
    for name in filter(is_shard_name, store.names()):
        with store.open(name) as file:
            found = prompts(store.of(name), file, circuits.keys())
        for id_, prompt in found.items():
            shard_of.setdefault(id_, name)
            families.setdefault(id_, prompt.family)
            has.setdefault(id_, set()).update(prompt.tags)
    new = {id_: [tag for tag in dict.fromkeys(circuits[id_]) if tag not in has[id_]] for id_ in shard_of}
    for name in sorted({shard_of[id_] for id_, tags in new.items() if tags}):
        _write_again(FoundShard(store, name), new)
    return [TaggedCircuit(id_, families[id_], len(tags)) for id_, tags in new.items()]


def _write_again(found: FoundShard, new: Mapping[str, Sequence[str]]) -> None:
    shard = found.read()
    circuits = [_with_tags(each, new.get(each.id, ())) for each in shard.circuits()]
    name, data = pack(circuits, shard.run, shard.line)
    found.store.put(name, data)
    found.store.delete(found.name)


def _with_tags(circuit: Circuit, new: Sequence[str]) -> Circuit:
    return replace(circuit, prompt=replace(circuit.prompt, tags=(*circuit.prompt.tags, *new)))
