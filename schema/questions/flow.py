"""Questions that are answered from a circuit's whole graph."""

from typing import NamedTuple

from schema.circuit.flow import FlowNode, FlowRow
from schema.questions.question import Question, Record, page_of


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
