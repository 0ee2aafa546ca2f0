"""Checks that the content of a database is consistent; can repair most inconsistencies.

1. circuits    every circuit has the nodes, edges, prompt, set and run that it must have
2. orphans     every node belongs to something (`schema.upkeep.rules`)
3. schema      every declared constraint and index exists and is online, so that no two nodes share a key
4. aggregates  USES, DRIVES, DRIVES_IN, FOUND_IN, COVERS and the sums of features and circuits equal what the
               stored nodes and edges give (`schema.upkeep.recompute`)

A scan (`schema.upkeep.scan`) reads everything in bulk and names the circuits and features where something
may be wrong. Only these are compared one by one, a few hundred at a time; sums may differ by rounding.
Without the constraints several nodes can have one key, which the scan cannot read; then everything is
compared one by one. Run the check while nothing is loaded, because a circuit that is being loaded looks like
an inconsistency.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from shlex import quote
from typing import Any, NamedTuple

from schema.counted import counted
from schema.database import Database, Rows, Transaction
from schema.errors import DatabaseError
from schema.loading.fragments import lock_everything
from schema.model.core import AWAIT_INDEXES, NODES, RELATIONSHIPS, schema_statements
from schema.model.declare import NodeType
from schema.upkeep.recompute import AGGREGATES, Aggregate, Amount, rewrite
from schema.upkeep.rules import DELETE, RULES, ForbiddenState
from schema.upkeep.scan import SCANNED, Step, Suspects, scan

Read = Callable[[str, dict[str, Any]], Rows]

PAGE = 200
"""Number of features, circuits or sets that are compared at a time."""

REPAIR = "atlas check --repair"
"""The command that corrects what follows from the rest."""

DOUBLED = "doubled key"
"""Kind of the finding that several nodes have one key."""

LISTED = 1000
"""Largest number of findings that one query gives."""


class Inconsistency(NamedTuple):
    """One inconsistency in the database."""

    kind: str
    """Kind, such as `missing index`, `orphan` or `DRIVES`."""
    where: str
    """Key of the node or relationship."""
    what: str
    """What is wrong: the stored and the recomputed value, or what is missing."""
    fix: str = REPAIR
    """The command that corrects it."""
    mended: bool = False
    """Whether `repair` corrected it."""

    def sentence(self) -> str:
        """The inconsistency as one line of text."""
        return f"{self.kind}: {self.where}: {self.what}{' (mended)' if self.mended else ''}"


def check(
    database: Database,
    *,
    repair: bool = False,
    page: int = PAGE,
    step: Step = lambda what, done, total: None,
    bulk: bool = True,
) -> Iterator[Inconsistency]:
    """Yield every inconsistency when it is found.

    repair: delete orphans, merge nodes that share a key, create missing indexes and write recomputed
    aggregates. What is wrong inside one circuit is reported but not changed; `fix` of the finding deletes the
    circuit. page: number of features, circuits or sets that are compared at a time. step: called with what is
    done, the number of steps that are done, and their total. bulk: False compares everything one by one,
    which takes many times as long.
    """
    suspects = _suspects(database, step) if bulk else None
    changed = False
    for finding in _rules_and_schema(database, suspects, step, repair=repair):
        changed |= finding.mended
        yield finding
    for aggregate in AGGREGATES:
        if bulk and (changed or suspects is None):
            # What was repaired changes what follows from it.
            suspects, changed = _suspects(database, step), False
        for keys in _pages(database, aggregate, suspects, page, step):
            differences = list(_differences(database.read, aggregate, keys))
            if differences and repair:
                differences = _mend(database, aggregate, keys)
                changed = True
            yield from differences


def _suspects(database: Database, step: Step) -> Suspects | None:
    """None when the database cannot be scanned."""
    constraints = _constraints(database)
    if any(node.key is not None and (node.label, node.key) not in constraints for node in NODES):
        return None
    return scan(database, step)


def _rules_and_schema(
    database: Database, suspects: Suspects | None, step: Step, *, repair: bool
) -> Iterator[Inconsistency]:
    for number, rule in enumerate(RULES):
        step("kinds of faults looked for", number + 1, len(RULES))
        yield from _broken(database, rule, suspects, repair)
    merged = False
    for finding in _schema(database, repair):
        merged |= finding.kind == DOUBLED and finding.mended
        yield finding
    if merged:
        # What two nodes had separately, one node has twice now.
        for rule in RULES:
            yield from _broken(database, rule, None, repair)


def _schema(database: Database, repair: bool) -> Iterator[Inconsistency]:
    """Call this after orphans are deleted, because one of two nodes with the same key may be an orphan."""
    constraints = _constraints(database)
    for node in NODES:
        if node.key is not None and (node.label, node.key) not in constraints:
            yield from _doubled(database, node, repair)
    found = _absent(database)
    if found and repair:
        for statement in schema_statements():
            try:
                database.write(statement)
            except DatabaseError as error:
                if "ConstraintCreationFailed" not in error.what:
                    raise
        database.read(AWAIT_INDEXES)
        left = set(_absent(database))
        found = [each._replace(mended=each not in left) for each in found]
    yield from found


def _constraints(database: Database) -> set[tuple[str, str]]:
    return {
        (row["labelsOrTypes"][0], row["properties"][0])
        for row in database.read(_CONSTRAINTS)
        if len(row["labelsOrTypes"]) == len(row["properties"]) == 1
    }


def _absent(database: Database) -> list[Inconsistency]:
    """The declared constraints and indexes that do not exist or are not online."""
    constraints = _constraints(database)
    indexes = {
        (row["type"], row["labelsOrTypes"][0], *row["properties"]): row["state"]
        for row in database.read(_INDEXES)
    }
    found = []
    for node in NODES:
        if node.key is not None and (node.label, node.key) not in constraints:
            found.append(
                Inconsistency(
                    "missing constraint", f"{node.label}.{node.key}", "the constraint does not exist"
                )
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


def _missing(label: str, names: tuple[str, ...], state: str | None) -> Inconsistency:
    what = "the index does not exist" if state is None else f"its state is {state}"
    return Inconsistency("missing index", f"{label}({', '.join(names)})", what)


def _doubled(database: Database, node: NodeType, repair: bool) -> Iterator[Inconsistency]:
    # Label and property are declared names, so they can be part of the text.
    text = (
        f"MATCH (n:{node.label}) WITH n.{node.key} AS key, collect(n) AS nodes "
        "WHERE size(nodes) > 1 AND key IS NOT NULL "
        "RETURN key, size(nodes) AS n, [n IN nodes | elementId(n)] AS eids, "
        f"head(COLLECT {{ UNWIND nodes AS n MATCH (c:Circuit) "
        f"WHERE {_CIRCUIT_OF.get(node.label, 'false')} RETURN c.id }}) AS circuit ORDER BY key LIMIT $limit"
    )
    for row in database.read(text, {"limit": LISTED}):
        mended = repair and row["circuit"] is None
        if mended:
            database.transaction(partial(_merge, eids=row["eids"]))
        has = counted(row["n"], "node has", "nodes have")
        yield Inconsistency(
            DOUBLED, f"{node.label} {row['key']}", f"{has} it", _fix(row["circuit"]), mended=mended
        )


def _fix(circuit: str | None) -> str:
    return REPAIR if circuit is None else f"atlas delete --circuit {quote(circuit)}"


def _merge(transaction: Transaction, eids: list[str]) -> None:
    """Give the relationships of all nodes to the first one, and delete the others."""
    lock_everything(transaction)
    for text in _MERGE:
        transaction.run(text, {"first": eids[0], "others": eids[1:]})
    transaction.run(DELETE, {"eids": eids[1:]})


def _broken(
    database: Database, rule: ForbiddenState, suspects: Suspects | None, repair: bool
) -> Iterator[Inconsistency]:
    mended = repair and rule.mend is not None
    restricted = suspects is not None and rule.scanned
    parameters: dict[str, Any] = {"limit": LISTED}
    if suspects is not None and rule.scanned:
        parameters["circuits"] = sorted(suspects.circuits)

    def work(transaction: Transaction) -> Rows:
        # Nothing that is being loaded or deleted may look broken.
        if mended:
            lock_everything(transaction)
        rows = transaction.run(find, parameters)
        if rows and rule.mend is not None and mended:
            transaction.run(rule.mend, {"eids": [row["eid"] for row in rows]})
        return rows

    find = (rule.find_in_suspects if restricted else rule.find) + "\nRETURN key, eid, circuit LIMIT $limit"
    while True:
        rows = database.transaction(work) if mended else database.read(find, parameters)
        for row in rows:
            yield Inconsistency(rule.kind, str(row["key"]), rule.what, _fix(row["circuit"]), mended=mended)
        if len(rows) < LISTED or not mended:
            return


def _pages(
    database: Database, aggregate: Aggregate, suspects: Suspects | None, size: int, step: Step
) -> Iterator[list[str]]:
    """The keys of an aggregate that are to be compared, in ascending order, `size` at a time."""
    if suspects is not None and aggregate in SCANNED:
        wanted = suspects.of(aggregate)
        for start in range(0, len(wanted), size):
            step(f"suspects compared: {aggregate.name}", start, len(wanted))
            yield wanted[start : start + size]
        return
    after, done = "", 0
    while rows := database.read(aggregate.keys, {"after": after, "limit": size}):
        step(f"{aggregate.name} compared", done, None)
        keys = [row["key"] for row in rows]
        yield keys
        after = keys[-1]
        done += len(keys)


def _differences(read: Read, aggregate: Aggregate, keys: list[str]) -> Iterator[Inconsistency]:
    # A part of a key can be anything that a property can hold, and is None where it is missing.
    stored = {repr(row["key"]): row for row in read(aggregate.stored, {"keys": keys})}
    wanted = {repr(row["key"]): row for row in read(aggregate.recomputed, {"keys": keys})}
    parts = {key: list(map(str, row["key"])) for key, row in (stored | wanted).items()}
    for key in sorted(parts, key=lambda key: (parts[key], key)):
        where = " → ".join(parts[key])
        if key not in wanted:
            yield Inconsistency(aggregate.name, where, "stored, but no stored node or edge gives it")
        elif key not in stored:
            yield Inconsistency(aggregate.name, where, "missing, but stored nodes and edges give it")
        else:
            for amount in aggregate.amounts:
                have, want = stored[key][amount.name], wanted[key][amount.name]
                if not _same(amount, have, want, wanted[key]):
                    yield Inconsistency(
                        aggregate.name, where, f"{amount.name} is {have}, the nodes and edges give {want}"
                    )


def _same(amount: Amount, have: Any, want: Any, row: dict[str, Any]) -> bool:
    if isinstance(have, bool) or not isinstance(have, int | float):
        return type(have) is type(want) and bool(have == want)
    if not isinstance(want, float):
        return bool(have == want)
    if not (math.isfinite(have) and math.isfinite(want)):
        return bool(have == want or (math.isnan(have) and math.isnan(want)))
    return abs(have - want) <= amount.tolerance(row)


def _mend(database: Database, aggregate: Aggregate, keys: list[str]) -> list[Inconsistency]:
    """Compare again with everything locked, as loading locks it, and write the recomputed values."""

    def work(transaction: Transaction) -> list[Inconsistency]:
        lock_everything(transaction)
        found = list(_differences(transaction.run, aggregate, keys))
        if found:
            rewrite(transaction, aggregate, keys)
        return [each._replace(mended=True) for each in found]

    return database.transaction(work)


_CONSTRAINTS = "SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties WHERE type = 'UNIQUENESS' RETURN *"

_INDEXES = """
SHOW INDEXES YIELD type, state, labelsOrTypes, properties, owningConstraint
WHERE owningConstraint IS NULL AND type <> 'LOOKUP'
RETURN type, state, labelsOrTypes, properties
"""

_CIRCUIT_OF = {
    "Circuit": "n = c",
    **{
        each.target: f"(c)-[:{each.type}]->(n)"
        for each in RELATIONSHIPS
        if each.part and each.source == "Circuit"
    },
}
"""Label of what belongs to one circuit → condition in Cypher that `n` belongs to circuit `c`. Such a node
cannot be merged: its circuit is deleted."""

_MERGE = tuple(
    f"""
    UNWIND $others AS eid
    MATCH {before}(other){after} WHERE elementId(other) = eid
    MATCH (first) WHERE elementId(first) = $first
    MERGE {before.replace("r]", "new:$(type(r))]")}(first){after.replace("r]", "new:$(type(r))]")}
    ON CREATE SET new = properties(r)
    """
    for before, after in (("(x)-[r]->", ""), ("", "-[r]->(x)"))
)
"""Two queries: they copy the relationships that end, and that begin, at $others to $first."""
