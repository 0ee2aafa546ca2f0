"""Converts the `.pt` graphs of circuit-tracer to circuits.

These graphs are not pruned. The engine computes influence, shares and scores from them and prunes them, as
it does with its own graphs (`ingest.engine.attribution.prune`).
"""

import re
from dataclasses import replace
from pathlib import Path

import torch

from ingest.circuits import convert
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.prune import prune
from ingest.engine.replacement.token_texts import token_texts
from schema.circuit.canonical import canonical, digest
from schema.circuit.records import Circuit, Model, NodeKind, Prompt, Source, TranscoderSet
from schema.errors import FileError, InputError
from schema.formats.circuit_tracer import names_a_model
from schema.formats.circuit_tracer_pt import UnprunedGraph, read_pt
from schema.formats.graph import Given, unnamed

_ENDINGS = re.compile(r"(\.pt)?(\.gz)?\Z", re.IGNORECASE)
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
    """The pruned circuit of a `.pt` graph.

    node_threshold, edge_threshold: share of influence, 0 to 1, that kept nodes and kept edges have together.
    tokenizer: folder of the tokenizer that turns token ids into text. data: the unpacked content of the
    file, if it has been read already. Raises FileError, SettingError, and InputError for a folder without a
    tokenizer.
    """
    found = read_pt(str(path), data)
    name, revision = given.transcoders or found.scan, None
    scanned_model = found.scan if names_a_model(found.scan) else None
    if given.transcoders is None and scanned_model:
        name = unnamed(found.token_ids, found.active.tolist(), found.activations.tolist())
    elif given.transcoders is None and (parts := _REVISION.fullmatch(name)):
        name, revision = parts[1], parts[2]
    if not name.strip():
        raise FileError(str(path), "scan", "is empty", next_step="name the transcoders with --transcoders")
    model = Model(
        name=given.model or found.model_name or scanned_model or f"model of {name}",
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
            n_left_out=None,
            # circuit-tracer marks the first logit as the target when it writes graph JSON.
            target_logit=next((node.key for node in circuit.nodes if node.kind is NodeKind.LOGIT), None),
            source=Source("circuit-tracer", _ENDINGS.sub("", path.name), found.scan),
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
        # A target that is not a token has no id. It is -1 here and None in the record.
        logit_ids=torch.tensor([-1 if index is None else index for _, index in found.logits]),
        logit_tokens=tuple(text or "" for text, _ in found.logits),
        logit_probabilities=torch.from_numpy(found.probabilities),
        n_layers=found.n_layers,
        target="",
        target_position=len(found.token_ids) - 1,
        n_left_out=0,
        max_feature_nodes=None,
        dtype=found.dtype or "",
    )


def _texts(ids: tuple[int, ...], tokenizer: Path | None) -> tuple[str, ...]:
    """The texts of tokens. The file has ids only; without a tokenizer, the texts show the ids."""
    if tokenizer is None:
        return tuple(f"‹{number}›" for number in ids)
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True, trust_remote_code=False)
        return token_texts(found, ids)
    except (OSError, ValueError, KeyError, OverflowError) as error:
        raise InputError(
            f"{tokenizer} has no tokenizer that fits these graphs: {error}",
            next_step="name the folder of the model that the graphs were made with",
        ) from error
