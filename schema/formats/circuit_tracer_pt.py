"""circuit-tracer's `.pt` graphs: the complete adjacency matrix before pruning, as arrays.

The nodes have the order [selected features | errors, layer by layer | tokens | logits]. `activation_values`
has one value for each row of `active_features`, and `selected_features` are numbers of these rows. The file
has the ids of the tokens but not their texts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from schema.counted import counted
from schema.errors import FileError
from schema.formats.circuit_tracer import list_name
from schema.formats.pickled import PickledName, PickledRecord, read_torch_file

_KEYS = (
    *("adjacency_matrix", "active_features", "activation_values", "selected_features"),
    *("input_tokens", "input_string", "logit_targets", "logit_probabilities"),
)


@dataclass(frozen=True, eq=False)
class UnprunedGraph:
    """The graph of one prompt with all selected nodes."""

    text: str
    token_ids: tuple[int, ...]
    active: np.ndarray
    """(n_active, 3) int64: layer, position and index of each active feature"""
    activations: np.ndarray
    """(n_active,) float32: activation of each active feature"""
    selected: np.ndarray
    """(n_features,) int64: row in `active` of each selected feature, ascending"""
    adjacency: np.ndarray
    """(n_nodes, n_nodes) float32: direct effects, indexed [target, source]"""
    logits: tuple[tuple[str | None, int | None], ...]
    """Text and vocabulary id of each logit. The id is None for a direction that is not a token."""
    probabilities: np.ndarray
    """(n_logits,) float32: probability of each logit, 0 to 1"""
    n_layers: int
    vocab_size: int
    scan: str
    model_name: str | None
    architecture: str | None
    d_model: int | None
    dtype: str | None


def read_pt(path: str, data: bytes | None = None) -> UnprunedGraph:
    """The graph of a file. Nothing in the file is executed.

    data: content of the file, when it has been read already. Raises FileError.
    """
    values = read_torch_file(path, data)
    if not isinstance(values, dict):
        raise FileError(path, "the file", "is not a graph of circuit-tracer", next_step="leave it out")
    # circuit-tracer's first releases call them so.
    values.setdefault("logit_targets", values.get("logit_tokens"))
    if missing := [key for key in _KEYS if values.get(key) is None]:
        raise FileError(
            path,
            "the file",
            f"lacks {', '.join(missing)}, which every graph of circuit-tracer has",
            next_step="leave the file out, or write the graph again with circuit-tracer",
        )
    adjacency = _array(path, values, "adjacency_matrix", 2, "f").astype(np.float32)
    active = _array(path, values, "active_features", 2, "iu").astype(np.int64)
    activations = _array(path, values, "activation_values", 1, "f").astype(np.float32)
    selected = _array(path, values, "selected_features", 1, "iu").astype(np.int64)
    tokens = _array(path, values, "input_tokens", 1, "iu")
    probabilities = _array(path, values, "logit_probabilities", 1, "f").astype(np.float32)
    config = values.get("cfg")
    facts = config.state if isinstance(config, PickledRecord) else {}
    n_layers, vocab_size = _number(path, facts, "n_layers"), _vocabulary(path, values, facts)
    logits = _logits(path, values.get("logit_targets"), vocab_size)
    text = values.get("input_string")

    def need(key: str, right: bool, reason: str) -> None:
        if not right:
            raise FileError(path, key, reason, next_step="write the graph again")

    n_nodes = len(selected) + (n_layers + 1) * len(tokens) + len(logits)
    need("adjacency_matrix", adjacency.shape == (n_nodes, n_nodes), f"is not {n_nodes} × {n_nodes}")
    need("adjacency_matrix", bool(np.isfinite(adjacency).all()), "holds NaN or infinity")
    need("active_features", active.ndim == 2 and active.shape[1] == 3, "does not have three columns")
    need("activation_values", len(activations) == len(active), "does not have the length of active_features")
    need("activation_values", bool(np.isfinite(activations).all()), "holds NaN or infinity")
    need(
        "logit_probabilities", len(probabilities) == len(logits), "does not have the length of logit_targets"
    )
    need("logit_probabilities", bool(np.isfinite(probabilities).all()), "holds NaN or infinity")
    need("input_string", isinstance(text, str), "is not a text")
    need("input_tokens", len(tokens) > 0, "is empty")
    need("logit_targets", len(logits) > 0, "is empty")
    if len(selected):
        need("selected_features", 0 <= selected.min() <= selected.max() < len(active), "is out of range")
        limits = (n_layers, len(tokens), 2**53)
        good = all(active[:, i].min() >= 0 and active[:, i].max() < limits[i] for i in range(3))
        need("active_features", good, "has a layer, position or index out of range")
        need("selected_features", len(np.unique(selected)) == len(selected), "names a feature twice")
    name = facts.get("model_name")
    dtype = facts.get("dtype")
    # The engine needs features sorted by layer, position and index.
    order = np.lexsort((active[:, 2], active[:, 1], active[:, 0]))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    moved = place[selected]
    nodes = np.concatenate([np.argsort(moved), np.arange(len(selected), n_nodes)])
    return UnprunedGraph(
        text=str(text),
        token_ids=tuple(tokens.tolist()),
        active=active[order],
        activations=activations[order],
        selected=np.sort(moved),
        adjacency=adjacency[np.ix_(nodes, nodes)],
        logits=logits,
        probabilities=probabilities,
        n_layers=n_layers,
        vocab_size=vocab_size,
        scan=_scan(path, values.get("scan")),
        model_name=name if isinstance(name, str) and name else None,
        architecture=_text(facts.get("original_architecture")),
        d_model=facts["d_model"] if isinstance(facts.get("d_model"), int) else None,
        dtype=dtype.text.removeprefix("torch ") if isinstance(dtype, PickledName) else None,
    )


def _array(path: str, values: dict[str, Any], key: str, dimensions: int, kinds: str) -> np.ndarray:
    value = values.get(key)
    if not isinstance(value, np.ndarray) or value.ndim != dimensions or value.dtype.kind not in kinds:
        raise FileError(
            path,
            key,
            f"is not a tensor of the right type with {counted(dimensions, 'dimension')}",
            next_step="leave it out",
        )
    return value


def _number(path: str, facts: dict[str, Any], key: str) -> int:
    value = facts.get(key)
    if not isinstance(value, int) or not 0 < value < 10_000:
        raise FileError(path, f"cfg.{key}", "is not a number of layers", next_step="write the graph again")
    return value


def _vocabulary(path: str, values: dict[str, Any], facts: dict[str, Any]) -> int:
    value = values.get("vocab_size")
    value = value if isinstance(value, int) and value > 0 else facts.get("d_vocab")
    if not isinstance(value, int) or value <= 0:
        raise FileError(
            path, "vocab_size", "is not the size of a vocabulary", next_step="write the graph again"
        )
    return value


def _logits(path: str, value: Any, vocab_size: int) -> tuple[tuple[str | None, int | None], ...]:
    """Text and vocabulary id of each target. Older files have a tensor of ids.

    Ids that are not smaller than the size of the vocabulary do not stand for tokens.
    """
    found: list[tuple[str | None, int | None]] = []
    items = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
    if not isinstance(items, list):
        raise FileError(path, "logit_targets", "is not a list", next_step="write the graph again")
    for place, item in enumerate(items):
        pair = item.arguments if isinstance(item, PickledRecord) else (None, item)
        if len(pair) != 2 or not isinstance(pair[1], int) or not isinstance(pair[0], str | None):
            raise FileError(path, f"logit_targets[{place}]", "is not a target", next_step="write it again")
        found.append((pair[0] or None, pair[1] if 0 <= pair[1] < vocab_size else None))
    return tuple(found)


def _scan(path: str, value: Any) -> str:
    """The name of the transcoders, or of a list of them; empty when the file has no name."""
    if isinstance(value, list):
        if not all(isinstance(item, str) for item in value):
            raise FileError(path, "scan", "is not a list of names", next_step="write the graph again")
        return list_name(value) if value else ""
    return value if isinstance(value, str) else ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
