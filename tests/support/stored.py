"""What the database holds, and whether it is what the records of the circuits say."""

from typing import Any

import pytest

from schema.circuit.records import Circuit
from schema.database import Database
from schema.loading.load import load_circuit, present
from schema.upkeep.canonical_dump import dump
from tests.support.circuits import RUN, Drive, Use, drives


def load_all(database: Database, circuits: list[Circuit]) -> None:
    for circuit in circuits:
        assert load_circuit(database, circuit, RUN) is True


def whole(database: Database, circuits: list[Circuit]) -> list[Circuit]:
    """The circuits that are there, after a check that each has all its nodes and edges."""
    there = present(database, [circuit.id for circuit in circuits])
    rows = database.read(
        """
        MATCH (c:Circuit)
        RETURN c.id AS id, COUNT { (c)-[:HAS]->(:Node) } AS nodes,
               COUNT { (c)-[:HAS]->(:Node)-[:ATTRIBUTES]->() } AS edges
        """
    )
    found = [circuit for circuit in circuits if circuit.id in there]
    assert {row["id"]: (row["nodes"], row["edges"]) for row in rows} == {
        circuit.id: (len(circuit.nodes), len(circuit.edges)) for circuit in found
    }
    return found


def stored_uses(database: Database) -> dict[tuple[str, str], Use]:
    rows = database.read(
        """
        MATCH (c:Circuit)-[u:USES]->(f:Feature)
        RETURN c.id AS c, f.id AS f, u.influence AS influence, u.activation AS activation,
               u.positions AS positions
        """
    )
    return {(row["c"], row["f"]): Use(row["influence"], row["activation"], row["positions"]) for row in rows}


def assert_effects(database: Database, circuits: list[Circuit]) -> None:
    """DRIVES, DRIVES_IN and what features keep of them are what the records of `circuits` say."""
    every = drives(circuits)
    assert stored_effects(database, "DRIVES") == {
        (None, *pair): drive for pair, drive in close(every).items()
    }
    families = {circuit.prompt.family for circuit in circuits} - {None}
    assert stored_effects(database, "DRIVES_IN") == {
        (family, *pair): drive
        for family in families
        for pair, drive in close(drives([c for c in circuits if c.prompt.family == family])).items()
    }
    for row in database.read("MATCH (f:Feature) RETURN f.id AS id, f.degree AS degree"):
        assert row["degree"] == sum(pair.count(row["id"]) for pair in every)


def stored_effects(database: Database, kind: str) -> dict[tuple[str | None, str, str], Drive]:
    rows = database.read(
        f"MATCH (f:Feature)-[d:{kind}]->(g:Feature) RETURN f.id AS f, g.id AS g, properties(d) AS d"
    )
    found = {
        (row["d"].get("family"), row["f"], row["g"]): Drive(**{key: row["d"][key] for key in Drive._fields})
        for row in rows
    }
    assert len(found) == len(rows)
    return found


def close(expected: dict[tuple[str, str], Drive]) -> dict[tuple[str, str], Any]:
    """Equal up to rounding: the database adds one circuit at a time."""
    return {pair: pytest.approx(drive, rel=1e-9, abs=1e-7) for pair, drive in expected.items()}


def nothing_left(database: Database) -> bool:
    return not any(dump(database).values())
