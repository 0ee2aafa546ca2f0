"""Lists that are computed once for all their pages, in memory that is bounded."""

import random
from typing import Any

import orjson
import pytest

from api.request.kept_lists import PIECE, Kept, KeptLists, key_of
from api.request.limits import Limits
from schema.questions.circuits import COMPARE_EDGES, COMPARE_FEATURES
from schema.questions.question import Question
from schema.questions.sets import CONTRAST_EDGES
from schema.questions.structure import RECURRING_EFFECTS
from tests.support.choosing import of_family, of_set

COMPARED = """query ($a: ID!, $b: ID!, $first: Int, $after: String) { compareCircuits(a: $a, b: $b) {
  list: PART(first: $first, after: $after) {
    totalCount pageInfo { endCursor hasNextPage } nodes { FIELDS } } } }"""
CONTRASTED = """query ($a: CircuitSet!, $b: CircuitSet!, $first: Int, $after: String) {
  contrast(positive: $a, negative: $b) { list: PART(minCircuits: 1, first: $first, after: $after) { totalCount
  pageInfo { endCursor hasNextPage } nodes { FIELDS } } } }"""
EDGE = "source { id nCircuits } target { id }"
LISTS: dict[str, tuple[str, Question[Any], str]] = {
    "edgesOnlyInA": (COMPARED, COMPARE_EDGES, f"weightA difference {EDGE}"),
    "edgesInBoth": (COMPARED, COMPARE_EDGES, f"weightA difference {EDGE}"),
    "featuresInBoth": (COMPARED, COMPARE_FEATURES, "difference positionsA feature { id }"),
    "edges": (CONTRASTED, CONTRAST_EDGES, f"auroc meanNegative {EDGE}"),
}


def asked_of(circuits, part):
    of_arithmetic = of_family(of_set(circuits), "arithmetic")
    a, b = of_arithmetic[2].id, of_arithmetic[5].id
    return {"a": {"circuits": [a]}, "b": {"circuits": [b]}} if part == "edges" else {"a": a, "b": b}


async def pages(ask, part, first, **asked):
    """The nodes of every page, how many pages there were, and the cursor of the first one."""
    text, _, fields = LISTS[part]
    nodes: list[Any] = []
    after, n, cursors = None, 0, []
    while True:
        data = await ask(
            text.replace("PART", part).replace("FIELDS", fields), first=first, after=after, **asked
        )
        ((found),) = data.values()
        nodes, n = nodes + found["list"]["nodes"], n + 1
        after = found["list"]["pageInfo"]["endCursor"]
        cursors.append(after)
        if not found["list"]["pageInfo"]["hasNextPage"]:
            assert len(nodes) == found["list"]["totalCount"]
            return nodes, n, cursors


@pytest.mark.parametrize("part", LISTS)
async def test_a_list_is_computed_once_for_all_its_pages(api_with, circuits, part):
    asked, question = asked_of(circuits, part), LISTS[part][1]
    one_by_one = api_with(Limits(timeout_s=120, kept_bytes=0))
    expected, n, _ = await pages(one_by_one, part, 4, **asked)
    assert n > 1
    assert one_by_one.database.texts.count(question.text) == n
    one_by_one.database.texts.clear()
    kept = api_with(Limits(timeout_s=120))
    assert await pages(kept, part, 4, **asked) == (expected, n, _)
    assert kept.database.texts.count(question.text) == 1
    # Whoever begins again is told what the database holds now.
    await pages(kept, part, 4, **asked)
    assert kept.database.texts.count(question.text) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        "orderBy: WEIGHT",
        "orderBy: SHARE",
        'transcoders: ["made-up-clt"]',
        'families: ["capitals", "antonyms"], minCircuits: 2',
        'transcoders: ["made-up-clt"], families: ["arithmetic"], minCircuits: 2',
    ],
)
async def test_recurring_effects_are_computed_once_for_all_their_pages(api_with, arguments):
    """The denominators are not kept: each page counts its own."""
    text = f"""query ($first: Int, $after: String) {{
      recurringEdges({arguments}, first: $first, after: $after) {{
        totalCount pageInfo {{ endCursor hasNextPage }}
        nodes {{ nCircuits nConsidered mean sd signConsistency {EDGE} }} }} }}"""
    read: list[list[Any]] = []
    for limits in (Limits(timeout_s=120, kept_bytes=0), Limits(timeout_s=120)):
        ask = api_with(limits)
        ask.database.texts.clear()
        nodes: list[Any] = []
        after, n = None, 0
        while n == 0 or (after and n < 4):
            page = (await ask(text, first=3, after=after))["recurringEdges"]
            nodes, n = nodes + page["nodes"], n + 1
            after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        # Alone, the text is sent as it is.
        asked = sum(RECURRING_EFFECTS.text in sent for sent in ask.database.texts)
        assert asked == (n if limits.kept_bytes == 0 else 1)
        assert n > 1
        read.append(nodes)
    assert read[0] == read[1]


async def test_a_cursor_outlives_what_is_kept(api_with, circuits):
    """Another process, or the same one after a restart, computes the list again and goes on."""
    asked = asked_of(circuits, "edges")
    text = CONTRASTED.replace("PART", "edges").replace("FIELDS", LISTS["edges"][2])
    expected, _, cursors = await pages(api_with(Limits(timeout_s=120)), "edges", 5, **asked)
    other = api_with(Limits(timeout_s=120))
    other.database.texts.clear()
    for place in (1, 2):
        data = await other(text, first=5, after=cursors[place - 1], **asked)
        assert data["contrast"]["list"]["nodes"] == expected[5 * place : 5 * place + 5]
    assert other.database.texts.count(CONTRAST_EDGES.text) == 1


async def test_a_list_longer_than_what_is_read_at_once(api_with, circuits):
    asked = asked_of(circuits, "edges")
    expected, *_ = await pages(api_with(Limits(timeout_s=120)), "edges", 100, **asked)
    short = api_with(Limits(timeout_s=120, kept_rows=15))
    short.database.texts.clear()
    assert (await pages(short, "edges", 7, **asked))[0] == expected
    assert short.database.texts.count(CONTRAST_EDGES.text) == -(-len(expected) // 15)


def test_a_page_is_a_stretch_of_the_list():
    rows = [{"name": str(n), "weight": n / 3} for n in range(3 * PIECE + 7)]
    kept, rng = Kept.of({"total": 10_000, "rows": rows}), random.Random(0)
    for _ in range(200):
        skip, limit = rng.randrange(len(rows) + 20), rng.randint(1, 100)
        assert kept.rows(skip, limit) == rows[skip : skip + limit]
    assert Kept.of({"rows": []}).rows(0, 20) == []


def test_kept_entries_take_little_memory():
    rows = [{"source": f"set/{n % 7}/{n}", "target": f"set/{n % 5}/{n}", "n": n % 9} for n in range(1000)]
    kept = Kept.of({"total": 1000, "rows": rows})
    assert kept.rows(190, 500) == rows[190:690]
    assert kept.size < len(orjson.dumps(rows)) / 4


def test_memory_is_bounded_and_the_least_recently_read_goes_first():
    one = Kept.of({"rows": ["x" * 98]})
    lists = KeptLists(3 * one.size, 60)
    for name in (b"a", b"b", b"c"):
        lists.put(name, one)
    assert lists.get(b"a") == one
    lists.put(b"d", one)
    assert [name for name in (b"a", b"b", b"c", b"d") if lists.get(name)] == [b"a", b"c", b"d"]
    lists.put(b"long", Kept.of({"rows": list(range(1000))}))
    assert (lists.get(b"long"), lists.currsize) == (None, 3 * one.size)
    rng = random.Random(1)
    for n in range(300):
        lists.put(b"%d" % rng.randrange(20), Kept.of({"rows": ["x" * rng.randrange(400)]}))
        assert lists.currsize <= 3 * one.size, n


def test_a_list_expires():
    now = [0.0]
    lists = KeptLists(1000, 60, clock=lambda: now[0])
    lists.put(b"a", Kept.of({"rows": ["row"]}))
    now[0] = 59.0
    assert lists.get(b"a") is not None
    now[0] = 60.0
    assert (lists.get(b"a"), lists.currsize) == (None, 0)


def test_other_parameters_are_another_list():
    asked = {"a": "1", "b": "2"}
    assert key_of("q", asked, 0) == key_of("q", dict(reversed(asked.items())), 0)
    others = {key_of("q", {"a": "2", "b": "1"}, 0), key_of("r", asked, 0), key_of("q", asked, 20)}
    assert len(others | {key_of("q", asked, 0)}) == 4
