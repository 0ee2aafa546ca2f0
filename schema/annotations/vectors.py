"""Vectors to search by: what features write, and how labels are spelt; all of one length, for one index.

1. A feature's direction is what it writes to the residual stream, summed over the layers it writes to. Longer
   directions are projected by a fixed Gaussian matrix (Johnson and Lindenstrauss 1984): a cosine is then
   off by about 1/sqrt(VECTOR_SIZE); shorter ones are filled up with zeros, which changes no cosine.
2. A label's vector counts its letter groups, hashed: labels that share words or stems are near. It knows no
   meaning: no model is needed, and the same text gives the same vector anywhere.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schema.database import Database
from schema.model.declare import VECTOR_SIZE

BATCH = 500
"""Vectors of a transaction."""


def directions(written: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, VECTOR_SIZE) of unit length, from (n, d_model) of what features write; a row of zeros stays one."""
    width = written.shape[1]
    if width > VECTOR_SIZE:
        # The width is the seed: sets of one width can be compared with each other.
        matrix = np.random.default_rng(width).standard_normal((width, VECTOR_SIZE), np.float32)
        written = written @ matrix
    else:
        written = np.pad(written, ((0, 0), (0, VECTOR_SIZE - width)))
    lengths = np.linalg.norm(written, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(written, lengths, out=np.zeros_like(written), where=lengths > 0)
    return unit


def text_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """(n, VECTOR_SIZE) of unit length: hashed groups of 2 to 4 letters of each word, in lower case."""
    # Imported here: it takes a second that only this question needs.
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=VECTOR_SIZE, norm="l2")
    dense: NDArray[np.float32] = hashing.transform(texts).toarray().astype(np.float32)
    return dense


def keep_directions(
    database: Database, transcoders: str, features: Sequence[tuple[int, int]], written: NDArray[np.float32]
) -> int:
    """Store the direction of each (layer, index) of a set; how many have one. written: (n, d_model)."""
    found = directions(written)
    rows = [
        {"id": f"{transcoders}/{layer}/{index}", "vector": vector.tolist()}
        for (layer, index), vector in zip(features, found, strict=True)
        if vector.any()
    ]
    for start in range(0, len(rows), BATCH):
        database.write(_DIRECTIONS, {"p": {"set": transcoders, "rows": rows[start : start + BATCH]}})
    return len(rows)


def keep_label_vectors(database: Database) -> int:
    """Store the vector of every label that has none; how many were stored."""
    labels = database.read("MATCH (l:Label) WHERE l.vector IS NULL RETURN l.id AS id, l.text AS text")
    for start in range(0, len(labels), BATCH):
        part = labels[start : start + BATCH]
        found = text_vectors([each["text"] for each in part])
        rows = [
            {"id": each["id"], "vector": vector.tolist()}
            for each, vector in zip(part, found, strict=True)
            if vector.any()
        ]
        database.write(_LABELS, {"p": {"rows": rows}})
    return len(labels)


_DIRECTIONS = """
UNWIND $p.rows AS row
MATCH (f:Feature {id: row.id})
SET f.direction = row.vector, f.direction_of = $p.set
"""

_LABELS = """
UNWIND $p.rows AS row
MATCH (l:Label {id: row.id})
SET l.vector = row.vector
"""
