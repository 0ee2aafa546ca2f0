"""Writes labels, examples and promoted tokens from feature files or a corpus, for features in circuits."""

from collections.abc import Sequence

from schema.circuit.records import FeatureNotes, label_id, stable_id
from schema.database import Database
from schema.formats.features import WantedFeature
from schema.loading.fragments import ATTACH_LABEL, MERGE_LABEL

METHOD = "feature-file"
"""Method of the labels that feature files give."""
TEXT_LIMIT = 10_000
"""Greatest number of characters of a label; the rest is cut off."""


def features_in_circuits(database: Database, transcoders: str | None) -> list[WantedFeature]:
    """(layer, index) of the features in circuits. transcoders: id or name of a set; None: all sets."""
    rows = database.read(
        "MATCH (f:Feature)-[:IN]->(t:TranscoderSet) "
        "WHERE f.component IS NULL AND ($set IS NULL OR t.id = $set OR t.name = $set) "
        "RETURN DISTINCT f.layer AS layer, f.index AS index ORDER BY layer, index",
        {"set": transcoders},
    )
    return [(row["layer"], row["index"]) for row in rows]


def load_notes(database: Database, notes: Sequence[FeatureNotes], transcoders: str | None) -> int:
    """Write labels and examples in one transaction, and return how many of the features the database has.

    transcoders: id or name of the set that the notes describe. None: the set that each note names, or all
    sets for a note that names none. Repeating a call changes nothing.
    """
    rows = [
        {
            "layer": note.layer,
            "index": note.index,
            "set": note.transcoders if transcoders is None else transcoders,
            "promotes": list(note.promotes) or None,
            "suppresses": list(note.suppresses) or None,
            "density": note.density,
            "examples": [
                {
                    "key": stable_id(example.tokens, example.activations),
                    "tokens": list(example.tokens),
                    "activations": list(example.activations),
                    "maximum": max(example.activations, default=None),
                }
                for example in note.examples
            ],
        }
        for note in notes
    ]
    places = database.write(_FIND, {"rows": rows})
    texts = [None if note.label is None else note.label[:TEXT_LIMIT] for note in notes]
    labels = [
        {
            "feature": place["id"],
            "label": {
                "id": label_id(place["id"], text, METHOD, place["set"]),
                "text": text,
                "method": METHOD,
                "author": place["set"],
            },
        }
        for place in places
        if (text := texts[place["row"]]) is not None
    ]
    database.write(_WRITE, {"rows": rows, "places": places, "labels": labels})
    return len({place["row"] for place in places})


_FIND = """
UNWIND range(0, size($rows) - 1) AS row
WITH row, $rows[row] AS note
MATCH (f:Feature {layer: note.layer, index: note.index})-[:IN]->(t:TranscoderSet)
WHERE f.component IS NULL AND (note.set IS NULL OR t.id = note.set OR t.name = note.set)
RETURN row, f.id AS id, t.id AS set ORDER BY row, id
"""

_WRITE = f"""
CALL () {{
  UNWIND $places AS place
  MATCH (f:Feature {{id: place.id}})
  WITH f, $rows[place.row] AS note
  SET f.promotes = coalesce(note.promotes, f.promotes),
      f.suppresses = coalesce(note.suppresses, f.suppresses),
      f.density = coalesce(note.density, f.density)
  WITH f, note
  UNWIND note.examples AS example
  MERGE (e:Example {{id: f.id + "/" + example.key}})
  ON CREATE SET e.tokens = example.tokens, e.activations = example.activations, e.maximum = example.maximum
  MERGE (e)-[:EXAMPLE_OF]->(f)
}}
UNWIND $labels AS row
MATCH (f:Feature {{id: row.feature}})
{MERGE_LABEL}
{ATTACH_LABEL}
"""
