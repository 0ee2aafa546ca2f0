"""The circuits that a question considers (its denominator), and the check that named things exist."""

import asyncio
from collections.abc import Sequence

from api.request.batching import Info, Later
from api.request.inputs import CircuitSet, SourceConditions, checked_list, tags_needed
from api.types.considered import Considered, MixedSetting, mixed_of
from schema.errors import NotFoundError
from schema.questions.circuits import CONSIDERED, UNKNOWN
from schema.questions.runs import SETS_NAMED

MIXED = (
    "Whether the circuits have different settings, such as transcoder set or thresholds; `mixed` names them. "
    "If so, something may be absent from a circuit only because its pruning was stricter, "
    "or because its transcoder set does not have it."
)
"""Description of `mixedSettings`."""

WHAT_IS_MIXED = "The settings in which the circuits differ, with their values. Empty when they are equal."
"""Description of `mixed`."""


async def require_known(
    info: Info, *, given: SourceConditions | None = None, **names: list[str] | None
) -> None:
    """Checks that the database has these circuits, features, families, tags and sources.

    names: lists under the keys circuits, features, families and tags.
    given: each value must be that of a circuit.
    Raises NotFoundError, which names what is missing.
    """
    asked = {kind: names.get(kind) or [] for kind in ("circuits", "features", "families", "tags")}
    given = given or SourceConditions()
    if not any(asked.values()) and not given.names_source:
        return
    unknown = await info.context.loaders.ask(UNKNOWN, **asked, **given.source)
    if unknown:
        listed = ", ".join(f"{row.kind} {row.name[:80]!r}" for row in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise NotFoundError(
            f"The database has no {listed}{more}",
            next_step="ask `families`, `circuits` or `features` for what exists, or leave the name out",
        )


async def set_ids(info: Info, names: Sequence[str] | None) -> list[str] | None:
    """The ids of transcoder sets, each given by its id or its name; None for no condition.

    A name can mean several sets, of different revisions. Raises NotFoundError for a name without a set, and
    what `checked_list` raises.
    """
    wanted = checked_list(info.context.limits, "transcoders", names)
    if wanted is None:
        return None
    rows = await info.context.loaders.ask(SETS_NAMED, names=wanted)
    if unknown := [name for name in wanted if name not in {row.name for row in rows}]:
        raise NotFoundError(
            f"The database has no transcoder set {unknown[0][:80]!r}",
            next_step="take an id from `circuits { nodes { transcoders { id } } }`, or leave it out",
        )
    return sorted({row.transcoders for row in rows})


async def consider(
    info: Info, among: CircuitSet | None, *, transcoders: list[str] | None = None, ids: bool = True
) -> Considered:
    """The circuits of a set.

    among: None for all circuits.
    transcoders: only circuits made with one of these transcoder sets; None: with any.
    ids: whether to read the circuits' ids as well, which takes time when the set is large.
    Raises NotFoundError when the set names a circuit, family, tag, transcoder set or source that the database
    does not have.
    """
    limits, given = info.context.limits, among or CircuitSet()
    if given.transcoders is not None:
        named = await set_ids(info, given.transcoders)
        transcoders = [each for each in named or () if transcoders is None or each in transcoders]
    circuits = checked_list(limits, "circuits", given.circuits)
    families = checked_list(limits, "families", given.families)
    tags = checked_list(limits, "tags", given.tags)
    asked = info.context.loaders.ask(
        CONSIDERED,
        circuits=circuits,
        families=families,
        tags=tags or [],
        min_tags=tags_needed(tags, given.tag_mode),
        transcoders=transcoders,
        **given.source,
        ids=ids,
    )
    if families or tags or given.names_source:
        rows, _ = await asyncio.gather(
            asked, require_known(info, given=given, circuits=circuits, families=families, tags=tags)
        )
        return Considered.of(rows)
    found = Considered.of(await asked)
    if found.n_circuits < len(circuits or ()):
        await require_known(info, circuits=circuits)
    return found


async def counted_and_ids(
    info: Info, among: CircuitSet | None, transcoders: list[str]
) -> tuple[Later[Considered], list[str] | None]:
    """The denominator, and the ids of its circuits; None: all circuits.

    Where the set is not narrowed, the circuits are counted later, beside the list itself. Raises what
    `consider` raises.
    """
    if among is None:
        return Later(lambda: consider(info, None, transcoders=transcoders, ids=False)), None
    considered = await consider(info, among, transcoders=transcoders)

    async def counted() -> Considered:
        return considered

    return Later(counted), considered.ids


def mixed(*sets: Considered) -> list[MixedSetting]:
    """The settings in which the circuits of all sets together differ."""
    return mixed_of(each for considered in sets for each in considered.settings)
