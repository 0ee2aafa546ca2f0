"""Writes the vectors that the search for neighbours compares: directions of features, spellings of labels.

All vectors have length VECTOR_SIZE, because one index holds vectors of one length.

1. The direction of a feature is what it writes to the residual stream, summed over the layers that it writes
   to. A fixed Gaussian matrix projects longer directions (Johnson and Lindenstrauss 1984), which changes a
   cosine by about 1/sqrt(VECTOR_SIZE). Shorter directions are padded with zeros, which changes no cosine.
2. The vector of a label counts its hashed groups of letters, so that labels with common words or stems are
   near. It does not represent meaning. It needs no model; equal texts have equal vectors on every machine.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schema.database import Database
from schema.model.declare import VECTOR_SIZE

BATCH = 500
"""Number of vectors that one transaction writes."""


def directions(written: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (n, VECTOR_SIZE) of what features write (n, d_model). A row of zeros stays zero."""
    width = written.shape[1]
    if width > VECTOR_SIZE:
        # The width is the seed, so that vectors of sets of equal width can be compared.
        matrix = np.random.default_rng(width).standard_normal((width, VECTOR_SIZE), np.float32)
        written = written @ matrix
    else:
        written = np.pad(written, ((0, 0), (0, VECTOR_SIZE - width)))
    lengths = np.linalg.norm(written, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(written, lengths, out=np.zeros_like(written), where=lengths > 0)
    return unit


def text_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (n, VECTOR_SIZE): hashed groups of 2 to 4 letters of each word, in lower case."""
    # Imported here, because the import takes a second and only this function needs it.
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=VECTOR_SIZE, norm="l2")
    dense: NDArray[np.float32] = hashing.transform(texts).toarray().astype(np.float32)
    return dense


def keep_directions(
    database: Database, transcoders: str, features: Sequence[tuple[int, int]], written: NDArray[np.float32]
) -> int:
    """Store the direction of each feature, and return how many features have one.

    transcoders: id of the set; features: (layer, index); written: (n, d_model), what each feature writes.
    """
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
    """Store the vector of every label that has none, and return the number of these labels."""
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
