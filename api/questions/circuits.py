"""`circuit` and `circuits`: one circuit by its id, and the circuits that meet conditions."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.request.batching import Info, Listing, next_page
from api.request.connection import After, Connection, First, connect_keys
from api.request.inputs import CircuitFilter, CircuitOrder, checked_list, checked_text, tags_needed
from api.types.circuit import PAGES, Circuit, load_circuits
from schema.questions.circuits import ALL_CIRCUITS, CIRCUITS, CIRCUITS_BY_ID
from schema.questions.question import full_text


@strawberry.type
class CircuitQuery:
    @strawberry.field(description="One circuit. Null when there is no circuit with this id.")
    async def circuit(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="Id of the circuit, as `circuits` gives it.")],
    ) -> Circuit | None:
        row = await info.context.loaders.owner_of(CIRCUITS_BY_ID, id, await next_page(info, PAGES))
        return None if row is None else Circuit.of(row)

    @strawberry.field(description="Circuits by prompt, answer, scores, model, transcoder set and source.")
    def circuits(
        self,
        info: Info,
        filter: Annotated[
            CircuitFilter | None,
            argument(description="Conditions that the circuits must meet. Left out: all circuits."),
        ] = None,
        order_by: Annotated[
            CircuitOrder, argument(description="Which circuits come first.")
        ] = CircuitOrder.FAMILY,
        first: First = None,
        after: After = None,
    ) -> Connection[Circuit]:
        limits, given = info.context.limits, filter or CircuitFilter()
        text = checked_text(limits, "filter.text", given.text)
        tags = checked_list(limits, "filter.tags", given.tags)
        conditions = {
            "families": checked_list(limits, "filter.families", given.families),
            "tags": tags or [],
            "min_tags": tags_needed(tags, given.tag_mode),
            "text": None if text is None else full_text(text),
            "answer": given.answer,
            "correct": given.correct,
            "min_replacement": given.min_replacement_score,
            "min_completeness": given.min_completeness_score,
            "max_error_share": given.max_error_share,
            "model": given.model,
            "transcoders": given.transcoders,
            "pair": given.pair,
            "split": given.split,
            **given.source,
            "title": checked_text(limits, "filter.title", given.title),
            "pinned": given.pinned,
            "pinned_features": checked_list(limits, "filter.pinnedFeatures", given.pinned_features),
        }
        none: dict[str, object] = {**dict.fromkeys(conditions), "tags": [], "min_tags": 0}
        listing = (
            Listing(ALL_CIRCUITS)
            if order_by is CircuitOrder.FAMILY and conditions == none
            else Listing(CIRCUITS, {"filter": conditions, "order": order_by.value})
        )
        return connect_keys(info, listing, first, after, load_circuits)
