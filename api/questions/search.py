"""`search`: prompts, labels, supernodes and tokens by words, and the circuits in which they occur."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect
from api.request.inputs import SetNames, checked_list, checked_text
from api.types.circuit import Circuit, circuit_of
from api.types.rows import columns
from schema.errors import InputError
from schema.questions.question import full_text, words_of
from schema.questions.search import CIRCUITS_OF_TEXT, SEARCH, FoundRow


@strawberry.enum(description="Where a search looks.")
class SearchKind(Enum):
    PROMPT = strawberry.enum_value("prompt", description="Texts of prompts.")
    LABEL = strawberry.enum_value("label", description="Labels of features.")
    SUPERNODE = strawberry.enum_value("supernode", description="Names of supernodes.")
    TOKEN = strawberry.enum_value("token", description="Tokens of prompts, and answers.")


@strawberry.type(description="A circuit in which a text occurs.")
class TextUse:
    influence: float | None = strawberry.field(
        description="Influence, in this circuit, of what has the text: of the features with the label, "
        "of the supernodes' members, or of the tokens' embeddings. 0 or more. "
        "Null for prompts and answers, and when it is unknown."
    )
    circuit_id: strawberry.Private[str]

    @strawberry.field(description="The circuit.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)


@strawberry.type(name="Found", description="A text that a search found.")
class SearchHit:
    kind: SearchKind = strawberry.field(description="Where the text was found.")
    text: str = strawberry.field(description="The whole text.")
    n_circuits: int = strawberry.field(description="Number of circuits in which the text occurs.")
    n_features: int = strawberry.field(
        description="Number of features that have the label. 0 for prompts, supernodes and tokens."
    )

    families: strawberry.Private[tuple[str, ...] | None]
    sets: strawberry.Private[tuple[str, ...] | None]

    @classmethod
    def of(cls, row: FoundRow, families: list[str] | None, sets: list[str] | None) -> "SearchHit":
        return cls(
            kind=SearchKind(row.kind),
            families=None if families is None else tuple(families),
            sets=None if sets is None else tuple(sets),
            **columns(row, without=("kind",)),
        )

    @strawberry.field(
        description="The circuits in which the text occurs. Those where it has the most influence come first."
    )
    def circuits(self, info: Info, first: First = None, after: After = None) -> Connection[TextUse]:
        asked = {"families": self.families, "transcoders": self.sets}
        listing = Listing(CIRCUITS_OF_TEXT, asked, key=(self.kind.value, self.text))
        return connect(
            info,
            listing,
            first,
            after,
            lambda row: TextUse(circuit_id=row.circuit, influence=row.influence),
        )


@strawberry.type
class SearchQuery:
    @strawberry.field(
        description="Prompts, labels, supernodes and tokens that contain these words. "
        "Texts that equal the search text come first, "
        "then those that occur in the most circuits."
    )
    async def search(
        self,
        info: Info,
        text: Annotated[
            str,
            argument(
                description="The words to find; each may be the beginning of a word. "
                "A text must contain all of them, a token at least one."
            ),
        ],
        kinds: Annotated[
            list[SearchKind] | None, argument(description="Where to look. Left out: everywhere.")
        ] = None,
        families: Annotated[
            list[str] | None,
            argument(
                description="Only circuits of these families count; texts that occur in none are left out. "
                "An unknown name is an error (NOT_FOUND)."
            ),
        ] = None,
        transcoders: SetNames = None,
        first: First = None,
        after: After = None,
    ) -> Connection[SearchHit]:
        if kinds is not None and not kinds:
            raise InputError(
                "kinds: the list is empty", next_step="name at least one kind, or leave kinds out"
            )
        limits = info.context.limits
        checked_text(limits, "text", text)
        wanted = checked_list(limits, "families", families)
        await require_known(info, families=wanted)
        sets = await set_ids(info, transcoders)
        asked = {
            "families": wanted,
            "transcoders": sets,
            "text": full_text(text),
            "words": words_of(text),
            "exact": text.strip().lower(),
            "kinds": [kind.value for kind in kinds or SearchKind],
        }
        return connect(
            info, Listing(SEARCH, asked), first, after, lambda row: SearchHit.of(row, wanted, sets)
        )
