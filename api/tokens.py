"""Input tokens against the answer, averaged over a family by place in its template."""

import asyncio
from collections import defaultdict
from math import fsum
from typing import Annotated

import strawberry
from strawberry import argument

from api.answers import require_known
from api.inputs import checked_text
from api.loaders import Info
from schema.questions_flow import CIRCUITS_OF_FAMILY, FLOW_OF_CIRCUIT, FamilyCircuitRow, FlowRow
from schema.token_paths import LogitParts, token_parts, tokens_of

MOST = 300
"""Circuits of a family that are looked through."""

BATCH = 50
"""Circuits that are read together."""


@strawberry.type(description="One place of a family's template.")
class TemplatePlace:
    n_tokens: int = strawberry.field(description="Length of the prompts: other lengths are other templates.")
    position: int = strawberry.field(
        description="In these prompts, 0-based, the special first token included."
    )
    token: str | None = strawberry.field(
        description="Its text when it is the same in all of them: a word of the template. Null: a slot."
    )
    n_circuits: int = strawberry.field(description="Circuits of this length: the means are over these.")
    n_kept: int = strawberry.field(description="Of these, circuits whose graph kept the token; else it is 0.")
    mean: float = strawberry.field(description="Mean of what it gives the most probable output, signed.")
    mean_absolute: float = strawberry.field(description="Mean of the absolute value of that.")


@strawberry.type(description="Input tokens against the most probable output, averaged over a family.")
class FamilyTokens:
    n_circuits: int = strawberry.field(description="Circuits of the family.")
    n_considered: int = strawberry.field(
        description=f"Of these, circuits looked at and having an output: of the first {MOST} by id."
    )
    places: list[TemplatePlace] = strawberry.field(description="By length and position.")


@strawberry.type
class TokenQuery:
    @strawberry.field(
        description="What the tokens at each place of a family's template give the most probable output, "
        "summed over all paths of each pruned graph."
    )
    async def tokens_of_family(
        self, info: Info, family: Annotated[str, argument(description="Unknown: an error (NOT_FOUND).")]
    ) -> FamilyTokens:
        checked_text(info.context.limits, "family", family)
        await require_known(info, families=[family])
        page = await info.context.loaders.ask_page(CIRCUITS_OF_FAMILY, limit=MOST, family=family)
        found: list[tuple[FamilyCircuitRow, dict[int, float]]] = []
        for start in range(0, len(page.rows), BATCH):
            part = {row.circuit: row for row in page.rows[start : start + BATCH]}
            flows = await info.context.loaders.ask(FLOW_OF_CIRCUIT, keys=list(part))
            given = await asyncio.to_thread(_answers, flows)
            found += [
                (part[flow.key], each) for flow, each in zip(flows, given, strict=True) if each is not None
            ]
        return FamilyTokens(n_circuits=page.total, n_considered=len(found), places=_places(found))


def _answers(rows: list[FlowRow]) -> list[dict[int, float] | None]:
    return [_answer(row) for row in rows]


def _answer(row: FlowRow) -> dict[int, float] | None:
    """What the token at each position gives the most probable output; None when there is no output."""
    parts: list[LogitParts] = token_parts(row)
    if not parts:
        return None
    return {node.position: weight for node, weight in zip(tokens_of(row), parts[0].tokens, strict=True)}


def _places(found: list[tuple[FamilyCircuitRow, dict[int, float]]]) -> list[TemplatePlace]:
    by_length: dict[int, list[tuple[FamilyCircuitRow, dict[int, float]]]] = defaultdict(list)
    for row, given in found:
        by_length[len(row.tokens)].append((row, given))
    places = []
    for length, mine in sorted(by_length.items()):
        for position in range(length):
            texts = {row.tokens[position] for row, _ in mine}
            weights = [given.get(position, 0.0) for _, given in mine]
            places.append(
                TemplatePlace(
                    n_tokens=length,
                    position=position,
                    token=texts.pop() if len(texts) == 1 else None,
                    n_circuits=len(mine),
                    n_kept=sum(position in given for _, given in mine),
                    mean=fsum(weights) / len(mine),
                    mean_absolute=fsum(map(abs, weights)) / len(mine),
                )
            )
    return places
