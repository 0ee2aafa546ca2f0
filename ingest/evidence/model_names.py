"""How statements name a model and its transcoders: folder, hub name, or `bundled`.

The bundled model lies in another folder on each machine, so its folder is never stored.
"""

from pathlib import Path

from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

BUNDLED = "bundled"


def model_name(given: Path) -> str:
    """What a statement keeps of where its model is."""
    return BUNDLED if given == MODEL_DIR else str(given)


def transcoders_name(given: Path) -> str:
    """What a statement keeps of where its transcoders are."""
    return BUNDLED if given == TRANSCODERS_DIR else str(given)


def load_named(model: str, transcoders: str, *, device: str, dtype: str) -> ReplacementModel:
    """The model and transcoders of these names; see `ReplacementModel.load`. Raises EngineError."""
    return ReplacementModel.load(
        MODEL_DIR if model == BUNDLED else Path(model),
        TRANSCODERS_DIR if transcoders == BUNDLED else Path(transcoders),
        device=device,
        dtype=dtype,
    )
