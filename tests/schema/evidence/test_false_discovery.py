"""q-values against their definition, and pages of claims against all claims corrected at once."""

from random import Random

import httpx2
import pytest

from api.app import create_app
from schema.database import AsyncDatabase, Database
from schema.evidence.claims import ClaimOutcome, ClaimStatement, keep_claim
from schema.evidence.false_discovery import q_values


def defined(ps: list[float]) -> list[float]:
    """Benjamini and Hochberg, one p-value after the other."""
    return [
        min(1.0, *(p * len(ps) / sum(other <= p for other in ps) for p in ps if p >= mine)) for mine in ps
    ]


@pytest.mark.parametrize("n", [0, 1, 2, 60])
def test_q_values_are_those_of_the_definition(n: int) -> None:
    random = Random(n)
    # Few different values, so that many are equal.
    ps = [random.randrange(1, 21) / 20 for _ in range(n)]
    assert q_values(ps).tolist() == pytest.approx(defined(ps))


ASKED = """query ($families: [String!], $ids: [ID!], $survived: Boolean, $first: Int, $after: String) {
  claims(families: $families, ids: $ids, survived: $survived, first: $first, after: $after) {
    totalCount pageInfo { endCursor hasNextPage } nodes { id p q nMeasured survived predicted effect } } }
"""


async def test_pages_of_claims_are_corrected_for_all_claims(
    database: Database, async_database: AsyncDatabase
) -> None:
    random = Random(4)
    database.write("CREATE (:Family {name: 'pi'}), (:Family {name: 'e'})")
    kept = {}
    for number in range(37):
        family = random.choice(["pi", "e"])
        statement = ClaimStatement(
            *((f"ablate 1/{number}@all",), "set", "bundled", "bundled", ("c",), family),
            *("nothing", None, None, 99, 0),
        )
        predicted = random.choice([None, -1.0, 1.0])
        outcome = ClaimOutcome(
            predicted, random.choice([-2.0, 2.0]), 0.0, 1.0, random.randrange(1, 40) ** 3 / 64_000
        )
        keep_claim(database, statement, outcome, ())
        kept[statement.id] = (family, outcome)
    qs = dict(zip(kept, defined([outcome.p for _, outcome in kept.values()]), strict=True))
    expected = [
        {
            "id": id_,
            "p": outcome.p,
            "q": pytest.approx(qs[id_]),
            "nMeasured": 37,
            "survived": (outcome.predicted or 0) * outcome.effect > 0 and qs[id_] <= 0.05,
            "predicted": outcome.predicted,
            "effect": outcome.effect,
        }
        for id_, (_, outcome) in sorted(kept.items(), key=lambda each: (each[1][1].p, each[0]))
    ]
    survivors = [each for each in expected if each["survived"]]
    assert 0 < len(survivors) < 37
    api = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=create_app(async_database)), base_url="http://localhost"
    )

    async def ask(**variables: object) -> dict:
        found = (await api.post("/graphql", json={"query": ASKED, "variables": variables})).json()
        return found["data"]["claims"]

    async with api:
        pages, after = [], None
        while True:
            page = await ask(first=10, after=after)
            assert page["totalCount"] == 37
            pages += page["nodes"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert pages == expected
        assert await ask(survived=True, first=100) == {
            "totalCount": len(survivors),
            "pageInfo": {
                "endCursor": (await ask(survived=True))["pageInfo"]["endCursor"],
                "hasNextPage": False,
            },
            "nodes": survivors,
        }
        failed = [each for each in expected if not each["survived"]]
        assert (await ask(survived=False, first=100))["nodes"] == failed
        of_pi = [each for each in expected if kept[str(each["id"])][0] == "pi"]
        assert (await ask(families=["pi"], first=100))["nodes"] == of_pi
        one = expected[20]
        assert (await ask(ids=[one["id"], "nowhere"]))["nodes"] == [one]
