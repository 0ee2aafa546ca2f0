"""A graph whose matrix is never whole: its rows are computed when they are asked for, and again if need be.

Pruning needs each row once, from the logits down, to know every node's influence; after that it needs the
rows of kept nodes only, at kept columns only ("Circuit Tracing", Anthropic 2025, on graph pruning). For a
graph of n nodes of which k are kept, memory is k² and a batch of rows instead of n².
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.rows import Rows


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamedGraph(GraphNodes):
    """A graph as rows to come. It holds what its prompt made of the model, so let it go when it is pruned."""

    source: Rows

    def rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        columns = self._columns()
        for targets, rows in self.source.levels(self._targets()):
            yield self._nodes(targets), rows if columns is None else rows[:, columns]

    def among(self, nodes: Tensor) -> Tensor:
        columns, first_logit = self._columns(), self.logit_nodes.start
        inputs = nodes[nodes < first_logit]
        if columns is None:
            columns = torch.arange(first_logit)
        at = columns[inputs]
        targets = self._targets()
        wanted = torch.zeros(self.n_nodes, dtype=torch.bool)
        wanted[nodes] = True
        found = torch.zeros(len(nodes), len(nodes), dtype=self.activations.dtype)
        for driven, rows in self.source.levels(targets[wanted[self._nodes(targets)]]):
            place = torch.searchsorted(nodes, self._nodes(driven))
            found[place, : len(inputs)] = rows[:, at]
        return found

    def _targets(self) -> Tensor:
        """Features and then logits, as `source` numbers them."""
        return torch.cat([self.selected, torch.arange(self.n_active, self.n_active + self.n_logits)])

    def _nodes(self, targets: Tensor) -> Tensor:
        """Their numbers in this graph."""
        feature = torch.searchsorted(self.selected, targets)
        logit = targets - self.n_active + self.logit_nodes.start
        return torch.where(targets < self.n_active, feature, logit)

    def _columns(self) -> Tensor | None:
        """Which of a row's inputs are nodes; None: all of them."""
        if self.n_features == self.n_active:
            return None
        return torch.cat([self.selected, torch.arange(self.n_active, self.source.traced.n_inputs)])
