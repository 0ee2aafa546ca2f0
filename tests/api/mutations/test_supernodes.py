"""Supernodes that people draw have versions, and they outlive a method that runs again."""

import asyncio

from schema.annotations.roles import write_roles
from schema.circuit.records import NodeKind
from schema.database import Database
from schema.upkeep.check import check
from tests.support.writing import MINE

SUPERNODES = """query ($id: ID!) { circuit(id: $id) {
  nodes(kind: FEATURE, first: 100) { nodes { id layer } }
  people: supernodes(method: "person", first: 100) { nodes { ...said } }
  supernodes(method: "roles-v2", first: 100) { nodes { ...said } } } }
fragment said on Supernode { id label method author members { id } }"""
HISTORY = (
    "query ($id: ID!) { supernodeHistory(id: $id) { id label author replacedAt members { id } replaces } }"
)


async def test_supernodes_of_people_have_versions_and_outlive_a_method(writing_api, connection):
    async def persons() -> dict[str, tuple[str, list[str]]]:
        found = (await writing_api(SUPERNODES, id=MINE.id))["circuit"]["people"]["nodes"]
        assert {each["method"] for each in found} == {"person"}
        return {
            each["label"]: (each["author"], sorted(node["id"] for node in each["members"])) for each in found
        }

    await asyncio.to_thread(group_by_method, connection, "first")
    seen = (await writing_api(SUPERNODES, id=MINE.id))["circuit"]
    nodes = sorted(node["id"] for node in seen["nodes"]["nodes"])[:4]
    method = seen["supernodes"]["nodes"][0]
    assert {each["method"] for each in seen["supernodes"]["nodes"]} == {"roles-v2"}
    group = """mutation ($c: ID!, $n: [ID!]!, $l: String!) {
      groupSupernode(circuit: $c, nodes: $n, label: $l, author: "ada") { id } }"""
    one = (await writing_api(group, c=MINE.id, n=nodes[:2], l="one"))["groupSupernode"]["id"]
    assert (await writing_api(group, c=MINE.id, n=nodes[:2], l="one"))["groupSupernode"]["id"] == one
    two = (await writing_api(group, c=MINE.id, n=nodes[2:], l="two"))["groupSupernode"]["id"]
    assert await persons() == {"one": ("ada", nodes[:2]), "two": ("ada", nodes[2:])}

    rename = """mutation ($id: ID!, $l: String!, $a: String!) {
      renameSupernode(id: $id, label: $l, author: $a) { id } }"""
    uno = (await writing_api(rename, id=one, l="uno", a="bob"))["renameSupernode"]["id"]
    assert (await writing_api(rename, id=one, l="uno", a="bob"))["renameSupernode"]["id"] == uno
    assert (await writing_api.error(rename, id=one, l="eins", a="eve"))[0] == "CONFLICT"
    merge = 'mutation ($i: [ID!]!) { mergeSupernodes(ids: $i, label: "all", author: "bob") { id } }'
    both = (await writing_api(merge, i=[uno, two]))["mergeSupernodes"]["id"]
    assert await persons() == {"all": ("bob", nodes)}
    split = """mutation ($id: ID!, $p: [SupernodePart!]!) {
      splitSupernode(id: $id, parts: $p, author: "eve") { id label } }"""
    parts = [{"label": "a", "nodes": nodes[:1]}, {"label": "b", "nodes": nodes[1:]}]
    assert (await writing_api.error(split, id=both, p=parts[:1]))[0] == "BAD_INPUT"
    made = (await writing_api(split, id=both, p=parts))["splitSupernode"]
    assert [each["label"] for each in made] == ["a", "b"]
    assert (await writing_api(split, id=both, p=parts))["splitSupernode"] == made
    assert await persons() == {"a": ("eve", nodes[:1]), "b": ("eve", nodes[1:])}

    history = (await writing_api(HISTORY, id=made[0]["id"]))["supernodeHistory"]
    assert {
        each["id"]: (
            *(each["label"], each["author"], each["replacedAt"] is None),
            *(sorted(node["id"] for node in each["members"]), sorted(each["replaces"])),
        )
        for each in history
    } == {
        made[0]["id"]: ("a", "eve", True, nodes[:1], [both]),
        both: ("all", "bob", False, nodes, sorted([uno, two])),
        uno: ("uno", "bob", False, nodes[:2], [one]),
        one: ("one", "ada", False, nodes[:2], []),
        two: ("two", "ada", False, nodes[2:], []),
    }
    copy = (await writing_api(rename, id=method["id"], l="mine now", a="ada"))["renameSupernode"]["id"]
    assert copy != method["id"]
    assert set(await persons()) == {"mine now", "a", "b"}
    again = (await writing_api(SUPERNODES, id=MINE.id))["circuit"]
    assert again["supernodes"] == seen["supernodes"]
    # The method runs again, and finds other groups.
    kept = await persons()
    await asyncio.to_thread(group_by_method, connection, "second")
    assert await persons() == kept
    assert len(kept) == 3
    assert (await writing_api.error(rename, id=method["id"], l="x", a="ada"))[0] == "NOT_FOUND"
    assert (await writing_api.error(group, c=MINE.id, n=["no such node"], l="x"))[0] == "NOT_FOUND"
    assert (await writing_api.error(group, c="no such circuit", n=nodes, l="x"))[0] == "NOT_FOUND"
    assert list(check(connection)) == []


def group_by_method(database: Database, label: str) -> None:
    features = {
        (node.layer, node.index or 0): f"{label} {node.layer}"
        for node in MINE.nodes
        if node.kind is NodeKind.FEATURE
    }
    list(write_roles(database, MINE.transcoders.id, features))
