"""A graph whose matrix is never held as a whole: its rows are computed on demand, repeatedly if needed.

Pruning needs each row once, from the logits down, to compute every node's influence. After that it needs only
the rows of kept nodes, at the columns of kept nodes ("Circuit Tracing", Anthropic 2025, on graph pruning).
For a graph of n nodes of which k are kept, memory is k² numbers and a batch of rows, instead of n² numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.rows import TargetRows


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamedGraph(GraphNodes):
    """An attribution graph whose rows are computed on demand.

    It holds everything that was recorded for its prompt, so release it once it is pruned.
    """

    source: TargetRows
    """Computes the rows, and keeps some of them."""

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
        """The selected features and then the logits, numbered as in `source`."""
        return torch.cat([self.selected, torch.arange(self.n_active, self.n_active + self.n_logits)])

    def _nodes(self, targets: Tensor) -> Tensor:
        """The nodes of this graph that targets of `source` stand for."""
        feature = torch.searchsorted(self.selected, targets)
        logit = targets - self.n_active + self.logit_nodes.start
        return torch.where(targets < self.n_active, feature, logit)

    def _columns(self) -> Tensor | None:
        """The inputs of a row that are nodes; None when all inputs are."""
        if self.n_features == self.n_active:
            return None
        return torch.cat([self.selected, torch.arange(self.n_active, self.source.traced.n_inputs)])
