"""The explorer on an empty atlas, and on one that holds something of every kind, against GraphQL."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from api.request.limits import Limits
from atlas.local.server import Address
from atlas.serving.api_server import serving
from atlas.settings import Settings
from schema.annotations.modules import ModuleSettings, compute
from schema.database import Database
from tests.support.browser import Visitor, ask
from tests.support.everything import fill
from tests.support.servers import empty, environment_of, free_port


@pytest.fixture(scope="module")
def base(server: Address, connection: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a served atlas; the first test finds it empty."""
    empty(connection)
    settings = Settings.load({"ATLAS_HOME": str(tmp_path_factory.mktemp("home"))} | environment_of(server))
    with serving(settings, port=free_port(), limits=Limits(timeout_s=120.0)) as url:
        yield url.removesuffix("/graphql")


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[Visitor]:
    with browser.new_context(viewport={"width": 1366, "height": 800}) as context:
        visitor = Visitor(context.new_page(), base)
        yield visitor
        assert visitor.complaints == []


@pytest.fixture(scope="module")
def filled(connection: Database, base: str) -> str:
    """The address of GraphQL, after something of every kind was stored."""
    empty(connection)
    fill(connection)
    compute(connection, ModuleSettings(n_null=2, min_circuits=1))
    connection.wait_for_full_text()
    return f"{base}/graphql"


def words(rows: list[list[str]]) -> set[str]:
    return {cell for row in rows for cell in row}


def test_an_empty_atlas_says_how_to_fill_it(visit):
    page = visit.open("/")
    assert page.locator("h1").inner_text() == "This atlas is empty"
    for command in ("atlas ingest", "atlas import", "atlas demo"):
        assert page.locator("code", has_text=command).count() == 1, command
    for path in ("/circuits", "/contrast", "/modules", "/evidence", "/request", "/search?text=anything"):
        page = visit.open(path)
        assert page.get_by_role("alert").count() == 0, path
        assert visit.accessibility() == [], path
    visit.failed_loads = 0


def test_evidence_shows_every_measurement(visit, filled):
    visit.open("/evidence")
    found = ask(
        filled,
        """{ hypotheses { question edits } claims { nodes { edits family nCircuits } }
             diagnostics(minShare: 0.01, level: 0.05) { families { family nTested } }
             flowStages { stages { stage inputs { source } } } }""",
    )
    assert [row[:2] for row in visit.table("Hypotheses")] == [
        [each["question"], " ".join(each["edits"])] for each in found["hypotheses"]
    ]
    assert [row[:3] for row in visit.table("Claims")] == [
        [" ".join(each["edits"]), each["family"], str(each["nCircuits"])] for each in found["claims"]["nodes"]
    ]
    assert [(row[0], row[2]) for row in visit.table("How well graphs predict")][:-1] == [
        (each["family"], str(each["nTested"])) for each in found["diagnostics"]["families"] if each["nTested"]
    ]
    stages = found["flowStages"]["stages"]
    assert [row[0] for row in visit.table("Where influence flows")] == [each["stage"] for each in stages]
    heads = visit.panel("Where influence flows").locator("th").all_inner_texts()
    assert heads[2:] == [f"from {each['source']}" for each in stages[0]["inputs"]]
    for name in ("hypotheses", "claims", "diagnostics", "modules"):
        visit.open(f"/evidence?figure={name}")
        visit.until("document.querySelector('img.figure')?.naturalWidth > 100")
    assert visit.accessibility() == []


def test_modules_are_those_of_graphql(visit, filled):
    page = visit.open("/modules")
    found = ask(
        filled,
        "{ modules(strongest: 6, first: 20) { totalCount nodes { number strongest { feature { id } } } } }",
    )["modules"]
    cards = page.locator("section.panel section.panel")
    assert cards.locator("h3").all_inner_texts() == [f"Module {each['number']}" for each in found["nodes"]]
    for card, module in zip(cards.all(), found["nodes"], strict=True):
        assert card.locator("code").all_inner_texts() == [
            "/".join(each["feature"]["id"].split("/")[-2:]) for each in module["strongest"]
        ]
    first = found["nodes"][0]["strongest"][0]["feature"]["id"]
    cards.first.locator("a.feature-link").first.focus()
    page.keyboard.press("Enter")
    visit.ready()
    assert page.locator("h1").inner_text().endswith("/".join(first.split("/")[-2:]))


def test_jobs_lead_to_their_circuits(visit, filled):
    page = visit.open("/request")
    (job,) = ask(filled, "{ jobs { nodes { id state circuits { nodes { id } } } } }")["jobs"]["nodes"]
    assert visit.table("Jobs")[0][2] == job["state"].lower()
    visit.panel("Jobs").get_by_role("link").last.click()
    visit.ready()
    assert page.url.endswith(f"/job/{job['id']}")
    circuit = job["circuits"]["nodes"][0]["id"]
    page.locator(f"a[href='/circuit/{circuit}']").click()
    visit.ready()
    # A person's grouping opens into its features.
    page.get_by_role("button", name="Supernodes").click()
    page.get_by_label("Grouping").select_option("person")
    visit.ready()
    assert "theirs" in words(visit.table("Supernodes"))
