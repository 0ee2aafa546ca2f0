"""Writes circuits to Neo4j. Each transaction writes a group of circuits: all of them or none.

1. prepare  check the record: places of edges and members, finite numbers, valid texts. Make its rows, and
            its share of the aggregates. Nothing is written yet
2. lock     lock the stored sets of the group, and ask which circuits are stored already. Nothing changes for
            these
3. detail   for each new circuit, in order: the circuit, its nodes, and its edges by place in the list; the
            model, set, run, prompt, features, USES, labels and supernodes
4. count    merge the shares of the new circuits (`schema.loading.shares`); add them to the sums of features,
            to DRIVES (`schema.loading.aggregates`), and to the DRIVES_IN, FOUND_IN and COVERS of their
            families (`schema.loading.families`)
5. ledger   write the entries of the inputs that gave new circuits

A circuit that is too large for one message is sent in several messages of its transaction. The lock of the
set lets one writer of the set continue at a time; after any other conflict the driver runs one of the
transactions again. When the database refuses a group, each half is loaded by itself, so that only the circuit
that it refuses is left out. Nodes that circuits share (models, prompts, labels, …) keep the properties that
the first load gave them. All lists have the record's order, and all sums are added in the order of the
circuits. So the same loads in the same order give the same content, however they are grouped.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from schema.circuit.records import Circuit, Run
from schema.database import Database, Transaction
from schema.errors import AtlasError, DatabaseError, InputError, QueryMemoryError, RefusedError
from schema.loading.aggregates import add_effects, add_uses
from schema.loading.effects import EACH_DRIVES_OF_GROUP
from schema.loading.families import ADD_TO_DRIVES_IN, COUNT_IN_FAMILY, KEEP_PLAN, join
from schema.loading.fragments import (
    ATTACH_LABEL,
    CREATE_SUPERNODE,
    FIRST_OF_METHOD,
    LOCK_NEW_SETS,
    LOCK_SET,
    MERGE_LABEL,
    merge_run,
)
from schema.loading.properties import Properties
from schema.loading.rows import Message, body, frame, messages, size_of
from schema.loading.runs import GIVE, Entry, give, given
from schema.loading.shares import (
    FamilyShare,
    Share,
    merged_effects,
    merged_uses,
    share_of_record,
    stored_share,
)
from schema.loading.validate import check_record

BATCH_BYTES = 4 << 20
"""Approximate size in bytes of the largest message, and of a group. Neo4j keeps several times as much in
memory for it."""

GROUP_CIRCUITS = 32
"""Largest number of circuits in one transaction."""


class Prepared(NamedTuple):
    """A circuit that is ready to be written."""

    circuit: Circuit
    entry: Entry | None
    """The input in the run's ledger."""
    id: str
    run: Properties
    """The run that loads the circuit."""
    messages: list[Message]
    share: Share
    size: int
    """Approximate size of the messages in bytes."""


class Unfit(NamedTuple):
    """A circuit whose parts do not fit together."""

    circuit: Circuit
    entry: Entry | None
    error: InputError
    size: int = 0


Outcome = bool | AtlasError
"""True for a circuit that is new, False for one that was stored already, or the reason why it was refused."""


def load_circuit(
    database: Database,
    circuit: Circuit,
    run: Run,
    entry: Entry | None = None,
    *,
    batch_bytes: int = BATCH_BYTES,
) -> bool:
    """Load one circuit with everything it refers to, and update the aggregates, in one transaction.

    Returns False when the circuit is stored already; then only the ledger changes. entry: the input in the
    run's ledger; its outcome becomes `loaded`, or `present` when the circuit is stored already. Raises
    InputError when the parts of the record do not fit together; then nothing is written. Raises DatabaseError
    when Neo4j fails; then nothing is kept.
    """
    (outcome,) = load_circuits(database, [(circuit, entry)], run, batch_bytes=batch_bytes)
    if isinstance(outcome, AtlasError):
        raise outcome
    return outcome


def load_circuits(
    database: Database,
    inputs: Iterable[tuple[Circuit, Entry | None]],
    run: Run,
    *,
    group_circuits: int = GROUP_CIRCUITS,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[Outcome]:
    """Load circuits in groups, and yield what became of each, in order.

    Each group is written in one transaction. A circuit that is refused, by the check or by the database, is
    left out, and the others are loaded. The ledger records the circuits that are stored; whoever calls this
    records the refused ones. group_circuits: largest number of circuits in a group. batch_bytes: approximate
    size of the largest message, and of a group. Raises DatabaseError when Neo4j fails; the groups before the
    failure stay.
    """

    def written(group: list[Prepared | Unfit]) -> list[Outcome]:
        outcomes = write_group(database, group)
        give(
            database,
            run,
            [
                (each.entry, each.circuit.id, False)
                for each, outcome in zip(group, outcomes, strict=True)
                if outcome is False and each.entry is not None
            ],
        )
        return outcomes

    group = Group(group_circuits, batch_bytes)
    for circuit, entry in inputs:
        each = prepared(circuit, run, entry, batch_bytes=batch_bytes)
        if not group.fits(each):
            yield from written(group.take())
        group.add(each)
    yield from written(group.take())


class Group:
    """Circuits that wait to be written in one transaction."""

    def __init__(self, circuits: int = GROUP_CIRCUITS, size: int = BATCH_BYTES) -> None:
        """circuits: largest number. size: largest size in bytes of several circuits; one may be larger."""
        self._circuits = circuits
        self._size = size
        self._waiting: list[Prepared | Unfit] = []

    def fits(self, circuit: Prepared | Unfit) -> bool:
        """Whether the circuit may join the group."""
        size = sum(each.size for each in self._waiting) + circuit.size
        return not self._waiting or (len(self._waiting) < self._circuits and size <= self._size)

    def add(self, circuit: Prepared | Unfit) -> None:
        self._waiting.append(circuit)

    def take(self) -> list[Prepared | Unfit]:
        """The circuits of the group, which is empty afterwards."""
        taken, self._waiting = self._waiting, []
        return taken

    def __len__(self) -> int:
        return len(self._waiting)


def prepared(
    circuit: Circuit, run: Run, entry: Entry | None = None, *, batch_bytes: int = BATCH_BYTES
) -> Prepared | Unfit:
    """Check a record and make its rows."""
    try:
        check_record(circuit)
    except InputError as error:
        return Unfit(circuit, entry, error)
    framed, parts = frame(circuit, run), body(circuit)
    return Prepared(
        circuit,
        entry,
        parts.id,
        framed.run,
        messages(framed, parts, batch_bytes),
        share_of_record(circuit, parts),
        size_of(parts),
    )


def write_group(database: Database, group: Sequence[Prepared | Unfit]) -> list[Outcome]:
    """Write circuits in one transaction, and return what became of each.

    The ledger gets the entries of the circuits that are new. A circuit that the database refuses is left out,
    and the others are written: each half of the group gets a transaction of its own. Raises DatabaseError
    when Neo4j fails.
    """
    fit = [each for each in group if isinstance(each, Prepared)]
    outcomes = iter(_write_halves(database, fit) if fit else ())
    return [each.error if isinstance(each, Unfit) else next(outcomes) for each in group]


def _write_halves(database: Database, group: Sequence[Prepared]) -> list[Outcome]:
    def work(transaction: Transaction) -> list[Outcome]:
        return _write_group(transaction, group)

    try:
        return database.transaction(work)
    except (DatabaseError, InputError) as error:
        refused = isinstance(error, (RefusedError, QueryMemoryError, InputError))
        if refused and len(group) > 1:
            half = len(group) // 2
            return _write_halves(database, group[:half]) + _write_halves(database, group[half:])
        # Another process may have loaded the circuit at the same moment: its unique id lets only one succeed.
        # Or the connection broke during the commit, which the driver does not repeat. Asking waits for its
        # end.
        if present(database, [each.id for each in group]):
            return database.transaction(work)
        if refused:
            return [error]
        raise


def prepare(database: Database) -> None:
    """Let the database plan the queries of loading, without loading anything.

    Planning takes seconds on a server that has just started. Call this beside other work, so that the first
    circuit does not wait.
    """
    for text in (KEEP_PLAN + STEPS["everything"], *COUNTING, ADD_TO_DRIVES_IN, COUNT_IN_FAMILY, _PRESENT):
        # Neo4j finds a plan by the text and the types of the parameters, so an empty map is enough.
        database.write("EXPLAIN " + text, {"p": {}})


def _write_group(transaction: Transaction, group: Sequence[Prepared]) -> list[Outcome]:
    sets = sorted({each.circuit.transcoders.id for each in group})
    transaction.run(_LOCK_STORED_SETS, {"p": {"ids": sets}})
    rows = transaction.run(_PRESENT, {"p": {"ids": [each.id for each in group]}})
    stored = {row["id"] for row in rows}
    outcomes: list[Outcome] = []
    shares: list[Share] = []
    joining: list[FamilyShare] = []
    for each in group:
        new = each.id not in stored
        outcomes.append(new)
        if new:
            stored.add(each.id)
            shares.append(each.share)
            joining += _write(transaction, each)
    if shares:
        transaction.run(_SUMS, {"p": {"uses": merged_uses(shares)}})
        transaction.run(_DRIVES, {"p": merged_effects(shares)})
        join(transaction, joining)
    entries = [
        given(each.entry, each.run, each.id, new=True)
        for each, new in zip(group, outcomes, strict=True)
        if new and each.entry is not None
    ]
    if entries:
        transaction.run(GIVE, {"p": {"rows": entries}})
    return outcomes


def _write(transaction: Transaction, circuit: Prepared) -> list[FamilyShare]:
    """Write everything but the aggregates; returns the circuits that join a family, in order."""
    family: str | None = None
    new_family = False
    for message in circuit.messages:
        for row in transaction.run(KEEP_PLAN + STEPS[message.step], {"p": message.parameters}):
            family, new_family = row["family"], row["new_family"]
    if family is None:
        return []
    joining = [FamilyShare(family, circuit.share)]
    # When this load gives the prompt its family, the stored circuits of the prompt now belong to the family.
    if new_family:
        others = transaction.run(_OTHERS, {"id": circuit.id})
        joining += [FamilyShare(family, stored_share(transaction, other["id"])) for other in others]
    return joining


class StoredSize(NamedTuple):
    """How large a stored circuit is."""

    n_active_features: int | None
    """Feature nodes that were active before any selection; None when unknown."""
    n_edges: int


def present(database: Database, circuit_ids: Iterable[str]) -> dict[str, StoredSize]:
    """The given ids whose circuits are stored, with the size of each circuit."""
    rows = database.read(_PRESENT, {"p": {"ids": list(circuit_ids)}})
    return {row["id"]: StoredSize(row["n_active_features"], row["n_edges"]) for row in rows}


# -- Cypher. Every value from outside is a parameter. All parameters are in one map, `p`, because Neo4j plans
# a query again (1 to 2 s for the large ones) for each new order of magnitude of the size of a list parameter,
# but does not look at the sizes of lists inside a map.

_PRESENT = """
UNWIND $p.ids AS id MATCH (c:Circuit {id: id})
RETURN c.id AS id, c.n_active_features AS n_active_features, c.n_edges AS n_edges
"""

_LOCK_STORED_SETS = f"MATCH (t:TranscoderSet) WHERE t.id IN $p.ids WITH t ORDER BY t.id {LOCK_SET}"
"""Two writers of the same sets cannot wait for each other, because they lock the sets in one order before
anything else."""

_CIRCUIT = """
CREATE (c:Circuit)
SET c = $p.circuit
"""

_NODES = """
WITH c
CALL (c) {
  UNWIND $p.feature_nodes AS row CREATE (c)-[:HAS]->(n:Node:FeatureNode) SET n = row
  RETURN collect(n) AS feature_nodes
}
CALL (c) {
  UNWIND $p.error_nodes AS row CREATE (c)-[:HAS]->(n:Node:ErrorNode) SET n = row
  RETURN collect(n) AS error_nodes
}
CALL (c) {
  UNWIND $p.token_nodes AS row CREATE (c)-[:HAS]->(n:Node:TokenNode) SET n = row
  RETURN collect(n) AS token_nodes
}
CALL (c) {
  UNWIND $p.logit_nodes AS row CREATE (c)-[:HAS]->(n:Node:LogitNode) SET n = row
  RETURN collect(n) AS logit_nodes
}
CALL (c) {
  UNWIND $p.other_nodes AS row CREATE (c)-[:HAS]->(n:Node:OtherNode) SET n = row
  RETURN collect(n) AS other_nodes
}
"""

_EDGES = """
CALL (nodes) {
  UNWIND range(0, size($p.weights) - 1) AS i
  WITH nodes[$p.sources[i]] AS source, nodes[$p.targets[i]] AS target, i
  CREATE (source)-[:ATTRIBUTES {weight: $p.weights[i], share: $p.shares[i], heads: $p.heads[i],
                                head_weights: $p.head_weights[i]}]->(target)
}
"""

# Feature nodes are the first of `nodes`.
_SHARED = f"""
CALL () {{
  // A deletion locks the stored sets, and the creation of new ones.
  OPTIONAL MATCH (stored:TranscoderSet {{id: $p.transcoders.id}})
  CALL (stored) {{ WITH stored WHERE stored IS NULL {LOCK_NEW_SETS} }}
  MERGE (t:TranscoderSet {{id: $p.transcoders.id}}) ON CREATE SET t = $p.transcoders
  {LOCK_SET}
  // A set belongs to one model, even when two loaders name different models at the same time.
  WITH t, EXISTS {{ (t)-[:FOR]->() }} AS known
  FOREACH (new IN CASE WHEN known THEN [] ELSE [$p.model] END |
    MERGE (m:Model {{id: new.id}}) ON CREATE SET m = new
    CREATE (t)-[:FOR]->(m))
  WITH t
  CALL (t) {{ MATCH (t)-[:FOR]->(m:Model) RETURN m ORDER BY m.id LIMIT 1 }}
  {merge_run("$p.run")}
  MERGE (p:Prompt {{id: $p.prompt.id}}) ON CREATE SET p = $p.prompt
  FOREACH (name IN $p.tags | MERGE (g:Tag {{name: name}}) MERGE (p)-[:TAGGED]->(g))
  WITH t, m, r, p, size($p.families) > 0 AND NOT EXISTS {{ (p)-[:IN_FAMILY]->() }} AS new_family
  FOREACH (name IN CASE WHEN new_family THEN $p.families ELSE [] END |
    MERGE (y:Family {{name: name}}) CREATE (p)-[:IN_FAMILY]->(y))
  RETURN t, m, r, p, new_family
}}
CALL (c, m) {{
  UNWIND $p.head_totals AS row
  MERGE (h:Head {{id: row.id}}) ON CREATE SET h.layer = row.layer, h.number = row.head
  MERGE (h)-[:OF_MODEL]->(m)
  CREATE (c)-[:RUNS_THROUGH {{net: row.net, gross: row.gross}}]->(h)
}}
CREATE (c)-[:OF_PROMPT]->(p), (c)-[:BY]->(t), (c)-[:FROM_RUN]->(r)
WITH c, t, new_family, nodes
CALL () {{
  UNWIND $p.features AS row
  MERGE (f:Feature {{id: row.id}})
  ON CREATE SET f = row, f.n_circuits = 0, f.n_measured = 0, f.influence = 0.0, f.degree = 0
  RETURN collect(f) AS features
}}
CALL (features, t) {{
  UNWIND features AS f
  WITH f, t WHERE NOT EXISTS {{ (f)-[:IN]->() }}
  CREATE (f)-[:IN]->(t)
}}
CALL (nodes, features) {{
  UNWIND range(0, size($p.instance_of) - 1) AS i
  WITH nodes[i] AS n, features[$p.instance_of[i]] AS f
  CREATE (n)-[:INSTANCE_OF]->(f)
}}
CALL (c, features) {{
  UNWIND $p.uses AS use
  WITH c, use, features[use.feature] AS f
  CREATE (c)-[:USES {{influence: use.influence, activation: use.activation, positions: use.positions}}]->(f)
}}
CALL (features) {{
  UNWIND $p.labels AS row
  WITH row, features[row.feature] AS f
  {FIRST_OF_METHOD}
  {MERGE_LABEL}
  {ATTACH_LABEL}
}}
CALL (c, nodes) {{
  UNWIND $p.supernodes AS row
  {CREATE_SUPERNODE}
  WITH s, row, nodes
  UNWIND row.members AS member
  WITH s, nodes[member] AS n
  CREATE (s)-[:GROUPS]->(n)
}}
RETURN new_family,
       head(COLLECT {{ MATCH (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y) RETURN y.name }}) AS family
"""

_ALL_NODES = """
WITH c, feature_nodes + error_nodes + token_nodes + logit_nodes + other_nodes AS nodes
"""

_FIND_CIRCUIT = "MATCH (c:Circuit {id: $p.id})\n"

_FIND_NODES = "CALL () { UNWIND $p.ids AS id MATCH (n:Node {id: id}) RETURN collect(n) AS nodes }\n"

STEPS = {
    "everything": _CIRCUIT + _NODES + _ALL_NODES + _EDGES + "WITH c, nodes" + _SHARED,
    "circuit": _CIRCUIT + "FINISH",
    "nodes": _FIND_CIRCUIT + _NODES + "FINISH",
    "edges": _FIND_NODES + _EDGES + "FINISH",
    "shared": _FIND_CIRCUIT + _FIND_NODES + "WITH c, nodes" + _SHARED,
}
"""Name of a step → its query. `schema.loading.rows.messages` decides which steps a circuit needs."""

_SUMS = f"""{KEEP_PLAN}
UNWIND $p.uses AS row
MATCH (f:Feature {{id: row.feature}})
{add_uses("f")}"""

# New relationships are created without MERGE, because the lock of the set keeps others from creating them.
_DRIVES = (
    KEEP_PLAN
    + EACH_DRIVES_OF_GROUP
    + add_effects(
        "(f)-[:DRIVES {properties}]->(g)",
        "WITH f, g UNWIND [f, g] AS x WITH x, count(*) AS n SET x.degree = x.degree + n",
    )
)

COUNTING = (_SUMS, _DRIVES)
"""The queries that add a group to the aggregates of all circuits."""

_OTHERS = """
MATCH (c:Circuit {id: $id})-[:OF_PROMPT]->(:Prompt)<-[:OF_PROMPT]-(o:Circuit)
WHERE o <> c
RETURN o.id AS id ORDER BY id
"""
