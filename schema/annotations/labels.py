"""Reads the features that need labels, and writes labels with their scores and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schema.circuit.neuronpedia_pages import pages_of
from schema.circuit.records import Label, label_id
from schema.database import Database, Transaction
from schema.errors import NotFoundError
from schema.loading.fragments import ATTACH_LABEL, MERGE_LABEL

PERSON = "person"
"""Method of the labels that people write."""
BATCH = 500
"""Number of labels that one transaction writes."""


@dataclass(frozen=True)
class LabelledFeature:
    """A feature that occurs in circuits."""

    layer: int
    index: int
    influence: float
    """Summed over all circuits where the influence is known."""


class Evidence(NamedTuple):
    """A label and the evidence for it."""

    label: Label
    rule: str | None = None
    """JSON: the rule that predicts where the feature fires."""
    asked: str | None = None
    """The prompt that a language model was given."""
    answered: str | None = None
    """The language model's answer."""


def features_of_set(database: Database, transcoders: str) -> list[LabelledFeature]:
    """The MLP features of a set that occur in circuits. Features with the most influence come first.

    transcoders: id of the set.
    """
    rows = database.read(_FEATURES, {"set": transcoders})
    return [LabelledFeature(**row) for row in rows]


def load_labels(database: Database, found: Sequence[Evidence], transcoders: str) -> int:
    """Write automatic labels, and return how many found their feature.

    A label takes the place of the label that its feature had by the same method and author. transcoders: id
    of the set.
    """
    written = 0
    for start in range(0, len(found), BATCH):
        rows = []
        for each in found[start : start + BATCH]:
            label = each.label
            feature = f"{transcoders}/{label.layer}/{label.index}"
            rows.append(
                {
                    "feature": feature,
                    "label": {
                        "id": label_id(feature, label.text, label.method, label.author),
                        "text": label.text,
                        "method": label.method,
                        "author": label.author,
                        "score": label.score,
                        "null_score": label.null_score,
                        "rule": each.rule,
                        "asked": each.asked,
                        "answered": each.answered,
                    },
                }
            )
        written += database.write(_REPLACE, {"p": {"rows": rows}})[0]["n"]
    return written


@dataclass(frozen=True)
class LabelledSet:
    """A transcoder set, and the names by which files of labels call it."""

    id: str
    names: dict[str, str | None]
    """Name → component of the features that it names: None for those of MLPs."""


class Written(NamedTuple):
    """What became of labels that were written."""

    new: int
    present: int
    """Labels that the database had already."""


def labelled_sets(database: Database) -> list[LabelledSet]:
    """All transcoder sets with their names: id, name, and the names of their pages at Neuronpedia."""
    found = []
    for row in database.read(_SETS):
        pages = pages_of(row["name"], row["neuronpedia"], row["neuronpedia_attention"])
        names: dict[str, str | None] = {}
        for name, component in (
            (pages.attention, "attention"),
            (pages.mlp, None),
            (row["name"], None),
            (row["id"], None),
        ):
            if name is not None:
                names[name] = component
        found.append(LabelledSet(row["id"], names))
    return found


def features_of(database: Database, transcoders: str) -> set[tuple[int, int, str | None]]:
    """(layer, index, component) of the features of a set that circuits have. transcoders: id of the set."""
    return {tuple(row.values()) for row in database.read(_KEYS, {"set": transcoders})}


def labels_of(database: Database, transcoders: str) -> dict[str, bool]:
    """Id of each label of a set's features → whether it has a score. transcoders: id of the set."""
    return {row["id"]: row["scored"] for row in database.read(_LABELS, {"set": transcoders})}


def write_imported(
    database: Database, transcoders: str, labels: Sequence[Label], known: dict[str, bool] | None = None
) -> Written:
    """Write labels of features that the database has, in one transaction.

    A label that exists stays as it is; if it has no score, it gets the new one. transcoders: id of the set.
    known: the labels of the set as `labels_of` gives them, to which the written ones are added; None reads
    from the database which of the labels exist.
    """
    rows: dict[str, list[object]] = {}
    for label in labels:
        part = "" if label.component is None else f"{label.component}/"
        feature = f"{transcoders}/{part}{label.layer}/{label.index}"
        id_ = label_id(feature, label.text, label.method, label.author)
        if id_ not in rows or (label.score is not None and rows[id_][-2] is None):
            rows[id_] = [feature, id_, label.text, label.method, label.author, label.score, label.scorer]
    ids = sorted(rows)  # two writers lock the same labels in the same order, and the index grows faster
    present = {} if known is None else known
    asks = known is None

    def work(transaction: Transaction) -> Written:
        nonlocal asks
        if asks:
            found = transaction.run(_PRESENT, {"ids": ids})
            present.update((row["id"], row["scored"]) for row in found)
        asks = True  # when this runs again, somebody else wrote some of the labels
        new = [rows[id_] for id_ in ids if id_ not in present]
        scored = [rows[id_] for id_ in ids if present.get(id_) is False and rows[id_][-2] is not None]
        n_new: int = transaction.run(_CREATE, {"rows": new})[0]["n"] if new else 0
        if scored:
            transaction.run(_SCORE, {"rows": scored})
        return Written(n_new, len(rows) - n_new)

    written = database.transaction(work)
    present.update({id_: rows[id_][-2] is not None or present.get(id_, False) for id_ in ids})
    return written


def label_feature(database: Database, feature: str, text: str, author: str) -> None:
    """Write a person's label. Repeating the call changes nothing, and all other labels stay.

    feature: id of the feature. Raises NotFoundError when the database does not have it.
    """
    key = label_id(feature, text, PERSON, author)
    label = {"id": key, "text": text, "method": PERSON, "author": author}
    if not database.write(_WRITE, {"p": {"rows": [{"feature": feature, "label": label}]}})[0]["n"]:
        raise NotFoundError(
            f"The database has no feature {feature!r}", next_step="list the ids with `features` in GraphQL"
        )


_FEATURES = """
MATCH (f:Feature)-[:IN]->(:TranscoderSet {id: $set})
WHERE f.component IS NULL
OPTIONAL MATCH (f)<-[u:USES]-(:Circuit)
WITH f, sum(u.influence) AS influence
RETURN f.layer AS layer, f.index AS index, 1.0 * influence AS influence
ORDER BY influence DESC, layer, index
"""

_SETS = """
MATCH (t:TranscoderSet)
RETURN t.id AS id, t.name AS name, t.neuronpedia AS neuronpedia,
       t.neuronpedia_attention AS neuronpedia_attention ORDER BY id
"""

_KEYS = """
MATCH (f:Feature)-[:IN]->(:TranscoderSet {id: $set})
RETURN f.layer AS layer, f.index AS index, f.component AS component
"""

_LABELS = """
MATCH (:TranscoderSet {id: $set})<-[:IN]-(:Feature)<-[:LABELS]-(l:Label)
RETURN l.id AS id, l.score IS NOT NULL AS scored
"""

_PRESENT = """
UNWIND $ids AS id
MATCH (l:Label {id: id})
RETURN l.id AS id, l.score IS NOT NULL AS scored
"""

# CREATE takes four fifths of the time of MERGE. When another writer has created one of the labels meanwhile,
# the constraint stops it, and the transaction is tried again.
_CREATE = """
UNWIND $rows AS row
MATCH (f:Feature {id: row[0]})
CREATE (:Label {id: row[1], text: row[2], method: row[3], author: row[4], score: row[5], scorer: row[6]})
       -[:LABELS]->(f)
RETURN count(*) AS n
"""

_SCORE = """
UNWIND $rows AS row
MATCH (l:Label {id: row[1]}) WHERE l.score IS NULL
SET l.score = row[5], l.scorer = row[6]
"""

_REPLACE = f"""
UNWIND $p.rows AS row
MATCH (f:Feature {{id: row.feature}})
CALL (f, row) {{
  MATCH (old:Label {{author: row.label.author, method: row.label.method}})-[:LABELS]->(f)
  WHERE old.id <> row.label.id
  DETACH DELETE old
}}
{MERGE_LABEL}
SET l += row.label
{ATTACH_LABEL}
RETURN count(*) AS n
"""

_WRITE = f"""
UNWIND $p.rows AS row
MATCH (f:Feature {{id: row.feature}})
{MERGE_LABEL}
SET l += row.label
{ATTACH_LABEL}
RETURN count(*) AS n
"""
