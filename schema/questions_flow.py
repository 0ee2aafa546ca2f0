"""Questions that are answered from a circuit's whole graph."""

from typing import NamedTuple

from schema.question import Question, Record, page_of


class FlowNode(NamedTuple):
    """A node, as far as sums over paths need it."""

    id: str
    kind: str
    """Its label in the database, such as `TokenNode`."""
    position: int
    token: str | None
    activation: float | None
    """Of features."""
    probability: float | None
    """Of logits."""


class FlowRow(NamedTuple):
    """One circuit's pruned graph."""

    key: str
    nodes: list[FlowNode]
    """By position and id."""
    sources: list[str]
    """Node ids, aligned with `targets` and `weights`."""
    targets: list[str]
    weights: list[float]


class FamilyCircuitRow(NamedTuple):
    circuit: str
    tokens: list[str]


class StageFlow(NamedTuple):
    """What one stage gets from one source."""

    stage: str
    """early, middle, late or logits."""
    source: str
    """tokens, early, middle, late, errors, other or pruned."""
    influence: float


class FlowStagesRow(NamedTuple):
    n_circuits: int
    n_considered: int
    flows: list[StageFlow]
    """Mean over the circuits considered; what never occurs is left out."""


def _stages(record: Record) -> FlowStagesRow:
    return FlowStagesRow(**{**record, "flows": [StageFlow(**flow) for flow in record["flows"]]})


def _flow(record: Record) -> FlowRow:
    return FlowRow(**{**record, "nodes": [FlowNode(**node) for node in record["nodes"]]})


FLOW_OF_CIRCUIT = Question("flow_of_circuit", _flow)
CIRCUITS_OF_FAMILY = Question("circuits_of_family", page_of(FamilyCircuitRow))
FLOW_STAGES = Question("flow_stages", _stages)
