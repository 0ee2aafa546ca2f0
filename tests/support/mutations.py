"""Mutated graph files: each file is broken in one of many ways, drawn at random from a seed."""

import json
import random
from collections.abc import Callable
from typing import Any

from schema.circuit.records import Circuit
from schema.errors import FileError, InputError
from schema.exports.graph_json import to_json
from schema.formats.graph import read_graph
from schema.loading.validate import check_record
from tests.support.graph_files import ALL, Graph, encode

HOSTILE = (
    "'}) DETACH DELETE n //",
    '"; MATCH (n) DETACH DELETE n; "',
    "$id",
    "`" * 50,
    "\x00\x01\x1b[2J",
    "\u202e\u2066‮",
    "</script><script>alert(1)</script>",
    "../../../../etc/passwd",
    "{{7*7}}%s%n",
    "é" * 5000,
    "",
)
WRONG: tuple[Any, ...] = (None, True, -1, 2**63, 2**200, 1.5, "", "x", [], {}, [[]], [None], -0.0, 1e308)


def texts(graph: Graph) -> list[tuple[Any, Any]]:
    """(container, key) of every text in a file."""
    return [(where, key) for where, key in values(graph) if isinstance(where[key], str)]


def values(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a file."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        found.append((value, key))
        found += values(item)
    return found


def truncated(graph: Graph, rng: random.Random) -> bytes:
    data = encode(graph)
    return data[: rng.randrange(len(data))]


def wrong_type(graph: Graph, rng: random.Random) -> bytes:
    where, key = rng.choice(values(graph))
    where[key] = rng.choice(WRONG)
    return encode(graph)


def missing(graph: Graph, rng: random.Random) -> bytes:
    where, key = rng.choice(values(graph))
    del where[key]
    return encode(graph)


def not_finite(graph: Graph, rng: random.Random) -> bytes:
    numbers = [(w, k) for w, k in values(graph) if type(w[k]) in (int, float)]
    where, key = rng.choice(numbers)
    where[key] = rng.choice((float("nan"), float("inf"), -float("inf")))
    return encode(graph)


def duplicate(graph: Graph, rng: random.Random) -> bytes:
    one, other = rng.sample(graph["nodes"], 2)
    kind = rng.randrange(3)
    if kind == 0:
        graph["nodes"].append(dict(one))
    elif kind == 1:
        other["node_id"] = one["node_id"]
    else:
        graph["links"].append(dict(rng.choice(graph["links"])))
    return encode(graph)


def lost_end(graph: Graph, rng: random.Random) -> bytes:
    link = rng.choice(graph["links"])
    link[rng.choice(("source", "target"))] = rng.choice(("nobody", "", "0_0_0", *HOSTILE))
    return encode(graph)


def nested(graph: Graph, rng: random.Random) -> bytes:
    opening = rng.choice((b"[", b'{"a":'))
    text = json.dumps(graph)
    at = rng.choice([place for place, sign in enumerate(text) if sign == ":"]) + 1
    return text[:at].encode() + opening * 10**6 + text[at:].encode()


def hostile(graph: Graph, rng: random.Random) -> bytes:
    for where, key in texts(graph):
        if rng.random() < 0.3 and key not in ("feature_type", "layer", "node_id", "source", "target"):
            where[key] = rng.choice(HOSTILE)
    return encode(graph)


def hostile_ids(graph: Graph, rng: random.Random) -> bytes:
    """All ids renamed, in nodes and links alike."""
    new = {each["node_id"]: f"{rng.choice(HOSTILE)}{place}" for place, each in enumerate(graph["nodes"])}
    for each in graph["nodes"]:
        each["node_id"] = new[each["node_id"]]
    for link in graph["links"]:
        link |= {"source": new[link["source"]], "target": new[link["target"]]}
    return encode(graph)


def flipped(graph: Graph, rng: random.Random) -> bytes:
    data = bytearray(encode(graph))
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def surrogate(graph: Graph, rng: random.Random) -> bytes:
    where, key = rng.choice(texts(graph))
    where[key] = "\ud800" + where[key]
    return encode(graph)


MUTATIONS: tuple[Callable[[Graph, random.Random], bytes], ...] = (
    *(truncated, wrong_type, wrong_type, missing, not_finite, duplicate, lost_end),
    *(hostile, hostile_ids, flipped, surrogate),
)
N = 1000


def files(count: int, seed: int) -> list[tuple[str, bytes]]:
    """(name of the mutation, the file). Every fiftieth is nested 10^6 deep.

    The same seed gives the same files.
    """
    rng = random.Random(seed)
    result = []
    for number in range(count):
        graph = ALL[rng.choice(list(ALL))]()
        if rng.random() < 0.3:  # our own form of it, with metadata.atlas
            graph = json.loads(json.dumps(to_json(read_graph(encode(graph), "x").circuit)))
        mutate = nested if number % 50 == 0 else rng.choice(MUTATIONS)
        result.append((mutate.__name__, mutate(graph, rng)))
    return result


def read_or_refuse(data: bytes, name: str) -> Circuit | None:
    """The circuit, or None when the file was refused with its name, a key and a reason."""
    problem: InputError
    try:
        circuit = read_graph(data, name).circuit
        check_record(circuit)
    except FileError as error:
        problem = error
    except InputError as error:  # from check, which the loader turns to one with the file's name
        problem = FileError(name, "the graph", error.what, next_step=error.next_step)
    else:
        return circuit
    assert isinstance(problem, FileError)
    assert problem.file == name
    assert problem.key
    assert problem.reason
    assert name in str(problem)
    return None
