"""Reads the features that need labels, and writes labels with their scores and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schema.circuit.records import Label, label_id
from schema.database import Database
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
    """Write labels, and return how many found their feature. Writing a label again renews its scores.

    transcoders: id of the set.
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
        written += database.write(_WRITE, {"p": {"rows": rows}})[0]["n"]
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

_WRITE = f"""
UNWIND $p.rows AS row
MATCH (f:Feature {{id: row.feature}})
{MERGE_LABEL}
SET l += row.label
{ATTACH_LABEL}
RETURN count(*) AS n
"""
