"""Decides which model a transcoder set belongs to: exactly one, the one about which most is known.

circuit-tracer's graphs name their transcoders but not the model, which then gets a name made from that of the
transcoders. Another file, `atlas import --model` or `atlas ingest` can name the model later. Unknown
properties of the set are filled in at the same time.
"""

from schema.circuit.influence import N_FLOWS, STAGE_FLOW_ROWS
from schema.circuit.records import Model, TranscoderSet
from schema.database import Database, Transaction
from schema.loading.fragments import LOCK_SET
from schema.loading.properties import MODEL_FIELDS, SET_FIELDS, known, properties_of
from schema.model.core import MODEL

UNNAMED = "model of "
"""Beginning of the names that readers of files give to models that a file does not name."""
_FILLED = tuple(name for name in SET_FIELDS if name not in ("name", "revision"))
"""Properties of a set that a later file or run can fill in. Name and revision determine the id."""


def says_more(new: Model, stored: Model, *, asked: bool = False) -> bool:
    """Whether the new model of a set should replace the stored one.

    A model with a revision is never replaced, because the revision was read from the model itself. asked: a
    person gave the name of the new model.
    """
    if stored.revision is not None or new.id == stored.id:
        return False
    unnamed = stored.name.startswith(UNNAMED) and not new.name.startswith(UNNAMED)
    return new.revision is not None or unnamed or asked


def assign_model(
    database: Database, transcoders: TranscoderSet, model: Model, *, asked: bool = False
) -> Model:
    """The model that the set belongs to from now on. A stored set is moved to that model.

    Do not call this while the same process loads a circuit of the set.
    """
    id_ = transcoders.id

    def work(transaction: Transaction) -> Model:
        rows = transaction.run(_FIND, {"id": id_})
        if not rows:
            return _as_stored(transaction, model)
        stored = Model(**known(rows[0]["model"], MODEL_FIELDS))
        more = {
            name: getattr(transcoders, name)
            for name in _FILLED
            if rows[0]["set"].get(name) is None and getattr(transcoders, name) is not None
        }
        if more:
            transaction.run(_FILL, {"id": id_, "more": more})
        if not says_more(model, stored, asked=asked):
            return stored
        properties = properties_of(MODEL, model)
        transaction.run(_MOVE, {"id": id_, "old": stored.id, "model": properties})
        transaction.run(_FORGET, {"old": stored.id})
        found = _as_stored(transaction, model)
        if found.n_layers != stored.n_layers:
            transaction.run(_STAGES, {"id": id_})
        return found

    return database.transaction(work)


def _as_stored(transaction: Transaction, model: Model) -> Model:
    """The model with this id that the database has, because files can disagree about one model."""
    rows = transaction.run("MATCH (m:Model {id: $id}) RETURN properties(m) AS model", {"id": model.id})
    return Model(**known(rows[0]["model"], MODEL_FIELDS)) if rows else model


_FIND = f"""
MATCH (t:TranscoderSet {{id: $id}}) {LOCK_SET}
WITH t MATCH (t)-[:FOR]->(m:Model)
RETURN properties(t) AS set, properties(m) AS model ORDER BY m.id LIMIT 1
"""

_FILL = "MATCH (t:TranscoderSet {id: $id}) SET t += $more"

_MOVE = """
MATCH (t:TranscoderSet {id: $id})-[f:FOR]->(:Model {id: $old})
DELETE f
MERGE (m:Model {id: $model.id}) ON CREATE SET m = $model
MERGE (t)-[:FOR]->(m)
"""

_STAGES = f"""
MATCH (:TranscoderSet {{id: $id}})<-[:BY]-(c:Circuit)
CALL (c) {{
  {STAGE_FLOW_ROWS}
  RETURN collect([i, influence]) AS flows
}}
SET c.stage_flows = CASE WHEN size(flows) > 0 THEN [place IN range(0, {N_FLOWS - 1}) | coalesce(
  head([flow IN flows WHERE flow[0] = place | flow[1]]), 0.0)] END
"""
"""The stages are thirds of the model's layers, so they are known when the number of layers is."""

_FORGET = "MATCH (m:Model {id: $old}) WHERE NOT EXISTS { (m)<-[:FOR|OF_MODEL]-() } DELETE m"
