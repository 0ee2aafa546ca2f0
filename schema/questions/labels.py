"""Questions about labels: those of a feature, their evidence, similar labels, and the features of a label."""

from typing import NamedTuple

from schema.circuit.neuronpedia_pages import feature_url, pages_of
from schema.questions.question import Question, Record, page_of, row_of


class LabelRow(NamedTuple):
    """A label of a feature."""

    key: str
    """Id of the feature."""
    id: str
    text: str
    method: str
    author: str
    score: float | None
    null_score: float | None
    scorer: str | None
    """The test that gave an imported label its score."""


class FirstLabelRow(NamedTuple):
    """The label of a feature that comes first, and where Neuronpedia has the feature."""

    key: str
    """Id of the feature."""
    label: str | None
    layer: int
    number: int
    """Index in the dictionary of its layer."""
    component: str | None
    transcoders: str
    """Name of the transcoder set."""
    neuronpedia: str | None
    neuronpedia_attention: str | None

    @property
    def url(self) -> str | None:
        """The address of the feature's page at Neuronpedia; None when unknown."""
        pages = pages_of(self.transcoders, self.neuronpedia, self.neuronpedia_attention)
        return feature_url(pages, self.layer, self.number, self.component)


class EvidenceRow(NamedTuple):
    """What a label was made from."""

    key: str
    """Id of the label."""
    rule: str | None
    """JSON: the rule that predicts where the feature fires."""
    asked: str | None
    """The prompt that a language model was given."""
    answered: str | None
    """The language model's answer."""


class GroupedFeatureRow(NamedTuple):
    """A feature that supernodes of one label group."""

    layer: int
    number: int
    """Index of the feature in its layer's dictionary."""
    n_nodes: int
    """Grouped nodes of the feature, over all circuits."""
    activation: float | None
    """Mean activation over these nodes; None when none is known."""


class LabelMembersRow(NamedTuple):
    """The features that the supernodes of one label group, for one way of grouping."""

    method: str
    author: str | None
    """None for supernodes of people, who are taken together."""
    scored: bool
    """Whether the method gives its supernodes a score."""
    n_circuits: int
    """Circuits that have at least one of these supernodes."""
    members: list[GroupedFeatureRow]


def _label_members(record: Record) -> LabelMembersRow:
    return LabelMembersRow(**{**record, "members": [GroupedFeatureRow(**each) for each in record["members"]]})


class SimilarLabelRow(NamedTuple):
    """A label whose text is similar to a given text."""

    label: str
    """Id of the label."""
    text: str
    feature: str
    """Id of the labelled feature."""
    cosine: float
    """Cosine of the two texts' vectors."""


LABELS_OF_FEATURE = Question("labels_of_feature", row_of(LabelRow))
FIRST_LABEL_OF_FEATURE = Question("first_label_of_feature", row_of(FirstLabelRow))
EVIDENCE_OF_LABEL = Question("evidence_of_label", row_of(EvidenceRow))
MEMBERS_OF_LABEL = Question("members_of_label", _label_members)
SIMILAR_LABELS = Question("similar_labels", page_of(SimilarLabelRow))
