"""The explorer with hostile text, a slow or busy server, a server that goes and comes back, and a token."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from api.request.limits import Limits
from atlas.local.server import Address
from atlas.serving.api_server import serving
from atlas.settings import Settings
from schema.annotations.labels import label_feature
from schema.circuit.records import Circuit, NodeKind
from schema.database import Database
from schema.loading.load import load_circuit
from tests.support.browser import PATIENCE_S, Visitor
from tests.support.circuits import RUN, feature_id, synthetic_circuits
from tests.support.servers import empty, environment_of, free_port

HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "\u202eright to left\u202c \u2067שלום עולם\u2069",
    "${7*7} {{7*7}} `rm` &lt;b&gt; \" ' \\",
    "x" * 10_000,
    '=HYPERLINK("http://evil")',
]
TOKEN = "a-token-of-tests"
Serve = Callable[..., AbstractContextManager[str]]
"""Serves the database: `with serve(port=…, token=…, limits=…) as url`."""


@pytest.fixture(scope="module")
def hostile(connection: Database) -> list[Circuit]:
    """Circuits whose prompts, tags, tokens, labels and supernodes are hostile text."""
    empty(connection)
    made = []
    for text, plain in zip(HOSTILE, synthetic_circuits(len(HOSTILE), seed=3), strict=True):
        prompt = replace(
            plain.prompt,
            text=text,
            tokens=(text[:400], *plain.prompt.tokens[1:]),
            family="<b>family</b>",
            tags=("<i>tag</i>",),
            pair=None,
        )
        made.append(replace(plain, prompt=prompt))
        load_circuit(connection, made[-1], RUN)
        features = [n for n in made[-1].nodes if n.kind is NodeKind.FEATURE]
        label_feature(connection, feature_id(made[-1], features[0]), text, "<u>me</u>")
    connection.wait_for_full_text()
    return made


@pytest.fixture(scope="module")
def serve(server: Address, hostile: list[Circuit], tmp_path_factory: pytest.TempPathFactory) -> Serve:
    home: Path = tmp_path_factory.mktemp("home")
    settings = Settings.load({"ATLAS_HOME": str(home)} | environment_of(server))
    return lambda port=None, **options: serving(settings, port=port or free_port(), **options)


@pytest.fixture
def visitor(browser: Browser, serve: Serve) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of servers of their own."""
    with ExitStack() as stack:

        def make(**options: object) -> Visitor:
            base = stack.enter_context(serve(**options)).removesuffix("/graphql")
            context = stack.enter_context(browser.new_context(viewport={"width": 1366, "height": 800}))
            made.append(Visitor(context.new_page(), base))
            return made[-1]

        made: list[Visitor] = []
        yield make
        for each in made:
            assert each.complaints == []


def test_text_from_outside_is_never_markup(visitor, hostile):
    visit = visitor()
    dialogs: list[str] = []
    visit.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    one = hostile[0]
    feature = feature_id(one, next(n for n in one.nodes if n.kind is NodeKind.FEATURE))
    paths = ["/", "/circuits", "/search?text=%3Cscript%3E", f"/compare/{one.id}/{hostile[1].id}"]
    paths += [f"/circuit/{each.id}?feature={feature}" for each in hostile]
    paths += [f"/feature/{feature}", "/contrast?a=tag:%3Ci%3Etag%3C/i%3E&b=family:%3Cb%3Efamily%3C/b%3E"]
    for path in paths:
        page = visit.open(path)
        assert page.locator("script[src*='explorer']").count() == page.locator("script").count()
        assert page.locator("main img, main b, main i, main u, main table script").count() == 0, path
        for width in (1366, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
        # No text of a prompt is repeated at full length: the longest one has 10 000 characters.
        assert page.evaluate("document.documentElement.scrollHeight") < 30_000, path
        page.set_viewport_size({"width": 1366, "height": 800})
    page = visit.open("/circuits")
    for text in HOSTILE[:3]:
        assert page.get_by_text(text, exact=True).count() >= 1, text
    assert dialogs == []


def test_a_busy_server_is_asked_again(visitor):
    """One query runs and none waits, so the second panel of the first page is refused at first."""
    visit = visitor(limits=Limits(running=1, waiting=0))
    refused = []
    visit.page.on("response", lambda r: refused.append(r.status) if r.status == 429 else None)
    for _ in range(10):
        visit.open("/", ready=False)
        page = visit.page
        page.get_by_role("region", name="Runs and jobs").get_by_role("table").wait_for()
        page.get_by_role("region", name="Families of prompts").get_by_role("table").wait_for()
        assert page.get_by_role("alert").count() == 0
        if refused:
            break
    assert refused


def test_a_slow_server_leaves_the_page_usable(visitor, hostile):
    visit = visitor()
    visit.open("/circuits")
    page = visit.page
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 1500, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Words of the prompt").fill("right")
    page.get_by_role("button", name="Filter").click()
    page.locator("section[aria-busy=true]").first.wait_for()
    # The old rows stay until the new ones are there, and the form keeps what was typed.
    assert page.get_by_role("table").count() == 1
    assert page.get_by_label("Words of the prompt").input_value() == "right"
    visit.ready()
    assert len(visit.table("1 circuit")) == 1


def test_a_server_that_dies_and_returns(browser, serve, hostile):
    port = free_port()
    context = browser.new_context()
    with serve(port=port) as url:
        visit = Visitor(context.new_page(), url.removesuffix("/graphql"))
        page = visit.open(f"/circuit/{hostile[0].id}")
    stage = page.get_by_role("application")
    visit.panel("Strongest features").locator("button.link").first.click()
    page.get_by_role("alert").first.wait_for()
    assert "does not answer" in page.get_by_role("alert").first.inner_text()
    assert stage.is_visible()  # what was drawn stays
    with serve(port=port):
        page.get_by_role("alert").first.wait_for(state="detached")
        visit.ready()
        page.get_by_role("region", name="Circuits that share it").get_by_role("table").wait_for()
    assert visit.complaints == []
    context.close()


def test_with_a_token_one_reads_and_writes(visitor, hostile, connection):
    visit = visitor(token=TOKEN)
    visit.open("/", ready=False)
    page = visit.page
    page.get_by_role("alert").first.wait_for()
    assert "token" in page.get_by_role("alert").first.inner_text()
    page.get_by_text("Token", exact=True).click()
    page.get_by_label("Token of the server").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("alert").first.wait_for(state="detached")
    visit.ready()
    one = hostile[2]
    feature = feature_id(one, next(n for n in one.nodes if n.kind is NodeKind.FEATURE))
    visit.open(f"/feature/{feature}")
    page.get_by_text("Label it").click()
    page.get_by_label("Label", exact=True).fill("a <b>new</b> label")
    page.get_by_label("Your name").fill("ada")
    page.keyboard.press("Enter")
    page.get_by_text("The label is stored.").wait_for()
    page.locator("td", has_text="a <b>new</b> label").wait_for()
    visit.open(f"/circuit/{one.id}?view=supernodes")
    page.get_by_text("Tag it").click()
    page.get_by_label("Tags").fill("seen, again")
    page.keyboard.press("Enter")
    page.get_by_text("Tagged.").wait_for()
    (row,) = connection.read(
        "MATCH (:Circuit {id: $id})-[:OF_PROMPT]->(p)-[:TAGGED]->(t:Tag) RETURN collect(t.name) AS tags",
        {"id": one.id},
    )
    assert {"seen", "again"} <= set(row["tags"])
    page.get_by_text("Group and name").click()
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_label("Your name").last.fill("ada")
    options = page.get_by_label("Features (several").locator("option")
    chosen = [options.nth(n).get_attribute("value") for n in range(2)]
    page.get_by_label("Features (several").select_option(chosen)
    page.get_by_role("button", name="Store").last.click()
    page.get_by_text("The supernode is stored.").wait_for()
    rows = connection.read("MATCH (s:Supernode {label: 'mine'})-[:GROUPS]->(n) RETURN collect(n.id) AS nodes")
    assert sorted(rows[0]["nodes"]) == sorted(chosen)


def test_a_requested_circuit_is_watched(visitor, hostile, connection):
    visit = visitor(token=TOKEN)
    page = visit.open("/request", ready=False)
    page.get_by_text("Token", exact=True).click()
    page.get_by_label("Token of the server").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_label("Prompt").last.fill("one and one is")
    page.get_by_label("Your name").fill("ada")
    page.get_by_role("button", name="Request").click()
    page.get_by_text("queued").first.wait_for()
    job = page.url.rsplit("/", 1)[1]
    # A worker would write this. The page hears of it through the subscription.
    connection.write(
        "MATCH (j:Job {id: $id}) SET j.state = 'failed', j.error = 'no <b>model</b>'", {"id": job}
    )
    page.get_by_text("no <b>model</b>").first.wait_for(timeout=PATIENCE_S * 1000)
    assert page.get_by_role("status").filter(has_text="failed").count() == 1
