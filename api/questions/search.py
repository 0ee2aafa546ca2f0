"""`search`: prompts, labels, supernodes and tokens by words, and the circuits in which they occur."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.request.connection import After, Connection, First, connect, window
from api.request.inputs import checked_text
from api.request.loaders import Info
from api.types.circuit import Circuit, circuit_of
from api.types.rows import columns
from schema.errors import InputError
from schema.questions.question import full_text, words_of
from schema.questions.search import CIRCUITS_OF_TEXT, SEARCH


@strawberry.enum(description="What a search looks through.")
class SearchKind(Enum):
    PROMPT = strawberry.enum_value("prompt", description="Texts of prompts.")
    LABEL = strawberry.enum_value("label", description="Labels of features.")
    SUPERNODE = strawberry.enum_value("supernode", description="Names of supernodes.")
    TOKEN = strawberry.enum_value("token", description="Tokens of prompts, and answers.")


@strawberry.type(description="A circuit in which a text occurs.")
class TextUse:
    influence: float | None = strawberry.field(
        description="Influence in the circuit of the features that have the label, of the supernodes' "
        "members or "
        "of the tokens' embeddings. Null for prompts and answers, and when unknown."
    )
    circuit_id: strawberry.Private[str]

    @strawberry.field(description="The circuit.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)


@strawberry.type(description="A text that a search found.")
class Found:
    kind: SearchKind = strawberry.field(description="Where it was found.")
    text: str = strawberry.field(description="The whole text.")
    n_circuits: int = strawberry.field(description="Circuits in which it occurs.")
    n_features: int = strawberry.field(description="Labels: features that have it. Others: 0.")

    @strawberry.field(description="The circuits, those where it carries most influence first.")
    async def circuits(self, info: Info, first: First = None, after: After = None) -> Connection[TextUse]:
        where = window(info.context.limits, first, after)
        key = (self.kind.value, self.text)
        page = await info.context.loaders.page(CIRCUITS_OF_TEXT, key, **where._asdict())
        items = [TextUse(circuit_id=row.circuit, influence=row.influence) for row in page.rows]
        return connect(where, page.total, items)


@strawberry.type
class SearchQuery:
    @strawberry.field(
        description="Prompts, labels, supernodes and tokens that contain these words. Texts that are "
        "exactly what "
        "was searched for come first, then those of most circuits."
    )
    async def search(
        self,
        info: Info,
        text: Annotated[
            str,
            argument(
                description="Words, each of which may be the beginning of a word. All must occur; in a "
                "token, one."
            ),
        ],
        kinds: Annotated[
            list[SearchKind] | None, argument(description="Where to look; left out: everywhere.")
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Found]:
        where = window(info.context.limits, first, after)
        if kinds is not None and not kinds:
            raise InputError("kinds: the list is empty", next_step="name at least one, or leave kinds out")
        checked_text(info.context.limits, "text", text)
        page = await info.context.loaders.ask_page(
            SEARCH,
            text=full_text(text),
            words=words_of(text),
            exact=text.strip().lower(),
            kinds=[kind.value for kind in kinds or SearchKind],
            **where._asdict(),
        )
        items = [Found(kind=SearchKind(row.kind), **columns(row, without=("kind",))) for row in page.rows]
        return connect(where, page.total, items)
