"""Brings a database to the version that this code needs.

Migrations run in order, can run again without harm, and are recorded in the database. A migration changes the
schema (constraints, indexes) or the data, never both: Neo4j does not allow both in one transaction, and a
mixture that fails halfway could not be repeated. To change the model, change `schema.model.core` and add a
`schema` migration at the end; to change data, add a `data` migration. A number is never used twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from schema.circuit.influence import N_FLOWS, STAGE_FLOW_ROWS
from schema.database import Database, Transaction
from schema.errors import MigrationError
from schema.loading.effects import pair_text
from schema.model.core import AWAIT_INDEXES, MIGRATION, schema_statements
from schema.upkeep.recompute import EFFECTS_BY_FAMILY


@dataclass(frozen=True)
class Migration:
    """One change of the schema or the data."""

    version: int
    """1, 2, 3 …"""
    name: str
    """What the migration does, in a few words."""
    kind: Literal["schema", "data"]
    statements: Callable[[], list[str]]
    """Gives Cypher statements that can run again without harm. Each is one transaction, or commits in
    batches."""


_FREQUENCIES = [
    """
    MATCH (f:Feature)
    CALL (f) { SET f.n_circuits = COUNT { (f)<-[:USES]-() } } IN TRANSACTIONS OF 1000 ROWS
    """,
    """
    MATCH (f:Feature)
    CALL (f) {
      MATCH (f)<-[u:USES]-(:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
      WITH f, y, count(u) AS n, count(u.influence) AS measured, sum(u.influence) AS influence
      MERGE (f)-[i:FOUND_IN]->(y)
      SET i.n_circuits = n, i.n_measured = measured, i.influence = 1.0 * influence
    } IN TRANSACTIONS OF 1000 ROWS
    """,
    """
    MATCH (t:TranscoderSet)<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
    WITH t, y, count(c) AS n
    MERGE (t)-[v:COVERS]->(y)
    SET v.n_circuits = n
    """,
]

_PAIRS = f"""
MATCH (f:Feature)
CALL (f) {{
  // A bulk import writes them itself.
  MATCH (f)-[d:DRIVES]->(g) WHERE d.pair IS NULL
  SET d.pair = {pair_text("f", "g")}
}} IN TRANSACTIONS OF 500 ROWS
"""

_SUMS = [
    """
    MATCH (c:Circuit) WHERE c.layer_features IS NULL
    CALL (c) {
      MATCH (c)-[:HAS]->(n:FeatureNode|ErrorNode)
      WHERE n.influence IS NOT NULL
      WITH c, n.layer AS layer, sum(CASE WHEN n:ErrorNode THEN 0.0 ELSE n.influence END) AS features,
           sum(CASE WHEN n:ErrorNode THEN n.influence ELSE 0.0 END) AS errors
      WITH c, range(0, max(layer)) AS layers, collect([layer, features, errors]) AS sums
      SET c.layer_features = [l IN layers | coalesce(head([s IN sums WHERE s[0] = l | s[1]]), 0.0)],
          c.layer_errors = [l IN layers | coalesce(head([s IN sums WHERE s[0] = l | s[2]]), 0.0)]
    } IN TRANSACTIONS OF 200 ROWS
    """,
    f"""
    MATCH (c:Circuit) WHERE c.stage_flows IS NULL
    CALL (c) {{
      {STAGE_FLOW_ROWS}
      WITH c, collect([i, influence]) AS flows
      WHERE size(flows) > 0
      SET c.stage_flows = [i IN range(0, {N_FLOWS - 1}) |
        coalesce(head([f IN flows WHERE f[0] = i | f[1]]), 0.0)]
    }} IN TRANSACTIONS OF 200 ROWS
    """,
]

_EFFECTS = [
    """
    MATCH (f:Feature) WHERE f.degree IS NULL
    CALL (f) {
      OPTIONAL MATCH (f)<-[u:USES]-()
      WITH f, count(u.influence) AS measured, sum(1.0 * u.influence) AS influence
      SET f.n_measured = measured, f.influence = influence,
          f.degree = COUNT { (f)-[:DRIVES]->() } + COUNT { (f)<-[:DRIVES]-() }
    } IN TRANSACTIONS OF 1000 ROWS
    """,
    f"""
    // A bulk import writes them itself.
    MATCH (f:Feature) WHERE EXISTS {{ (f)-[:DRIVES]->() }} AND NOT EXISTS {{ (f)-[:DRIVES_IN]->() }}
    CALL (f) {{
      {EFFECTS_BY_FAMILY}
      CREATE (f)-[:DRIVES_IN {{
        family: key[2], n_circuits: n_circuits, n_positive: n_positive, n_negative: n_negative, mean: mean,
        m2: m2, sd: sd, sign_consistency: sign_consistency, pair: pair}}]->(g)
    }} IN TRANSACTIONS OF 20 ROWS
    """,
]

_NEURONPEDIA = """
MATCH (t:TranscoderSet) WHERE t.neuronpedia IS NULL
CALL (t) {
  MATCH (t)<-[:BY]-(c:Circuit)
  WHERE c.tool STARTS WITH "neuronpedia" AND c.source_set IS NOT NULL
    AND c.scan <> "" AND NOT c.scan CONTAINS "/"
  WITH t, collect(DISTINCT c.scan + "/" + c.source_set) AS pages,
       collect(DISTINCT c.scan + "/" + c.attention_source_set) AS of_attention
  // Files of several sets under one name, which --transcoders gave them, have no common page.
  WHERE size(pages) = 1
  SET t.neuronpedia = pages[0],
      t.neuronpedia_attention = CASE WHEN size(of_attention) = 1 THEN of_attention[0] END
} IN TRANSACTIONS OF 100 ROWS
"""

_OLD_FULL_TEXT = [f"DROP INDEX {name} IF EXISTS" for name in ("prompt_text", "supernode_label", "label_text")]

MIGRATIONS = (
    Migration(1, "constraints and indexes of the graph model", "schema", schema_statements),
    Migration(2, "constraints and indexes of ledger and frequencies", "schema", schema_statements),
    Migration(3, "frequencies of features in families and in all circuits", "data", lambda: _FREQUENCIES),
    Migration(
        4,
        "full-text indexes that do not hold up a load",
        "schema",
        lambda: [*_OLD_FULL_TEXT, *schema_statements()],
    ),
    Migration(5, "constraints and indexes of attention heads", "schema", schema_statements),
    Migration(6, "constraints and indexes of modules", "schema", schema_statements),
    Migration(7, "constraints of hypotheses and interventions", "schema", schema_statements),
    Migration(8, "constraints of claims", "schema", schema_statements),
    Migration(9, "constraints and indexes of checkpoints", "schema", schema_statements),
    Migration(10, "indexes of vectors", "schema", schema_statements),
    Migration(11, "constraints and indexes of jobs", "schema", schema_statements),
    Migration(12, "constraint of former supernodes", "schema", schema_statements),
    Migration(13, "constraint of components' effects", "schema", schema_statements),
    Migration(14, "numbers of pairs of features", "data", lambda: [_PAIRS]),
    Migration(15, "index of pairs of features", "schema", schema_statements),
    Migration(16, "index of effects by how often they recur", "schema", schema_statements),
    Migration(17, "influence of circuits by layer and stage", "data", lambda: _SUMS),
    Migration(18, "indexes of effects by family, influence and degree", "schema", schema_statements),
    Migration(19, "effects by family, influence and degree of features", "data", lambda: _EFFECTS),
    Migration(22, "pages of transcoder sets on Neuronpedia", "data", lambda: [_NEURONPEDIA]),
    Migration(23, "indexes of pins and of the sources of circuits", "schema", schema_statements),
    Migration(24, "constraint of leases", "schema", schema_statements),
)


def migrate(
    database: Database,
    migrations: tuple[Migration, ...] = MIGRATIONS,
    *,
    step: Callable[[str], object] = str,
) -> list[str]:
    """Apply the missing migrations in order. Returns the names of the applied migrations.

    One process migrates at a time: aggregates that a migration computes would be wrong if another process,
    which is done, loads circuits meanwhile. Others wait, and find nothing to do.

    step: called with the name of each migration before it is applied to a database that an older version
    made; a migration can take minutes. Raises MigrationError when a newer version of the atlas wrote the
    database.
    """
    if not _missing(_applied(database), migrations):
        return []
    for statement in MIGRATION.schema():
        database.write(statement)

    def work(transaction: Transaction) -> list[str]:
        transaction.run(_LOCK)
        done = _apply(database, migrations, step)
        transaction.run(_UNLOCK)
        return done

    return database.transaction(work)


# The node exists in this transaction only. Its unique version lets the transactions of other processes wait.
_LOCK = "MERGE (:Migration {version: 0})"
_UNLOCK = "MATCH (m:Migration {version: 0}) DELETE m"


def _applied(database: Database) -> dict[int, str]:
    """Version → name of the migrations that the database records."""
    rows = database.read("MATCH (m:Migration) RETURN m.version AS version, m.name AS name")
    return {row["version"]: row["name"] for row in rows}


def _missing(applied: dict[int, str], migrations: tuple[Migration, ...]) -> list[Migration]:
    """The migrations that are not applied, in order. Raises MigrationError when an unknown one is."""
    newest = max((migration.version for migration in migrations), default=0)
    unknown = sorted(version for version in applied if version > newest)
    if unknown:
        raise MigrationError(
            f"The database is at version {unknown[-1]} ({applied[unknown[-1]]}); this atlas knows {newest}",
            next_step="update the atlas, or use another database (another ATLAS_HOME)",
        )
    return sorted(
        (migration for migration in migrations if migration.version not in applied),
        key=lambda migration: migration.version,
    )


def _apply(database: Database, migrations: tuple[Migration, ...], step: Callable[[str], object]) -> list[str]:
    applied = _applied(database)
    missing = _missing(applied, migrations)
    for migration in missing:
        if applied:
            step(migration.name)
        for statement in migration.statements():
            database.write_in_batches(statement)
        if migration.kind == "schema":
            database.read(AWAIT_INDEXES)
        database.write(
            "MERGE (m:Migration {version: $version}) ON CREATE SET m.name = $name, m.applied_at = datetime()",
            {"version": migration.version, "name": migration.name},
        )
    return [migration.name for migration in missing]
