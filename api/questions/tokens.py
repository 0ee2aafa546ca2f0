"""`tokensOfFamily`: what input tokens contribute to the answer, averaged over a family by position."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from math import fsum
from typing import Annotated, NamedTuple

import strawberry
from strawberry import argument

from api.questions.considered import require_known
from api.request.batching import Info
from api.request.inputs import checked_text
from schema.circuit.flow import FlowRow
from schema.circuit.token_paths import LogitParts, token_parts, tokens_of
from schema.questions.flow import CIRCUITS_OF_FAMILY, FLOW_OF_CIRCUIT

MOST_CIRCUITS = 300
"""Circuits of a family that are looked at."""

BATCH = 50
"""Circuits that are read with one query."""


@strawberry.type(description="One position in a family's template.")
class TemplatePlace:
    n_tokens: int = strawberry.field(
        description="Length of the prompts in tokens. Prompts of another length have another template."
    )
    position: int = strawberry.field(
        description="Position in these prompts, from 0. The special first token counts."
    )
    token: str | None = strawberry.field(
        description="Text of the token when it is the same in all prompts: a word of the template. "
        "Null when it differs: a slot."
    )
    n_circuits: int = strawberry.field(
        description="Number of circuits whose prompts have this length: the means are over these."
    )
    n_kept: int = strawberry.field(
        description="Number of these circuits whose graph kept the token. "
        "In the others, its contribution counts as 0."
    )
    mean: float = strawberry.field(
        description="Mean signed contribution of the token to the most probable output, "
        "over all paths, in units of the logit."
    )
    mean_absolute: float = strawberry.field(
        description="Mean absolute value of that contribution, 0 or more."
    )


@strawberry.type(
    description="Sums over one template of a family: `tokens`, `errors`, "
    "`other` and `biasesAndPruned` sum to `total`, except for rounding. "
    "All are signed means, in units of the logit."
)
class TemplateParts:
    n_tokens: int = strawberry.field(description="Length of the prompts in tokens.")
    n_circuits: int = strawberry.field(
        description="Number of circuits whose prompts have this length: the means are over these."
    )
    tokens: float = strawberry.field(
        description="Mean contribution of all tokens: the sum of the positions' means."
    )
    errors: float = strawberry.field(description="Mean contribution of error nodes, over all paths.")
    other: float = strawberry.field(description="Mean contribution of other kinds of source nodes.")
    biases_and_pruned: float = strawberry.field(
        description="Mean contribution of the features' biases and of features' inputs that were pruned away."
    )
    total: float = strawberry.field(description="Mean of the summed inputs that pruning kept of the output.")


@strawberry.type(
    description="What input tokens contribute to the most probable output, averaged over a family."
)
class FamilyTokens:
    n_circuits: int = strawberry.field(description="Number of circuits of the family.")
    n_considered: int = strawberry.field(
        description="Number of circuits that have an output, "
        f"among the first {MOST_CIRCUITS} by id: only these are looked at."
    )
    places: list[TemplatePlace] = strawberry.field(
        description="Positions, by length of the prompts and position."
    )
    templates: list[TemplateParts] = strawberry.field(
        description="Templates by length: the sums of which the positions are parts."
    )


@strawberry.type
class TokenQuery:
    @strawberry.field(
        description="What the token at each position of a family's template "
        "contributes to the most probable output, summed over all paths of each pruned graph."
    )
    async def tokens_of_family(
        self,
        info: Info,
        family: Annotated[
            str, argument(description="Name of the family. An unknown name is an error (NOT_FOUND).")
        ],
    ) -> FamilyTokens:
        checked_text(info.context.limits, "family", family)
        await require_known(info, families=[family])
        page = await info.context.loaders.ask_page(CIRCUITS_OF_FAMILY, limit=MOST_CIRCUITS, family=family)
        found: list[_CircuitTokens] = []
        for start in range(0, len(page.rows), BATCH):
            part = {row.circuit: row for row in page.rows[start : start + BATCH]}
            flows = await info.context.loaders.ask(FLOW_OF_CIRCUIT, keys=list(part))
            given = await asyncio.to_thread(_answers, flows)
            found += [
                _CircuitTokens(part[flow.key].tokens, *each)
                for flow, each in zip(flows, given, strict=True)
                if each is not None
            ]
        lengths: dict[int, list[_CircuitTokens]] = defaultdict(list)
        for each in found:
            lengths[len(each.tokens)].append(each)
        return FamilyTokens(
            n_circuits=page.total,
            n_considered=len(found),
            places=_places(lengths),
            templates=[_template(length, mine) for length, mine in sorted(lengths.items())],
        )


class _CircuitTokens(NamedTuple):
    """The contributions of the tokens of one circuit."""

    tokens: list[str]
    """Tokens of the prompt."""
    given: dict[int, float]
    """Position of a kept token → its signed contribution to the most probable output."""
    parts: LogitParts
    """The contributions of all sources."""


def _answers(rows: list[FlowRow]) -> list[tuple[dict[int, float], LogitParts] | None]:
    return [_answer(row) for row in rows]


def _answer(row: FlowRow) -> tuple[dict[int, float], LogitParts] | None:
    """The fields `given` and `parts` of a circuit; None when it has no output."""
    parts: list[LogitParts] = token_parts(row)
    if not parts:
        return None
    kept = zip(tokens_of(row), parts[0].tokens, strict=True)
    return {node.position: weight for node, weight in kept}, parts[0]


def _template(length: int, mine: list[_CircuitTokens]) -> TemplateParts:
    def mean(values: Iterable[float]) -> float:
        return fsum(values) / len(mine)

    return TemplateParts(
        n_tokens=length,
        n_circuits=len(mine),
        tokens=mean(weight for each in mine for weight in each.parts.tokens),
        errors=mean(each.parts.errors for each in mine),
        other=mean(each.parts.other for each in mine),
        biases_and_pruned=mean(each.parts.biases_and_pruned for each in mine),
        total=mean(each.parts.total for each in mine),
    )


def _places(lengths: dict[int, list[_CircuitTokens]]) -> list[TemplatePlace]:
    places = []
    for length, mine in sorted(lengths.items()):
        for position in range(length):
            texts = {each.tokens[position] for each in mine}
            weights = [each.given.get(position, 0.0) for each in mine]
            places.append(
                TemplatePlace(
                    n_tokens=length,
                    position=position,
                    token=texts.pop() if len(texts) == 1 else None,
                    n_circuits=len(mine),
                    n_kept=sum(position in each.given for each in mine),
                    mean=fsum(weights) / len(mine),
                    mean_absolute=fsum(map(abs, weights)) / len(mine),
                )
            )
    return places
