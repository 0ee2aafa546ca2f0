"""Every id that one question returns is accepted by every other question, mutation and download.

1. The ids are collected by walking the schema: each root field is asked for every id in its answer.
2. Each id is given to every argument that takes ids of its kind. None may be refused or not be found.

The atlas holds imported circuits (ids without "@", numbers beyond 2^31, features of attention, a set named
"model/set", other kinds of nodes) beside circuits of the atlas itself.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from api.app import sdl
from api.downloads.lists import DOWNLOADS
from api.request.limits import Limits
from schema.annotations.checkpoints import Checkpoint, keep_checkpoints
from schema.annotations.labels import label_feature
from schema.annotations.modules import ModuleSettings, compute
from schema.annotations.supernodes import NodeGroup, group, rename
from schema.circuit.records import Circuit, NodeKind
from schema.database import AsyncDatabase, Database
from schema.evidence.claims import ClaimOutcome, ClaimStatement, keep_claim
from schema.formats.graph import Given
from schema.jobs import RequestedPrompt, request
from schema.loading.load import load_circuit
from schema.loading.read import circuit_ids
from tests.support.api import Api
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.graph_files import anthropic, crm, eleuther, legacy, neuronpedia
from tests.support.little_graph import circuit_of
from tests.support.servers import empty

SCHEMA = build_schema(sdl())
assert SCHEMA.query_type is not None
assert SCHEMA.mutation_type is not None
FIELDS = SCHEMA.query_type.fields
MUTATIONS = SCHEMA.mutation_type.fields
LIMITS = Limits(
    timeout_s=120.0,
    aliases=1000,
    fields=100_000,
    depth=30,
    document=10**6,
    cost=10**9,
    rows=10**6,
    database_ms=10**9,
)
TOGETHER = 50
"""Questions that one request asks."""
REFUSED = {"NOT_FOUND", "BAD_INPUT", "BAD_QUERY", "INTERNAL", "DATABASE_ERROR"}
"""Codes of errors that no id may give."""

OF_TYPE = {
    "Run": "run",
    "RunMade": "run",
    "DeletedRun": "run",
    "GraphNode": "node",
    "CircuitNode": "node",
    "SupernodeVersion": "supernode",
    "TranscoderSet": "transcoders",
}
"""Type → the kind of its `id`, where the kind is not the type's own name."""
OF_FIELD = {"measured": "claim", "replaces": "supernode"}
"""Field → the kind of the ids that it holds, where the kind is not the field's own name."""
TAKEN = {
    ("circuit", "id"): "circuit",
    ("feature", "id"): "feature",
    ("job", "id"): "job",
    ("cancelJob", "id"): "job",
    ("compareCircuits", "a"): "circuit",
    ("compareCircuits", "b"): "circuit",
    ("compareCheckpoints", "a"): "checkpoint",
    ("compareCheckpoints", "b"): "checkpoint",
    ("claims", "ids"): "claim",
    ("supernodeHistory", "id"): "supernode",
    ("deleteRun", "id"): "run",
    ("renameSupernode", "id"): "supernode",
    ("splitSupernode", "id"): "supernode",
    ("mergeSupernodes", "ids"): "supernode",
    ("tagPrompts", "prompts"): "prompt",
    ("setFamily", "prompts"): "prompt",
}
"""(field, argument) → the kind of the ids that it takes, where the name of the argument does not say it."""
PLAIN = {"circuits": "circuit", "circuit": "circuit", "features": "feature", "feature": "feature"} | {
    "transcoders": "transcoders",
    "partition": "partition",
    "nodes": "node",
    "model": "model",
}
"""Name of an argument, or of a field of an input object, → the kind of the ids that it takes."""
GIVEN: dict[str, Any] = {
    "from": {"token": "Hi"},
    "to": {"logit": " you"},
    "inCircuits": {},
    "text": "words",
    "tokens": [" you"],
    "minSupport": 2,
    "label": "words",
    "author": "ada",
    "family": "sayings",
    "tags": ["seen"],
    "edits": ["ablate 0/3@all"],
    "prompts": [{"prompt": "Hi"}],
}
"""What an argument is given, where it needs no id."""


def huge() -> Circuit:
    """An import whose feature has a number beyond 2^31, of a set with a slash in its name."""
    graph = anthropic()
    graph["nodes"][1] |= {"feature": 3_000_000_017, "jsNodeId": "1_3000000017-0"}
    graph["qParams"] = {}
    renamed = json.dumps(graph).replace("1_40000_1", "1_3000000017_1")
    return circuit_of(json.loads(renamed), Given("gemma-2-2b", "gemma-2-2b/clt-hp", "hello"))


@pytest.fixture(scope="module")
def held(connection: Database) -> Iterator[list[Circuit]]:
    """What the database holds: everything that has an id."""
    empty(connection)
    imports = [*map(circuit_of, (crm(), neuronpedia(), eleuther(), legacy("qwen3-4b"))), huge()]
    circuits = [*imports, *synthetic_circuits(3, seed=3)]
    for circuit in circuits:
        load_circuit(connection, circuit, RUN)
    # Every feature has a direction, so that each of them can be asked for its nearest features.
    connection.write(
        "MATCH (f:Feature)-[:IN]->(t:TranscoderSet) SET f.direction_of = t.id, "
        "f.direction = [i IN range(1, 256) | CASE i WHEN 1 + f.index % 256 THEN 1.0 ELSE 0.0 END]"
    )
    compute(connection, ModuleSettings(min_circuits=1, n_null=0))
    sets = sorted({circuit.transcoders.id for circuit in circuits})
    keep_checkpoints(connection, "run", [Checkpoint(n, each) for n, each in enumerate(sets)], [], [])
    request(connection, [RequestedPrompt("Hi")], "ada", transcoders=sets[0])
    for circuit in imports:
        nodes = tuple(f"{circuit.id}/{node.key}" for node in circuit.nodes)
        rename(connection, group(connection, circuit.id, NodeGroup("all", nodes), "ada"), "everything", "bob")
        for node in circuit.nodes:
            if node.kind is NodeKind.FEATURE:
                label_feature(connection, circuit.transcoders.feature_id(*node.feature_key), "words", "ada")
    keep_claim(
        connection,
        ClaimStatement(
            ("ablate 0/3@all",), sets[0], "m", "t", (imports[0].id,), None, "nothing", None, None, 9, 0
        ),
        ClaimOutcome(None, 1.0, 0.0, 1.0, 0.5),
        [],
    )
    connection.wait_for_full_text()
    yield circuits
    empty(connection)


@pytest.fixture
async def everything(server: Any, connection: Database, held: list[Circuit]) -> Any:
    """The API on `held`, patient, and with a writer."""
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    async with Api(database, LIMITS, token="t", writer=connection) as api:
        yield api
    await database.close()


def selection(kind: Any, depth: int, *, ids: bool = False) -> str:
    """All that needs no arguments; with `ids`, only what leads to ids."""
    chosen = []
    for name, field in kind.fields.items():
        below = get_named_type(field.type)
        if name in ("edges", "pageInfo") or any(map(is_required_argument, field.args.values())):
            continue
        if is_leaf_type(below):
            chosen += [name] if not ids or below.name == "ID" else []
        elif (name == "nodes" or depth) and (inner := selection(below, depth - (name != "nodes"), ids=ids)):
            chosen.append(f"{name}{'(first: 100)' if 'first' in field.args else ''} {inner}")
    return f"{{ __typename {' '.join(chosen)} }}" if chosen else ""


def needed(name: str, field: GraphQLField, ids: dict[str, list[str]]) -> dict[str, Any]:
    """What has to be given to a field."""
    known = dict(GIVEN)
    for argument, taken in field.args.items():
        if kind := kind_of(name, argument):
            of_kind = ids.get(kind, ["?"])
            known[argument] = of_kind[:1] if str(taken.type).startswith("[") else of_kind[argument == "b"]
    one, other = ids.get("circuit", ["?", "?"])[:2]
    known |= {"positive": {"circuits": [one]}, "negative": {"circuits": [other]}}
    wanted = [each for each, taken in field.args.items() if is_required_argument(taken)]
    wanted += {"drivesLogit": ["tokens"], "requestClaim": ["circuits"], "setFamily": ["family"]}.get(name, [])
    return {each: known[each] for each in wanted}


def kind_of(name: str, argument: str) -> str | None:
    """The kind of the ids that an argument takes; None: no ids."""
    # `prompts` of the requests for circuits are texts.
    return TAKEN.get((name, argument)) or PLAIN.get(argument)


def places(field: GraphQLField) -> Iterator[tuple[str, str | None]]:
    """The arguments of a field, and the fields of its arguments that are input objects."""
    for argument, taken in field.args.items():
        named = get_named_type(taken.type)
        if isinstance(named, GraphQLInputObjectType) and not str(taken.type).startswith("["):
            yield from ((argument, key) for key in named.fields)
        else:
            yield argument, None


async def ask(
    api: Api, name: str, field: GraphQLField, variants: list[dict[str, Any]], chosen: str
) -> dict[str, Any]:
    """The body of the answer of one field, asked once with each variant of its arguments: `v0`, `v1`, …"""
    declared: list[str] = []
    calls: list[str] = []
    variables: dict[str, Any] = {}
    for n, given in enumerate(variants):
        declared += [f"$v{n}_{each}: {field.args[each].type}" for each in given]
        used = ", ".join(f"{each}: $v{n}_{each}" for each in given)
        calls.append(f"v{n}: {name}{f'({used})' if given else ''} {chosen}")
        variables |= {f"v{n}_{each}": value for each, value in given.items()}
    kind = "mutation" if name in MUTATIONS else "query"
    head = f" ({', '.join(declared)})" if declared else ""
    return await api.answer(f"{kind}{head} {{ {' '.join(calls)} }}", **variables)


def walk(value: Any, found: dict[str, set[str]]) -> None:
    """Sort every id in an answer by its kind."""
    for each in value if isinstance(value, list) else ():
        walk(each, found)
    if not isinstance(value, dict):
        return
    for name, each in value.items():
        if isinstance(each, dict) or (isinstance(each, list) and each and isinstance(each[0], dict)):
            walk(each, found)
        elif each and name != "__typename":
            type_: str = value["__typename"]
            kind = OF_TYPE.get(type_, type_.lower()) if name == "id" else OF_FIELD.get(str(name), str(name))
            found[kind] |= {*each} if isinstance(each, list) else {each}


async def collected(api: Api, held: list[Circuit]) -> dict[str, list[str]]:
    """Kind → the ids of this kind that answers hold: all of imports, and some of the others."""
    found: dict[str, set[str]] = defaultdict(set)
    # Fields that need an id are asked with one that other fields returned.
    order = sorted(FIELDS, key=lambda name: sum(map(is_required_argument, FIELDS[name].args.values())))
    order.sort(key=lambda name: name != "circuits")
    for name in order:
        field = FIELDS[name]
        if name != "tokensOfFamily" and (chosen := selection(get_named_type(field.type), 2, ids=True)):
            known = {kind: sorted(each) for kind, each in found.items()}
            given = needed(name, field, known)
            body = await ask(api, name, field, [given], chosen)
            assert "errors" not in body, (name, given, body["errors"])
            walk(list(body["data"].values()), found)
    own = {"feature": 5, "node": 5}
    return {
        kind: [
            *(each for each in sorted(ids) if "@" not in each),
            *sorted(each for each in ids if "@" in each)[: own.get(kind, len(ids))],
        ]
        for kind, ids in found.items()
    }


async def refusals(
    api: Api,
    name: str,
    field: GraphQLField,
    place: tuple[str, str | None],
    ids: dict[str, list[str]],
    sets: dict[str, str],
) -> list[Any]:
    """What is refused of the ids that a place of a field takes. sets: circuit → its transcoder set."""
    argument, key = place
    kind = kind_of(name, argument) if key is None else PLAIN.get(key)
    listed, variants = str(field.args[argument].type).startswith("["), []
    for each in ids[kind] if kind else ():
        given = needed(name, field, ids)
        # A second set of circuits that has none of the first.
        other = next(one for one in ids["circuit"] if each not in (one, sets[one]))
        if (name, argument) == ("contrast", "positive"):
            given["negative"] = {"circuits": [other]}
        elif (name, argument) == ("contrast", "negative"):
            given["positive"] = {"circuits": [other]}
        elif (name, argument) == ("sharedFeatures", "absentFrom"):
            given["circuits"] = [other]
        if key is None:
            given[argument] = [each] if listed else each
        else:
            named: Any = get_named_type(field.args[argument].type)
            one = [each] if str(named.fields[key].type).startswith("[") else each
            given[argument] = {key: one}
        if name == "groupSupernode":
            circuit = each if argument == "circuit" else each.split("/")[0]
            given |= {"circuit": circuit, "nodes": [n for n in ids["node"] if n.split("/")[0] == circuit][:2]}
        variants.append(given)
    problems: list[Any] = []
    # One mutation that is refused ends the request.
    together = 1 if name in MUTATIONS else TOGETHER
    for start in range(0, len(variants), together):
        some = variants[start : start + together]
        body = await ask(api, name, field, some, selection(get_named_type(field.type), 1))
        codes = {error["extensions"]["code"] for error in body.get("errors", ())}
        # A version of a supernode that another one replaced is known, but cannot be changed.
        answered = body["data"] is not None and None not in body["data"].values()
        if codes & REFUSED or not (answered or codes == {"CONFLICT"}):
            problems.append((name, some, body["errors"]))
    return problems


async def test_every_id_of_an_answer_is_accepted_everywhere(everything: Api, held: list[Circuit]) -> None:
    ids = await collected(everything, held)
    features = {
        circuit.transcoders.feature_id(*node.feature_key)
        for circuit in held
        for node in circuit.nodes
        if node.kind is NodeKind.FEATURE and "@" not in circuit.transcoders.id
    }
    assert features <= {*ids["feature"]}
    assert any("/attention/" in each for each in ids["feature"])
    assert any(each.startswith("gemma-2-2b/clt-hp/1/3000000017") for each in ids["feature"])
    assert {*ids} >= {"circuit", "feature", "node", "transcoders", "model", "run", "supernode", "prompt"}
    assert {*ids} >= {"label", "partition", "module", "checkpoint", "job", "claim"}
    sets = {circuit.id: circuit.transcoders.id for circuit in held}
    problems, taken = [], set()
    for name, field in (FIELDS | MUTATIONS).items():
        for place in places(field):
            argument, key = place
            if get_named_type(field.args[argument].type).name == "ID":
                assert kind_of(name, argument), f"{name}({argument}:) takes ids of an unknown kind"
            if name in ("splitSupernode", "deleteRun") or (name, argument) == ("requestClaim", "transcoders"):
                continue
            problems += await refusals(everything, name, field, place, ids, sets)
            taken.add(kind_of(name, argument) if key is None else PLAIN.get(key))
    assert problems == []
    assert taken >= {
        "circuit",
        "feature",
        "node",
        "transcoders",
        "supernode",
        "prompt",
        "checkpoint",
        "model",
    }


async def test_what_a_feature_does_is_told_for_features_of_attention(everything: Api) -> None:
    query = """query ($features: [ID!]!) { circuitsSharing(features: $features, kind: LOGIT) {
      nodes { uses { positions occurrences { position logits { weight logit { token } } } } } } }"""
    circuit = circuit_of(crm())
    (feature,) = (
        circuit.transcoders.feature_id(*node.feature_key)
        for node in circuit.nodes
        if node.kind is NodeKind.FEATURE and node.component == "attention"
    )
    logits = [{"weight": 0.5, "logit": {"token": " you"}}]
    assert (await everything(query, features=[feature]))["circuitsSharing"]["nodes"] == [
        {"uses": [{"positions": [1], "occurrences": [{"position": 1, "logits": logits}]}]}
    ]


async def test_every_id_is_accepted_by_downloads_and_commands(
    everything: Api, connection: Database, held: list[Circuit]
) -> None:
    ids = await collected(everything, held)
    for path in DOWNLOADS:
        kind = path.partition(".")[0]
        if kind in ("circuit", "feature") and "." in path:
            for each in ids[kind]:
                answer = await everything.http.get(f"/export/{path}.jsonl", params={"id": each})
                assert answer.status_code == 200, (path, each, answer.text)
    for each in ids["feature"]:
        answer = await everything.http.get("/export/circuitsSharing.csv", params={"features": each})
        assert answer.status_code == 200, (each, answer.text)
    for each in ids["circuit"]:
        assert circuit_ids(connection, [each]) == [each]
