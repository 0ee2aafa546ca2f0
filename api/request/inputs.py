"""Arguments of queries: enumerations, filters, and the checks of their values."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, TypeVar

import strawberry

from api.request.limits import Limits
from schema.circuit.records import NodeKind
from schema.errors import InputError, LimitError


@strawberry.enum(description="How several names combine.")
class Match(Enum):
    ALL = strawberry.enum_value("ALL", description="Every name must match.")
    ANY = strawberry.enum_value("ANY", description="At least one name must match.")


@strawberry.enum(description="What the numbers of an answer count.")
class CountBy(Enum):
    CIRCUITS = strawberry.enum_value("circuits", description="Circuits. Two of one prompt count as two.")
    PROMPTS = strawberry.enum_value(
        "prompts", description="Prompts. All circuits of a prompt, whatever their settings, count as one."
    )
    CLUSTERS = strawberry.enum_value(
        "clusters",
        description="Clusters of prompts that are nearly equal: the texts are equal "
        "except for case, blanks and at most one word, or the prompts are a minimal pair. "
        "A template with one slot is one cluster.",
    )


COUNTED_BY = "What the numbers of circuits in the answer count, see `countBy`."
"""Description of `countedBy`."""


@strawberry.enum(description="Order of circuits. Ties are broken by family, prompt and id.")
class CircuitOrder(Enum):
    FAMILY = strawberry.enum_value(
        "family", description="Circuits are sorted by family, then by the prompt's text."
    )
    REPLACEMENT_SCORE = strawberry.enum_value(
        "replacement", description="The highest replacement score comes first."
    )
    COMPLETENESS_SCORE = strawberry.enum_value(
        "completeness", description="The highest completeness score comes first."
    )
    ERROR_SHARE = strawberry.enum_value("error", description="The lowest error share comes first.")


@strawberry.enum(description="Order of features. Ties are broken by id.")
class FeatureOrder(Enum):
    CIRCUITS = strawberry.enum_value(
        "circuits",
        description="Features that occur in the most circuits come first, counted as `countBy` says.",
    )
    INFLUENCE = strawberry.enum_value(
        "influence", description="Features with the highest mean influence come first."
    )
    LAYER = strawberry.enum_value("layer", description="Features are sorted by layer, then by index.")


@strawberry.enum(description="How the positions of two prompts are aligned.")
class Align(Enum):
    FREE = strawberry.enum_value("free", description="Positions do not count.")
    POSITION = strawberry.enum_value(
        "position", description="Positions counted from the beginning must be equal."
    )
    FROM_END = strawberry.enum_value("from_end", description="Positions counted from the end must be equal.")


TOOL = "Tool in whose format the imported graph was, for example `neuronpedia`."
SLUG = "Slug of the imported graph."
CREATOR = "Creator of the imported graph."
SOURCE_URL = (
    "One of the imported graph's source URLs, for example `https://neuronpedia.org/gemma-2-2b/clt-hp`."
)

Tool = Annotated[str | None, strawberry.argument(description=TOOL)]
Slug = Annotated[str | None, strawberry.argument(description=SLUG)]
Creator = Annotated[str | None, strawberry.argument(description=CREATOR)]
SourceUrl = Annotated[str | None, strawberry.argument(description=SOURCE_URL)]


@strawberry.input
class SourceConditions:
    """Conditions on where imported circuits come from; circuits that the atlas computed meet none."""

    tool: str | None = strawberry.field(default=None, description=TOOL)
    slug: str | None = strawberry.field(default=None, description=SLUG)
    creator: str | None = strawberry.field(default=None, description=CREATOR)
    source_url: str | None = strawberry.field(default=None, description=SOURCE_URL)

    @property
    def source(self) -> dict[str, str | None]:
        """The values by their names in Cypher; None for no condition."""
        return {
            "tool": self.tool,
            "slug": self.slug,
            "creator": self.creator,
            "source_url": self.source_url,
        }

    @property
    def names_source(self) -> bool:
        """Whether one of them is given."""
        return any(value is not None for value in self.source.values())


@strawberry.input(
    description="A set of circuits. "
    "A circuit must fit everything that is given; "
    "when nothing is given, all circuits belong to the set. "
    "A tool, slug, creator or source URL that no circuit has is an error (NOT_FOUND)."
)
class CircuitSet(SourceConditions):
    circuits: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only these circuits, by id. An unknown id is an error (NOT_FOUND)."
    )
    families: list[str] | None = strawberry.field(
        default=None,
        description="Only circuits of these families. An unknown name is an error (NOT_FOUND).",
    )
    tags: list[str] | None = strawberry.field(
        default=None,
        description="Only circuits whose prompt has these tags, see `tagMode`. "
        "An unknown tag is an error (NOT_FOUND).",
    )
    tag_mode: Match = strawberry.field(
        default=Match.ALL, description="Whether a prompt needs all of `tags` or at least one."
    )
    transcoders: list[str] | None = strawberry.field(
        default=None,
        description="Only circuits made with these transcoder sets, by id or name. "
        "An unknown one is an error (NOT_FOUND).",
    )

    @property
    def circuits_alone(self) -> list[strawberry.ID] | None:
        """The circuits when nothing else is given: then the set is known without the database. Else None."""
        narrowed = self.families or self.tags or self.transcoders or self.names_source
        return None if narrowed else self.circuits

    @property
    def family_alone(self) -> str | None:
        """The family when the set is all circuits of one family. Else None."""
        narrowed = self.circuits or self.tags or self.transcoders or self.names_source
        if narrowed or len(set(self.families or ())) != 1:
            return None
        (family,) = set(self.families or ())
        return family


@strawberry.input(
    description="Conditions on circuits. "
    "A circuit must meet all that are given; when none is given, every circuit fits."
)
class CircuitFilter(SourceConditions):
    families: list[str] | None = strawberry.field(
        default=None, description="Only circuits of these families. Unknown names match no circuit."
    )
    tags: list[str] | None = strawberry.field(
        default=None,
        description="Only circuits whose prompt has these tags, see `tagMode`. "
        "Unknown tags match no circuit.",
    )
    tag_mode: Match = strawberry.field(
        default=Match.ALL, description="Whether a prompt needs all of `tags` or at least one."
    )
    text: str | None = strawberry.field(
        default=None,
        description="Words of the prompt; each may be the beginning of a word. "
        "A prompt must contain all of them.",
    )
    answer: str | None = strawberry.field(
        default=None, description="The most probable next token, without the blanks around it."
    )
    correct: bool | None = strawberry.field(
        default=None,
        description="Whether the answer is the expected token. "
        "Circuits without an expected token match neither true nor false.",
    )
    min_replacement_score: float | None = strawberry.field(
        default=None, description="Lowest replacement score, 0 to 1. Circuits without this score do not fit."
    )
    min_completeness_score: float | None = strawberry.field(
        default=None, description="Lowest completeness score, 0 to 1. Circuits without this score do not fit."
    )
    max_error_share: float | None = strawberry.field(
        default=None, description="Highest error share, 0 to 1. Circuits without an error share do not fit."
    )
    model: str | None = strawberry.field(default=None, description="Id or name of the model.")
    transcoders: str | None = strawberry.field(default=None, description="Id or name of the transcoder set.")
    pair: str | None = strawberry.field(default=None, description="Name of the minimal pair.")
    split: str | None = strawberry.field(
        default=None, description="Split of the prompt: `train` or `held-out`."
    )
    title: str | None = strawberry.field(
        default=None, description="Part of the imported graph's title. Upper and lower case are the same."
    )
    pinned: bool | None = strawberry.field(
        default=None, description="Whether somebody pinned a node of the circuit in a viewer."
    )
    pinned_features: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Only circuits in which one of these features is pinned. Unknown ids match no circuit.",
    )


Value = TypeVar("Value", str, int)

Kind = Annotated[
    NodeKind | None, strawberry.argument(description="Only nodes of this kind. Left out: all nodes.")
]
MinCircuits = Annotated[
    int, strawberry.argument(description="Only effects that at least this many circuits have: 1 or more.")
]

SetNames = Annotated[
    list[str] | None,
    strawberry.argument(
        description="Only circuits made with these transcoder sets, by id or name. "
        "An unknown one is an error (NOT_FOUND)."
    ),
]


def node_label(kind: NodeKind | None) -> str | None:
    """The label of such nodes in the database; None for any kind."""
    return None if kind is None else f"{kind.value.capitalize()}Node"


def checked_list(limits: Limits, name: str, values: Sequence[Value] | None) -> list[Value] | None:
    """`values` in their order, without repetitions.

    Raises InputError when the list is given and empty, LimitError when it is too long.
    """
    if values is None:
        return None
    if not values:
        raise InputError(
            f"{name}: the list is empty", next_step=f"give at least one entry, or leave {name} out"
        )
    if len(values) > limits.list_length:
        raise LimitError(
            f"{name}: {len(values)} entries are over the limit of {limits.list_length}",
            next_step="name families or tags instead of ids, or ask in several queries",
        )
    return list(dict.fromkeys(values))


def checked_text(limits: Limits, name: str, value: str | None) -> str | None:
    """`value`. Raises LimitError when it is too long."""
    if value is not None and len(value) > limits.text_length:
        raise LimitError(
            f"{name}: {len(value)} characters are over the limit of {limits.text_length}",
            next_step="search for a few words",
        )
    return value


def tags_needed(tags: list[str] | None, mode: Match) -> int:
    """Number of these tags that a prompt must have."""
    if not tags:
        return 0
    return len(tags) if mode is Match.ALL else 1


def checked_count(name: str, value: int, least: int) -> int:
    """`value`. Raises InputError when it is below `least`."""
    if value < least:
        raise InputError(f"{name}: {value} is too small", next_step=f"give {least} or more")
    return value
