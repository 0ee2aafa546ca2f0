"""circuit-tracer's `.pt` graphs to circuits: they are not pruned, so everything can be computed from them.

Influence, shares, scores and pruning are the engine's own (`ingest.engine.attribution.prune`).
"""

import re
from dataclasses import replace
from pathlib import Path

import torch

from ingest.circuits import convert
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.prune import prune
from schema.circuit.canonical import canonical, digest
from schema.circuit.records import Circuit, Model, Prompt, Source, TranscoderSet
from schema.errors import FileError, InputError
from schema.formats.circuit_tracer_pt import UnprunedGraph, read_pt
from schema.formats.graph import Given

_REVISION = re.compile(r"(.+)@([^@/]+)", re.DOTALL)


def read_circuit(
    path: Path,
    given: Given = Given(),  # noqa: B008  immutable
    *,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    tokenizer: Path | None = None,
    data: bytes | None = None,
) -> Circuit:
    """The pruned circuit of a `.pt` graph. tokenizer: folder of one, for the texts of the tokens; data: the
    file's content, unpacked, when it has been read already.

    Raises FileError, SettingError.
    """
    found = read_pt(str(path), data)
    name, revision = given.transcoders or found.scan, None
    if given.transcoders is None and (parts := _REVISION.fullmatch(name)):
        name, revision = parts[1], parts[2]
    if not name.strip():
        raise FileError(str(path), "scan", "is empty", next_step="name the transcoders with --transcoders")
    model = Model(
        name=given.model or found.model_name or f"model of {name}",
        revision=None,
        architecture=found.architecture,
        n_layers=found.n_layers,
        d_model=found.d_model,
        vocab_size=found.vocab_size,
    )
    graph = _graph(found, _texts(found.token_ids, tokenizer))
    pruned = prune(graph, node_threshold=node_threshold, edge_threshold=edge_threshold)
    circuit = convert.circuit(
        graph,
        pruned,
        Prompt(found.text, graph.tokens, found.token_ids, given.family, given.tags),
        model,
        TranscoderSet(name, revision, None, None, None, None, None, model.id),
    )
    circuit = canonical(
        replace(
            circuit,
            target=None,
            dtype=found.dtype,
            special_first_token=None,
            source=Source("circuit-tracer", path.name.removesuffix(".gz").removesuffix(".pt"), found.scan),
            nodes=tuple(
                replace(node, index=None) if node.index is not None and node.index < 0 else node
                for node in circuit.nodes
            ),
        )
    )
    return replace(circuit, content=digest(circuit))


def _graph(found: UnprunedGraph, tokens: tuple[str, ...]) -> AttributionGraph:
    return AttributionGraph(
        tokens=tokens,
        token_ids=found.token_ids,
        active=torch.from_numpy(found.active),
        activations=torch.from_numpy(found.activations),
        selected=torch.from_numpy(found.selected),
        adjacency=torch.from_numpy(found.adjacency),
        # A direction that is no token has no id; -1 until it is a record.
        logit_ids=torch.tensor([-1 if index is None else index for _, index in found.logits]),
        logit_tokens=tuple(text or "" for text, _ in found.logits),
        logit_probabilities=torch.from_numpy(found.probabilities),
        n_layers=found.n_layers,
        target="",
        target_position=len(found.token_ids) - 1,
        special_first_token=False,
        max_feature_nodes=None,
        dtype=found.dtype or "",
    )


def _texts(ids: tuple[int, ...], tokenizer: Path | None) -> tuple[str, ...]:
    """The file has ids only: without a tokenizer they stand for their texts."""
    if tokenizer is None:
        return tuple(f"‹{number}›" for number in ids)
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        return tuple(str(found.decode([number])) for number in ids)
    except (OSError, ValueError, KeyError, OverflowError) as error:
        raise InputError(
            f"{tokenizer} has no tokenizer for these graphs: {error}",
            next_step="name the folder of the model that they were made with",
        ) from error
