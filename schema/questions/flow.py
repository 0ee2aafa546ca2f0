"""Questions about the flow of influence: between stages of the model, and along the paths of a circuit."""

from typing import NamedTuple

from schema.circuit.flow import FlowNode, FlowRow
from schema.questions.question import Question, Record, page_of


class FamilyCircuitRow(NamedTuple):
    """A circuit of a family."""

    circuit: str
    """Id of the circuit."""
    tokens: list[str]


class StageFlow(NamedTuple):
    """Influence that one stage receives from one source."""

    stage: str
    """early, middle, late or logits."""
    source: str
    """tokens, early, middle, late, errors, other or pruned."""
    influence: float


class FlowStagesRow(NamedTuple):
    """Where the influence of each stage comes from."""

    n_circuits: int
    n_considered: int
    n_derived: int
    """Considered circuits whose influences or shares are derived."""
    flows: list[StageFlow]
    """Means over the circuits considered. Pairs that never occur are left out."""


def _stages(record: Record) -> FlowStagesRow:
    return FlowStagesRow(**{**record, "flows": [StageFlow(**flow) for flow in record["flows"]]})


def _flow(record: Record) -> FlowRow:
    return FlowRow(**{**record, "nodes": [FlowNode(**node) for node in record["nodes"]]})


FLOW_OF_CIRCUIT = Question("flow_of_circuit", _flow)
CIRCUITS_OF_FAMILY = Question("circuits_of_family", page_of(FamilyCircuitRow))
FLOW_STAGES = Question("flow_stages", _stages)
