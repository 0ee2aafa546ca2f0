"""An attribution graph: the signed direct effects behind a prompt's target logits.

The terms are those of "Circuit Tracing" (Anthropic 2025). Nodes have one fixed order, in rows and in columns:

    [ features | errors, layer by layer | tokens | logits ]

The features are the selected ones, sorted by layer, position and index. Rows of errors and tokens are zero,
because errors and tokens are inputs: nothing in the graph drives them.

`GraphNodes` describes the nodes. The effects are a matrix (`AttributionGraph`) or, when the matrix would be
too large, rows that are computed on demand (`ingest.engine.attribution.streamed`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 512
"""The largest number of matrix rows that `AttributionGraph.rows` yields together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphNodes(ABC):
    """The nodes of an unpruned graph of one prompt with one or more targets.

    Tensors are on the CPU. Numbers are float32, or float64 for a float64 model.
    """

    tokens: tuple[str, ...]
    """Decoded tokens of the prompt, including the special first token."""
    token_ids: tuple[int, ...]
    """Vocabulary ids of `tokens`."""
    active: Tensor
    """(n_active, 3) int64: layer, position and index of every active feature, sorted in that order."""
    activations: Tensor
    """(n_active,) activations, aligned with `active`."""
    selected: Tensor
    """(n_features,) int64: the rows of `active` that are nodes. Without `max_feature_nodes`, all rows are."""
    logit_ids: Tensor
    """(n_logits,) int64 vocabulary ids; -1 for a target that is not a single token."""
    logit_tokens: tuple[str, ...]
    """The decoded tokens of `logit_ids`, or the name of a target that is not a single token."""
    logit_probabilities: Tensor
    """(n_logits,) softmax over the whole vocabulary. They weigh the targets against each other."""
    n_layers: int
    target: str
    """Name of what was attributed, e.g. `salient-logits(10, 0.95)`."""
    target_position: int
    """Position whose next-token logits are the target. With several positions, the last one."""
    n_left_out: int
    """Number of positions at the start whose features and errors are left out."""
    max_feature_nodes: int | None
    """The largest allowed number of selected features; None when every active feature is selected."""
    dtype: str
    """Number format of the computation, e.g. `float32`."""
    logit_positions: Tensor | None = None
    """(n_logits,) int64 position of each logit. None means that all are at `target_position`."""

    @abstractmethod
    def rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Groups of driven nodes (m,) int64 with their rows (m, ≥ logit_nodes.start) of the matrix.

        Groups come in order from the logits down to the lowest layer. Each node occurs once. Nodes of one
        group never drive each other.
        """

    @abstractmethod
    def among(self, nodes: Tensor) -> Tensor:
        """(n, n) [target, source]: the part of the matrix between the given nodes.

        nodes: (n,) int64, ascending.
        """

    @property
    def n_positions(self) -> int:
        return len(self.token_ids)

    @property
    def n_active(self) -> int:
        """Number of features that are active on the prompt, selected or not."""
        return self.active.shape[0]

    @property
    def n_features(self) -> int:
        """Number of features that are nodes."""
        return self.selected.shape[0]

    @property
    def n_logits(self) -> int:
        return self.logit_ids.shape[0]

    @property
    def n_nodes(self) -> int:
        return self.logit_nodes.stop

    @property
    def feature_nodes(self) -> slice:
        return slice(0, self.n_features)

    @property
    def error_nodes(self) -> slice:
        return slice(self.n_features, self.n_features + self.n_layers * self.n_positions)

    @property
    def token_nodes(self) -> slice:
        start = self.error_nodes.stop
        return slice(start, start + self.n_positions)

    @property
    def logit_nodes(self) -> slice:
        return slice(self.token_nodes.stop, self.token_nodes.stop + self.n_logits)

    @property
    def features(self) -> Tensor:
        """(n_features, 3) layer, position and index of the feature nodes."""
        return self.active[self.selected]

    @property
    def feature_activations(self) -> Tensor:
        """(n_features,) activation of the feature nodes."""
        return self.activations[self.selected]

    def node_layers(self) -> Tensor:
        """(n_nodes,) int64 layer of every node: -1 for tokens, n_layers for logits."""
        layers = torch.empty(self.n_nodes, dtype=torch.int64)
        layers[self.feature_nodes] = self.features[:, 0]
        layers[self.error_nodes] = torch.arange(self.n_layers).repeat_interleave(self.n_positions)
        layers[self.token_nodes] = -1
        layers[self.logit_nodes] = self.n_layers
        return layers

    def node_positions(self) -> Tensor:
        """(n_nodes,) int64 position of every node."""
        positions = torch.empty(self.n_nodes, dtype=torch.int64)
        positions[self.feature_nodes] = self.features[:, 1]
        positions[self.error_nodes] = torch.arange(self.n_positions).repeat(self.n_layers)
        positions[self.token_nodes] = torch.arange(self.n_positions)
        positions[self.logit_nodes] = (
            self.target_position if self.logit_positions is None else self.logit_positions
        )
        return positions

    def levels(self) -> list[slice]:
        """Groups of target nodes, from the logits down to the first layer that has features.

        Nodes of one group never drive each other. They are driven only by nodes of later groups, by errors
        and by tokens. Therefore one pass over the groups solves every sum over paths.
        """
        layers = self.features[:, 0].contiguous()
        edges = torch.searchsorted(layers, torch.arange(self.n_layers + 1)).tolist()
        found = [slice(edges[layer], edges[layer + 1]) for layer in range(self.n_layers - 1, -1, -1)]
        return [self.logit_nodes, *(level for level in found if level.stop > level.start)]


@dataclass(frozen=True, eq=False, kw_only=True)
class AttributionGraph(GraphNodes):
    """An attribution graph whose effects are one matrix."""

    adjacency: Tensor
    """(n_nodes, n_nodes) [target, source]: direct effect of the source on the target's pre-activation or
    mean-centred logit. The source's activation is included as a factor."""

    def rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        for level in self.levels():
            for start in range(level.start, level.stop, CHUNK):
                nodes = torch.arange(start, min(start + CHUNK, level.stop))
                yield nodes, self.adjacency[start : start + len(nodes)]

    def among(self, nodes: Tensor) -> Tensor:
        if len(nodes) == self.n_nodes:
            return self.adjacency
        return self.adjacency[nodes[:, None], nodes]
