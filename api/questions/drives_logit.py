"""`drivesLogit`: features that act directly on the logits of tokens, over many circuits."""

import asyncio
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, consider
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import CircuitSet, CountBy, checked_count, checked_list, checked_text
from api.types.considered import Considered
from api.types.counting import CountByArgument, units_of
from api.types.feature import Feature, feature_of
from api.types.rows import columns
from schema.errors import InputError
from schema.questions.structure import DRIVES_LOGIT, LogitDriverRow, LogitDriverRows


@strawberry.enum(
    description="Order of the features that act on a logit. Ties are broken by number of circuits, then id."
)
class DriverOrder(Enum):
    PROMOTES = strawberry.enum_value(
        "promotes", description="Features that raise the logit most, on average, come first."
    )
    SUPPRESSES = strawberry.enum_value(
        "suppresses", description="Features that lower the logit most, on average, come first."
    )
    ABSOLUTE = strawberry.enum_value(
        "absolute", description="Features with the greatest |mean weight| come first."
    )


@strawberry.type(
    description="A feature that acts directly on the logits of the tokens. In one circuit its weights are "
    "summed over its positions and over the logits. "
    "Numbers of circuits count what `countBy` names: by default prompts, so that all circuits of a prompt "
    "are one. Weight and share in a prompt are means over those of its circuits that have the effect."
)
class LogitDriver:
    n_circuits: int = strawberry.field(
        description="Number of circuits in which the feature has a direct effect on such a logit."
    )
    n_considered: int = strawberry.field(
        description="Number of circuits of the set that have such a logit "
        "and were made with the feature's transcoder set: the denominator of nCircuits."
    )
    mean: float = strawberry.field(
        description="Mean signed weight over the nCircuits circuits, in units of the logit. "
        "It is below 0 for a feature that suppresses the tokens. "
        "Circuits without the effect do not count as 0."
    )
    sum: float = strawberry.field(
        description="Sum of the signed weights over the nCircuits circuits: mean times nCircuits."
    )
    share: float | None = strawberry.field(
        description="Mean share of the logit's input that comes from the feature, 0 to 1, over the circuits "
        "where it is known. It is summed over positions, and averaged over the logits of one circuit. "
        "Null when it is unknown in all of them."
    )
    n_promotes: int = strawberry.field(description="Number of circuits in which the weight is above 0.")
    n_suppresses: int = strawberry.field(description="Number of circuits in which the weight is below 0.")
    sign_consistency: float = strawberry.field(
        description="Share of the nCircuits circuits "
        "in which the weight has the more frequent sign: 0.5 to 1. "
        "It is below 0.5 only when some weights are exactly 0."
    )
    feature_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: LogitDriverRow) -> "LogitDriver":
        return cls(feature_id=row.feature, **columns(row, without=("feature",)))

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(description="The features that act directly on the logits of some tokens.")
class LogitDrivers(Connection[LogitDriver]):
    considered: Considered = strawberry.field(
        description="The circuits of the set, with and without such a logit. "
        "`nUnits` says how many prompts they are, or what `countBy` says."
    )
    mixed_settings: bool = strawberry.field(description=MIXED)

    @strawberry.field(
        description="Number of these circuits that have a logit of one of the tokens. "
        "0 often means that the text differs by a space: compare with `circuit { nodes(kind: LOGIT) }`."
    )
    async def n_with_logit(self) -> int:
        page: LogitDriverRows = (await self.source.read).page
        return page.n_with_logit

    @strawberry.field(
        description="Number of units that have a logit of one of the tokens: of the nWithLogit circuits, "
        "each prompt (or what `countBy` says) counts once."
    )
    async def n_units_with_logit(self) -> int:
        page: LogitDriverRows = (await self.source.read).page
        return page.n_units_with_logit


@strawberry.type
class LogitQuery:
    @strawberry.field(
        description="Which features push these tokens, or suppress them, over many circuits? "
        "Only direct effects on the tokens' logits count, not effects along longer paths (see `paths`). "
        "Pruned effects are unknown and do not count as 0."
    )
    async def drives_logit(
        self,
        info: Info,
        tokens: Annotated[
            list[str] | None,
            argument(
                description="Texts of tokens, exactly as logit nodes have them: "
                "a leading space counts, and so do capitals. Give `tokens`, `tokenIds` or both."
            ),
        ] = None,
        token_ids: Annotated[
            list[int] | None,
            argument(
                description="Ids of tokens in the vocabulary. Models with other tokenizers have other ids, "
                "so choose the circuits with `among`. Logits whose id is unknown do not fit."
            ),
        ] = None,
        among: Annotated[
            CircuitSet | None, argument(description="Only circuits of this set. Left out: all circuits.")
        ] = None,
        min_circuits: Annotated[
            int,
            argument(
                description="Only features that act on such a logit in at least this many circuits: "
                "1 or more."
            ),
        ] = 1,
        order_by: Annotated[
            DriverOrder, argument(description="Which features come first.")
        ] = DriverOrder.PROMOTES,
        count_by: CountByArgument = CountBy.PROMPTS,
        first: First = None,
        after: After = None,
    ) -> LogitDrivers:
        limits = info.context.limits
        if tokens is None and token_ids is None:
            raise InputError(
                "tokens, tokenIds: no token is given",
                next_step='give one, such as tokens: [" Austin"]; the leading space counts',
            )
        texts = checked_list(limits, "tokens", tokens)
        for text in texts or ():
            checked_text(limits, "tokens", text)
        numbers = checked_list(limits, "tokenIds", token_ids)
        considered, units = await asyncio.gather(
            consider(info, among, ids=among is not None), units_of(info, count_by)
        )
        circuits = None if among is None else considered.ids
        asked = {
            "tokens": texts or [],
            "token_ids": numbers or [],
            "circuits": circuits,
            "min_circuits": checked_count("minCircuits", min_circuits, 1),
            "order": order_by.value,
            "units": units.of_circuits(circuits),
        }

        def entries(page: LogitDriverRows) -> list[LogitDriver]:
            return [LogitDriver.of(row) for row in page.rows]

        return LogitDrivers(
            considered=units.counted(considered, considered.sets if circuits is None else None),
            mixed_settings=considered.mixed_settings,
            source=source_of(info, Listing(DRIVES_LOGIT, asked), first, after, entries),
        )
