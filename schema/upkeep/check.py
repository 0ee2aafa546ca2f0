"""Whether a database holds together: `check` names every difference and can mend most.

1. whole       every circuit has the nodes, edges, prompt, set and run that it should have
2. orphans     nothing is there that no circuit refers to
3. schema      every declared constraint and index is there and online; with them no key can be doubled
4. aggregates  USES, DRIVES, DRIVES_IN, FOUND_IN, COVERS and the sums that features and circuits keep follow
               from the detail

Aggregates are compared in Python, a few hundred features at a time, with what a plain query recomputes from
the detail; sums may differ by rounding. Check while nothing loads: a load meanwhile looks like a difference.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from schema.database import Database, Rows
from schema.errors import DatabaseError
from schema.model.core import NODES, RELATIONSHIPS, schema_statements
from schema.model.declare import NodeType
from schema.upkeep.recompute import AGGREGATES, Aggregate, Amount
from schema.upkeep.rules import RULES, Rule

Read = Callable[[str, dict[str, Any]], Rows]

PAGE = 200
"""Features, circuits or families that are compared at a time."""

_ONE = "keep one: `DETACH DELETE` the others in the console, then `atlas check --repair`"

LISTED = 1000
"""Findings of one kind that are named; the rest is counted."""


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    kind: str
    """Such as `missing index`, `orphan`, `DRIVES`."""
    where: str
    """The key of the node or relationship."""
    what: str
    """Stored and recomputed value, or what is missing."""
    mended: bool = False
    """Whether `repair` has put it right."""

    def sentence(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}{' (mended)' if self.mended else ''}"


def check(
    database: Database, *, repair: bool = False, page: int = PAGE, step: Callable[[str], object] = str
) -> Iterator[Finding]:
    """Everything that is wrong, as it is found. step: told what is looked at, now and then.

    repair: delete orphans, create missing indexes and write recomputed aggregates. A circuit that is not
    whole and a doubled key stay as they are, and so does the constraint that the doubled key forbids.
    """
    for rule in RULES:
        step(f"each {rule.kind}")
        yield from _broken(database, rule, repair)
    step("constraints and indexes")
    yield from _schema(database, repair)
    for aggregate in AGGREGATES:
        for number, keys in enumerate(_pages(database, aggregate, page)):
            step(f"{aggregate.name}: {number * page} compared")
            differences = list(_differences(database.read, aggregate, keys))
            if differences and repair:
                differences = _mend(database, aggregate, keys)
            yield from differences


def _schema(database: Database, repair: bool) -> Iterator[Finding]:
    """After the orphans: of two nodes with one key, one may have been an orphan."""
    constraints = _constraints(database)
    for node in NODES:
        if node.key is not None and (node.label, node.key) not in constraints:
            yield from _doubled(database, node)
    found = _absent(database)
    if found and repair:
        for statement in schema_statements():
            try:
                database.write(statement)
            except DatabaseError as error:
                if "ConstraintCreationFailed" not in error.what:
                    raise
        database.read("CALL db.awaitIndexes(300)")
        left = set(_absent(database))
        found = [each._replace(mended=each not in left) for each in found]
    yield from found


def _constraints(database: Database) -> set[tuple[str, str]]:
    return {
        (row["labelsOrTypes"][0], row["properties"][0])
        for row in database.read(_CONSTRAINTS)
        if len(row["labelsOrTypes"]) == len(row["properties"]) == 1
    }


def _absent(database: Database) -> list[Finding]:
    """Declared constraints and indexes that are not there, or do not work."""
    constraints = _constraints(database)
    indexes = {
        (row["type"], row["labelsOrTypes"][0], *row["properties"]): row["state"]
        for row in database.read(_INDEXES)
    }
    found = []
    for node in NODES:
        if node.key is not None and (node.label, node.key) not in constraints:
            found.append(
                Finding("missing constraint", f"{node.label}.{node.key}", "not unique by constraint")
            )
        wanted = [("RANGE", node.label, *names) for names in node.indexes]
        wanted += [("FULLTEXT", node.label, name) for _, name in node.full_text]
        wanted += [("VECTOR", node.label, *filter(None, each[1:])) for each in node.vectors]
        for index in wanted:
            state = indexes.get(index)
            if state != "ONLINE":
                found.append(_missing(node.label, index[2:], state))
    for relationship in RELATIONSHIPS:
        for names in relationship.indexes:
            state = indexes.get(("RANGE", relationship.type, *names))
            if state != "ONLINE":
                found.append(_missing(relationship.type, names, state))
    return found


def _missing(label: str, names: tuple[str, ...], state: str | None) -> Finding:
    what = "there is none" if state is None else f"its state is {state}"
    return Finding("missing index", f"{label}({', '.join(names)})", what)


def _doubled(database: Database, node: NodeType) -> Iterator[Finding]:
    # Label and property are our own declarations; values from outside travel as parameters.
    text = (
        f"MATCH (n:{node.label}) WITH n.{node.key} AS key, count(*) AS n "
        "WHERE n > 1 OR key IS NULL RETURN key, n ORDER BY key LIMIT $limit"
    )
    for row in database.read(text, {"limit": LISTED}):
        yield Finding("doubled key", f"{node.label} {row['key']}", f"{row['n']} nodes have it; {_ONE}")


def _broken(database: Database, rule: Rule, repair: bool) -> Iterator[Finding]:
    while True:
        rows = database.read(rule.find + "\nRETURN key, eid LIMIT $limit", {"limit": LISTED})
        if rows and repair and rule.mend:
            database.write(_DELETE, {"eids": [row["eid"] for row in rows]})
        for row in rows:
            yield Finding(rule.kind, str(row["key"]), rule.what, mended=repair and rule.mend)
        if len(rows) < LISTED or not (repair and rule.mend):
            return


def _pages(database: Database, aggregate: Aggregate, size: int) -> Iterator[list[str]]:
    """Keys of what the aggregate is compared by, in order."""
    after = ""
    while rows := database.read(aggregate.keys, {"after": after, "limit": size}):
        keys = [row["key"] for row in rows]
        yield keys
        after = keys[-1]


def _differences(read: Read, aggregate: Aggregate, keys: list[str]) -> Iterator[Finding]:
    stored = {tuple(row["key"]): row for row in read(aggregate.stored, {"keys": keys})}
    wanted = {tuple(row["key"]): row for row in read(aggregate.recomputed, {"keys": keys})}
    for key in sorted({*stored, *wanted}):
        where = " → ".join(key)
        if key not in wanted:
            yield Finding(aggregate.name, where, "stored, but the detail has nothing of it")
        elif key not in stored:
            yield Finding(aggregate.name, where, "the detail has it, but it is not stored")
        else:
            for amount in aggregate.amounts:
                have, want = stored[key][amount.name], wanted[key][amount.name]
                if not _same(amount, have, want, wanted[key]):
                    yield Finding(aggregate.name, where, f"{amount.name} is {have}, the detail gives {want}")


def _same(amount: Amount, have: Any, want: Any, row: dict[str, Any]) -> bool:
    if have is None or want is None or not isinstance(want, float):
        return bool(have == want)
    return abs(have - want) <= amount.tolerance(row)


def _mend(database: Database, aggregate: Aggregate, keys: list[str]) -> list[Finding]:
    """Compare again with all sets locked, as loading locks them, and write what the detail gives."""

    def work(transaction: Any) -> list[Finding]:
        transaction.run("MATCH (t:TranscoderSet) WITH t ORDER BY t.id SET t.id = t.id")
        found = list(_differences(transaction.run, aggregate, keys))
        if found:
            rows = transaction.run(aggregate.recomputed, {"keys": keys})
            transaction.run(aggregate.clear, {"keys": keys})
            transaction.run(aggregate.write, {"rows": rows})
        return [each._replace(mended=True) for each in found]

    return database.transaction(work)


_CONSTRAINTS = "SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties WHERE type = 'UNIQUENESS' RETURN *"

_INDEXES = """
SHOW INDEXES YIELD type, state, labelsOrTypes, properties, owningConstraint
WHERE owningConstraint IS NULL AND type <> 'LOOKUP'
RETURN type, state, labelsOrTypes, properties
"""

_DELETE = "UNWIND $eids AS eid MATCH (n) WHERE elementId(n) = eid DETACH DELETE n"
