"""Which model a transcoder set is of: one, the one of which a file or run says most.

circuit-tracer's graphs name their transcoders and not the model, which is then called after these; another
file, `atlas import --model` or `atlas ingest` names it later. What a set does not say of itself is filled in
in the same way.
"""

from dataclasses import asdict, fields

from schema.circuit.records import Model, TranscoderSet
from schema.database import Database, Transaction

UNNAMED = "model of "
"""How names begin that readers of files give to models that are not named."""
_SAID = ("kind", "activation", "input_hook", "output_hook", "n_features")


def says_more(new: Model, known: Model, *, asked: bool = False) -> bool:
    """Whether a set that is known to be of one model is rather of another.

    A revision comes from the model itself, so it settles the matter. asked: a person gave the new name.
    """
    if known.revision is not None or new.id == known.id:
        return False
    unnamed = known.name.startswith(UNNAMED) and not new.name.startswith(UNNAMED)
    return new.revision is not None or unnamed or asked


def settle_model(
    database: Database, transcoders: TranscoderSet, model: Model, *, asked: bool = False
) -> Model:
    """The model that the database shall hold the set to be of, and holds it to be of if it has the set.

    Call it while no circuit of the set is being loaded by the same process.
    """
    id_ = transcoders.id

    def work(transaction: Transaction) -> Model:
        rows = transaction.run(_FIND, {"id": id_})
        if not rows:
            return model
        known = Model(*(rows[0]["model"].get(each.name) for each in fields(Model)))
        more = {
            name: getattr(transcoders, name)
            for name in _SAID
            if rows[0]["set"].get(name) is None and getattr(transcoders, name) is not None
        }
        if more:
            transaction.run(_FILL, {"id": id_, "more": more})
        if not says_more(model, known, asked=asked):
            return known
        said = {"id": model.id, **asdict(model)}
        transaction.run(_MOVE, {"id": id_, "old": known.id, "model": said})
        transaction.run(_FORGET, {"old": known.id})
        return model

    return database.transaction(work)


# Writing the set's id locks it, as every loader does.
_FIND = """
MATCH (t:TranscoderSet {id: $id}) SET t.id = t.id
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

_FORGET = "MATCH (m:Model {id: $old}) WHERE NOT EXISTS { (m)<-[:FOR|OF_MODEL]-() } DELETE m"
