"""Values of another type or size than the graph model declares, and the places where they can be stored."""

import math
from typing import Any, NamedTuple

from atlas.local.server import Address
from schema.database import Database
from schema.model.core import NODES, RELATIONSHIPS
from schema.upkeep.check import check
from tests.support.cli import Cli
from tests.support.servers import environment_of

ODD_VALUES: dict[str, Any] = {
    "text": "x",
    "digits": "5",
    "boolean": True,
    "numbers": [1.5],
    "texts": ["x"],
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "nan": math.nan,
    "infinity": math.inf,
    "null": None,
}

ROUNDS = 4
"""How often a check and the commands that it names may be needed: an orphan is one only when its circuit is
gone."""


class Place(NamedTuple):
    """One property of a label or relationship type."""

    kind: str
    name: str
    pattern: str
    """Cypher that matches the nodes or relationships as `x`."""

    def plant(self, database: Database, value: Any) -> None:
        """Store a value in the first node or relationship."""
        text = f"MATCH {self.pattern} WITH x ORDER BY elementId(x) LIMIT 1 SET x += $odd"
        database.write(text, {"odd": {self.name: value}})

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}"


CHECKED = {
    *("Model", "TranscoderSet", "Feature", "Prompt", "Family", "Run", "Circuit", "Node", "FeatureNode"),
    *("ATTRIBUTES", *(each.type for each in RELATIONSHIPS if each.aggregate)),
}
"""Labels and types that `atlas check` reads."""

PLACES = [
    Place(kind, each.name, pattern)
    for kind, pattern, properties in (
        *((each.label, f"(x:{each.label})", each.properties) for each in NODES),
        *((each.type, f"()-[x:{each.type}]->()", each.properties) for each in RELATIONSHIPS),
    )
    for each in properties
    if kind in CHECKED and each.type.startswith(("integer", "float", "list"))
]
"""Every number and list that is declared for `CHECKED`."""

KEYS = [
    Place(each.label, each.key, f"(x:{each.label})")
    for each in NODES
    if each.key is not None and each.label in CHECKED
]


def plant_everywhere(database: Database, value: Any) -> None:
    """Store a value in every place at once."""
    for kind in sorted(CHECKED):
        mine = [place for place in PLACES if place.kind == kind]
        if mine:
            text = f"MATCH {mine[0].pattern} WITH x ORDER BY elementId(x) LIMIT 1 SET x += $odd"
            names = [place.name for place in mine if not is_right(place, value)]
            database.write(text, {"odd": dict.fromkeys(names, value)})


def is_right(place: Place, value: Any) -> bool:
    """Whether the value is no odd one in the place: the weight of an edge may be large, and then it stays."""
    return str(place) == "ATTRIBUTES.weight" and isinstance(value, int) and not isinstance(value, bool)


def follow(database: Database, server: Address) -> list[str]:
    """Run the commands that the findings of `check` name until there is none; gives the findings."""
    atlas = Cli(environment_of(server))
    said: list[str] = []
    for _ in range(ROUNDS):
        found = list(check(database))
        if not found:
            return said
        said += [each.sentence() for each in found]
        for command in sorted({each.fix for each in found}):
            done = atlas(*command.split()[1:])
            assert done.error is None, (command, done.text)
            if command.startswith("atlas delete"):
                assert done.stdout.startswith("1 circuit deleted"), (command, done.text)
    assert [each.sentence() for each in check(database)] == []
    return said
