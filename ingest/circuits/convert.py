"""Converts graphs of the engine (tensors) to records.

Nothing is read or written, except that the files of a model are read to hash them
(`ingest.engine.loading.hashes`).
"""

import re

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import Pruned
from ingest.engine.loading.hashes import file_set_hash
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.records import Circuit, Edge, Model, Node, NodeKind, Prompt, TranscoderSet


def model_record(model: ReplacementModel) -> Model:
    """The record of a model. Its revision is a hash of config.json and the weights."""
    files = model.files
    return Model(
        name=model.name,
        revision=file_set_hash(() if files is None else files.identity),
        architecture=model.architecture,
        n_layers=model.n_layers,
        d_model=model.d_model,
        vocab_size=model.vocab_size,
        training_step=None if files is None else training_step(files.name),
    )


def training_step(name: str) -> int | None:
    """The training step of a checkpoint, from the name of its folder or file; None for other names.

    The name is like `checkpoint-500` or `step-00600`.
    """
    found = re.fullmatch(r"(?:checkpoint|step)[-_]?(\d+)", name)
    return None if found is None else int(found[1])


def transcoders_record(model: ReplacementModel, model_id: str | None = None) -> TranscoderSet:
    """The record of a model's transcoders. Its revision is a hash of their files.

    model_id: `Model.id`, if it is known; otherwise the files of the model are hashed too.
    """
    found = model.transcoders
    return TranscoderSet(
        name=found.name,
        revision=file_set_hash(found.files),
        kind=found.kind,
        activation=found.activation,
        input_hook=found.read_at,
        output_hook=found.write_at,
        n_features=found.n_features,
        model_id=model_record(model).id if model_id is None else model_id,
    )


def circuit(
    graph: GraphNodes, pruned: Pruned, prompt: Prompt, model: Model, transcoders: TranscoderSet
) -> Circuit:
    """The circuit of a pruned attribution graph, without labels and supernodes.

    Influence, shares and scores are computed from the unpruned graph.
    """
    found = pruned.scores
    nodes = _nodes(graph, pruned)
    kept = {(node.layer, node.index) for node in nodes if node.kind is NodeKind.FEATURE}
    active = {(layer, index) for layer, _, index in graph.active.tolist()}
    selected = {(layer, index) for layer, _, index in graph.features.tolist()}
    return Circuit(
        prompt=prompt,
        model=model,
        transcoders=transcoders,
        target=graph.target,
        target_position=graph.target_position,
        node_threshold=pruned.node_threshold,
        edge_threshold=pruned.edge_threshold,
        max_feature_nodes=graph.max_feature_nodes,
        max_edges=pruned.max_edges,
        dtype=graph.dtype,
        special_first_token=graph.n_left_out > 0,
        n_left_out=graph.n_left_out,
        replacement_score=found.replacement,
        completeness_score=found.completeness,
        error_share=found.error_share,
        n_active_features=graph.n_active,
        n_selected_features=graph.n_features,
        kept_influence=pruned.kept_influence,
        nodes=nodes,
        edges=_edges(pruned),
        pruned_features=tuple(sorted(selected - kept)),
        unselected_features=tuple(sorted(active - selected)),
    )


def _nodes(graph: GraphNodes, pruned: Pruned) -> tuple[Node, ...]:
    """The kept nodes, in the order of the graph."""
    kinds = (
        [NodeKind.FEATURE] * graph.n_features
        + [NodeKind.ERROR] * (graph.n_layers * graph.n_positions)
        + [NodeKind.TOKEN] * graph.n_positions
        + [NodeKind.LOGIT] * graph.n_logits
    )
    first_token, first_logit = graph.token_nodes.start, graph.logit_nodes.start
    layers, positions = graph.node_layers().tolist(), graph.node_positions().tolist()
    indices, activations = graph.features[:, 2].tolist(), graph.feature_activations.tolist()
    logits, probabilities = graph.logit_ids.tolist(), graph.logit_probabilities.tolist()
    influence, cumulative = pruned.influence.tolist(), pruned.cumulative.tolist()
    nodes = []
    for place in pruned.nodes.nonzero().flatten().tolist():
        kind, layer, position = kinds[place], layers[place], positions[place]
        raw, share = influence[place], cumulative[place]
        if kind is NodeKind.FEATURE:
            node = Node(kind, layer, position, indices[place], activations[place], raw, share)
        elif kind is NodeKind.ERROR:
            node = Node(kind, layer, position, None, None, raw, share)
        elif kind is NodeKind.TOKEN:
            number = place - first_token
            token = graph.tokens[number]
            node = Node(kind, layer, position, graph.token_ids[number], None, raw, share, token)
        else:
            number = place - first_logit
            token, probability = graph.logit_tokens[number], probabilities[number]
            index = logits[number] if logits[number] >= 0 else None
            node = Node(kind, layer, position, index, None, probability, None, token, probability)
        nodes.append(node)
    return tuple(nodes)


def _edges(pruned: Pruned) -> tuple[Edge, ...]:
    """The kept edges, ordered by target and source. Their ends are positions in the list of kept nodes."""
    place = pruned.nodes.cumsum(0) - 1
    weight = pruned.weight.double()
    share = (weight.abs() / pruned.inputs[pruned.target]).clamp(max=1.0)
    columns = (place[pruned.source].tolist(), place[pruned.target].tolist(), weight.tolist(), share.tolist())
    return tuple(map(Edge, *columns))
