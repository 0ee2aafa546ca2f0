"""Every view of the explorer in a real browser: by address, mouse and keyboard, against GraphQL."""

import csv
import io
import json
import re
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from playwright.sync_api import Request

from figures.all import CHARTS
from schema.circuit.records import Circuit, NodeKind
from tests.support.api import OTHER_SET
from tests.support.browser import Visitor, ask
from tests.support.circuits import feature_id

FIRST = """{ circuits(first: 100) { nodes { prompt { text } } } }"""


def saved(visit: Visitor, panel: str, kind: str) -> str:
    """The text of a file that a panel saves."""
    box = visit.panel(panel)
    box.get_by_label(f"Save {panel}", exact=True).click()
    with visit.page.expect_download() as waiting:
        box.get_by_role("button", name=kind, exact=True).click()
    path = waiting.value.path()
    return path.read_bytes().decode("utf-8", "replace")


def some_circuit(circuits: list[Circuit]) -> Circuit:
    """A circuit with a pair, of the larger set."""
    return next(c for c in circuits if c.prompt.pair and c.transcoders.name != OTHER_SET.name)


def views(circuits: list[Circuit]) -> dict[str, str]:
    """Every view by name, with an address."""
    one = some_circuit(circuits)
    other = next(c for c in circuits if c.prompt.pair == one.prompt.pair and c.id != one.id)
    feature = feature_id(one, next(n for n in one.nodes if n.kind is NodeKind.FEATURE))
    return {
        "start": "/",
        "search": "/search?text=state",
        "circuits": "/circuits",
        "circuit": f"/circuit/{one.id}",
        "pinned": f"/circuit/{one.id}?feature={quote(feature, safe='')}",
        "supernodes": f"/circuit/{one.id}?view=supernodes",
        "feature": f"/feature/{quote(feature, safe='')}",
        "compare": f"/compare/{one.id}/{other.id}",
        "choose": f"/compare/{one.id}",
        "contrast": "/contrast?a=family:capitals&b=family:arithmetic",
        "modules": "/modules",
        "evidence": "/evidence",
        "request": "/request",
    }


def question(request: Request) -> dict[str, Any] | None:
    """The query and variables that a request of the page asks."""
    path = urlsplit(request.url).path
    if path.startswith("/figures/"):
        name = path.removeprefix("/figures/").removesuffix(".json")
        return {
            "query": CHARTS[name].query,
            "variables": json.loads(parse_qs(urlsplit(request.url).query)["variables"][0]),
        }
    return json.loads(request.post_data) if request.post_data and "query" in request.post_data else None


NAMES = ("start", "search", "circuits", "circuit", "pinned", "supernodes", "feature", "compare", "choose")
MORE = ("contrast", "modules", "evidence", "request")


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_every_view_opens_by_its_address_and_is_accessible(visit, circuits, name):
    page = visit.open(views(circuits)[name])
    assert page.title().endswith("Circuit atlas")
    assert page.locator("h1").count() == 1
    assert page.get_by_role("alert").count() == 0 or name in ("feature",)
    assert visit.accessibility() == []
    if name in ("start", "pinned", "contrast"):
        page.emulate_media(color_scheme="dark")
        assert visit.accessibility() == []
        page.set_viewport_size({"width": 390, "height": 844})
        assert visit.accessibility() == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than a phone"


def test_every_panel_has_the_query_behind_it(visit, circuits, address):
    """The Query button opens GraphiQL with the text and variables that were asked."""
    for name in ("start", "pinned", "compare", "choose", "contrast", "evidence"):
        asked: list[Any] = []
        visit.page.on("request", lambda request, asked=asked: asked.append(question(request)))
        page = visit.open(views(circuits)[name])
        bodies = [body for body in asked if body]
        links = page.get_by_role("link", name=re.compile("^Query of")).all()
        assert links
        for link in links:
            href = link.get_attribute("href") or ""
            text, _, variables = href.removeprefix("/graphql#").partition("&variables=")
            given = json.loads(unquote(variables)) if variables else {}
            same = [b for b in bodies if b["query"].split() == unquote(text).split()]
            assert any(b["variables"] == given for b in same), (name, unquote(text))
            ask(address, unquote(text), given)


def test_graphiql_opens_with_query_and_variables(visit, circuits):
    page = visit.open(views(circuits)["feature"])
    href = visit.panel("Meaning").get_by_role("link", name="Query of Meaning").get_attribute("href")
    page.goto(visit.base + href)
    page.locator(".graphiql-query-editor .CodeMirror").wait_for()
    text = page.evaluate(
        "[...document.querySelectorAll('.CodeMirror')].map((each) => each.CodeMirror.getValue()).join('|')"
    )
    assert "query feature($id: ID!)" in text
    assert '"id": "made-up-clt' in text
    visit.complaints.clear()  # GraphiQL's own page is not the explorer.


def test_start_shows_the_families_and_leads_to_them(visit, circuits, address):
    page = visit.open("/")
    families = ask(address, "{ families { name nPrompts nCircuits } }")["families"]
    rows = visit.table("Families of prompts")
    assert [row[:3] for row in rows] == [
        [f["name"], str(f["nPrompts"]), str(f["nCircuits"])] for f in families
    ]
    assert page.locator("h1").inner_text() == f"{len(circuits)} circuits of {len(families)} families"
    visit.panel("Families of prompts").get_by_role("link", name="capitals").click()
    visit.ready()
    assert page.url.endswith("/circuits?family=capitals")
    page.go_back()
    page.get_by_role("heading", name=f"{len(circuits)} circuits").wait_for()


def test_the_table_filters_sorts_and_turns_pages(visit, circuits, address):
    page = visit.open("/circuits")
    told = {row[1] for row in visit.table(f"{len(circuits)} circuits")}
    asked = ask(address, FIRST)["circuits"]["nodes"]
    assert told == {" ".join(node["prompt"]["text"].split()) for node in asked}
    page.get_by_label("Family").first.select_option("capitals")
    visit.ready()
    capitals = [c for c in circuits if c.prompt.family == "capitals"]
    assert len(visit.table(f"{len(capitals)} circuits")) == len(capitals)
    page.get_by_label("Order").select_option("ERROR_SHARE")
    visit.ready()
    assert "order=ERROR_SHARE" in page.url
    assert "family=capitals" in page.url
    query = '{ circuits(filter: {families: "capitals"}, orderBy: ERROR_SHARE) { nodes { id } } }'
    ids = [node["id"][:8] for node in ask(address, query)["circuits"]["nodes"]]
    assert [row[-1] for row in visit.table(f"{len(capitals)} circuits")] == ids
    page.reload()
    visit.ready()
    assert [row[-1] for row in visit.table(f"{len(capitals)} circuits")] == ids
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Compare the two").click()
    visit.ready()
    assert "/compare/" in page.url


def test_saved_files_hold_what_graphql_answers(visit, circuits, address):
    one = some_circuit(circuits)
    visit.open(f"/circuit/{one.id}?nodes=1&edges=1")
    graph = ask(
        address,
        "query ($id: ID!) { circuit(id: $id) { graph { nodes { id kind } sources targets weights } } }",
        {"id": one.id},
    )["circuit"]["graph"]
    told = json.loads(saved(visit, "Circuit", "JSON"))["circuit"]["graph"]
    assert [(n["id"], n["kind"]) for n in told["nodes"]] == [(n["id"], n["kind"]) for n in graph["nodes"]]
    assert {name: told[name] for name in ("sources", "targets", "weights")} == {
        name: graph[name] for name in ("sources", "targets", "weights")
    }
    rows = list(csv.DictReader(io.StringIO(saved(visit, "Circuit", "CSV"))))
    assert {row["id"] for row in rows} == {n["id"] for n in graph["nodes"]}
    svg = saved(visit, "Circuit", "SVG")
    features = sum(n["kind"] == "FEATURE" for n in graph["nodes"])
    assert svg.count("<circle ") == features
    curves = sum(len(re.findall("M", d)) for d in re.findall(r'<path d="([^"]*)"', svg))
    assert curves == len(graph["weights"])
    assert saved(visit, "Circuit", "PNG").startswith("\ufffdPNG")


def test_a_circuit_by_mouse_and_keyboard(visit, circuits):
    one = some_circuit(circuits)
    page = visit.open(f"/circuit/{one.id}?nodes=1&edges=1")
    stage = page.get_by_role("application")
    box = stage.bounding_box()
    tip = page.locator(".tip")
    for x in range(60, int(box["width"]), 12):  # along the row of the answers
        page.mouse.move(box["x"] + x, box["y"] + 22)
        if tip.count() and tip.inner_text().startswith("\u2068answer"):
            break
    else:
        pytest.fail("no answer under the pointer")
    page.mouse.down()
    page.mouse.up()
    visit.panel("Pinned node").wait_for()
    assert "node=logit" in unquote(page.url)
    page.keyboard.press("Escape")
    visit.panel("Pinned node").wait_for(state="detached")
    stage.focus()
    page.keyboard.press("ArrowUp")  # the first key goes to the answer
    page.keyboard.press("i")
    told = page.locator("[aria-live=polite]").inner_text()
    page.keyboard.press("Enter")
    panel = visit.panel("Pinned node")
    panel.wait_for()
    assert told
    before = page.evaluate("document.querySelector('.stage').__zoom.k")
    page.keyboard.press("+")
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelector('.stage').__zoom.k") > before
    page.keyboard.press("0")
    page.go_back()
    page.go_forward()
    panel.wait_for()


def test_pointing_draws_only_what_follows_the_pointer(visit, circuits):
    """The whole graph is drawn again for the sliders and the zoom, not for each node under the pointer."""
    visit.page.add_init_script(
        """const clear = CanvasRenderingContext2D.prototype.clearRect;
        CanvasRenderingContext2D.prototype.clearRect = function (...given) {
          this.canvas.drawings = (this.canvas.drawings ?? 0) + 1;
          return clear.apply(this, given);
        };"""
    )
    one = some_circuit(circuits)
    for path in (f"/circuit/{one.id}", views(circuits)["compare"]):
        page = visit.open(path)
        page.wait_for_timeout(300)  # the zoom of the first drawing has come to rest
        box = page.get_by_role("application").bounding_box()
        drawings = "[...document.querySelectorAll('.stage canvas')].map((each) => each.drawings)"
        base, top = page.evaluate(drawings)
        told = set()
        for n in range(80):
            page.mouse.move(box["x"] + 70 + n * 9 % (box["width"] - 80), box["y"] + 40 + n * 31 % 300)
            told |= set(page.locator(".tip").all_inner_texts())
        assert len(told) > 2
        after = page.evaluate(drawings)
        assert after[0] == base
        assert after[1] > top
        page.get_by_role("button", name="Zoom in").click()
        visit.until(f"{drawings}[0] > {base}")


def test_sliders_keep_less_and_the_address_says_so(visit, circuits):
    one = some_circuit(circuits)
    page = visit.open(f"/circuit/{one.id}?nodes=1&edges=1")
    count = page.locator(".sliders .quiet").last
    everything = count.inner_text()
    assert everything.startswith(f"{len(one.nodes)} of {len(one.nodes)} nodes")
    page.get_by_role("slider", name="Nodes").focus()
    for _ in range(60):
        page.keyboard.press("ArrowLeft")
    fewer = count.inner_text()
    assert int(fewer.split()[0]) < len(one.nodes)
    assert re.search(r"nodes=0\.4\d*", page.url)
    page.reload()
    visit.ready()
    assert count.inner_text() == fewer


def test_a_feature_leads_to_the_circuits_that_share_it(visit, circuits, address):
    one = some_circuit(circuits)
    query = """query ($id: ID!) {
      circuit(id: $id) { features(first: 50) { nodes { feature { id nCircuits } } } } }"""
    uses = ask(address, query, {"id": one.id})["circuit"]["features"]["nodes"]
    shared = max(uses, key=lambda use: use["feature"]["nCircuits"])["feature"]["id"]
    page = visit.open(f"/circuit/{one.id}?feature={quote(shared, safe='')}")
    panel = visit.panel("Circuits that share it")
    sharing = ask(
        address,
        """query ($id: ID!) { feature(id: $id) {
          circuits(first: 12) { nodes { circuit { id prompt { text } } } } } }""",
        {"id": shared},
    )["feature"]["circuits"]["nodes"]
    texts = [" ".join(use["circuit"]["prompt"]["text"].split()) for use in sharing]
    assert [row[0].removesuffix(" (this circuit)") for row in visit.table("Circuits that share it")] == texts
    other = next(use["circuit"] for use in sharing if use["circuit"]["id"] != one.id)
    panel.locator(f"a[href^='/circuit/{other['id']}']").click()
    visit.ready()
    assert f"/circuit/{other['id']}" in page.url
    visit.panel("Pinned node").wait_for()
    visit.panel("Circuits that share it").get_by_text("(this circuit)").wait_for()


def test_supernodes_open_into_features(visit, circuits, address):
    query = """query ($id: ID!) {
      circuit(id: $id) { supernodes(first: 50) { nodes { id label members { id } } } } }"""
    for one in circuits:
        groups = ask(address, query, {"id": one.id})["circuit"]["supernodes"]["nodes"]
        if any(len(group["members"]) > 1 for group in groups):
            break
    page = visit.open(f"/circuit/{one.id}?view=supernodes&nodes=1&edges=1")
    assert [row[0] for row in visit.table("Supernodes")] == [group["label"] for group in groups]
    count = page.locator(".sliders .quiet").last
    before = int(count.inner_text().split()[0])
    members = len({m["id"] for g in groups for m in g["members"]})
    buttons = visit.panel("Supernodes").get_by_role("button", name="Open", exact=True)
    for _ in groups:
        buttons.first.click()
    ends = sum(n.kind in (NodeKind.TOKEN, NodeKind.LOGIT) for n in one.nodes)
    assert before < ends + members
    assert int(count.inner_text().split()[0]) == ends + members


def test_two_circuits_say_what_differs(visit, circuits, address):
    page = visit.open(views(circuits)["compare"])
    _, _, a, b = page.url.removeprefix(visit.base).split("/")
    found = ask(
        address,
        """query ($a: ID!, $b: ID!) { compareCircuits(a: $a, b: $b) {
             featuresOnlyInA(first: 25) { totalCount nodes { feature { id } } } featuresOnlyInB { totalCount }
             featuresInBoth { totalCount } edgesFlipped { totalCount } } }""",
        {"a": a, "b": b},
    )["compareCircuits"]
    text = visit.panel("Differences").inner_text()
    for title, name in (
        ("Only in A", "featuresOnlyInA"),
        ("Only in B", "featuresOnlyInB"),
        ("In both", "featuresInBoth"),
        ("Flipped effects", "edgesFlipped"),
    ):
        assert re.search(rf"{title} .*\b{found[name]['totalCount']} (feature|effect)", text), title
    listed = [row[0].split()[-1] for row in visit.table("Differences", 0)]
    ids = [node["feature"]["id"] for node in found["featuresOnlyInA"]["nodes"]]
    assert listed == ["/".join(each.split("/")[-2:]) for each in ids]
    svg = saved(visit, "Side by side", "SVG")
    assert svg.count("<circle ") > 0
    page.get_by_role("button", name="Swap").click()
    visit.ready()
    assert page.url.endswith(f"/compare/{b}/{a}")


def test_on_a_phone_two_circuits_take_turns_at_the_same_places(visit, circuits):
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    visit.open(views(circuits)["compare"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tabs = page.get_by_role("group", name="Which circuit is drawn").get_by_role("button")
    assert [each.get_attribute("aria-pressed") for each in tabs.all()] == ["true", "false"]
    tabs.nth(1).click()
    assert page.url.endswith("side=b")
    page.reload()
    visit.ready()
    assert [each.get_attribute("aria-pressed") for each in tabs.all()] == ["false", "true"]
    # Shared features stand at one place, so that what changes between the two drawings is what differs.
    a, b = urlsplit(page.url).path.split("/")[2:]
    places = page.evaluate(
        """async ([query, ids]) => {
          const { readGraph, keep, layOut, paneAlone } = await import("/explorer/drawing.js");
          const found = await Promise.all(ids.map(async (id) => (await (await fetch("/graphql", {
            method: "POST", headers: {"content-type": "application/json"},
            body: JSON.stringify({query, variables: {id}}) })).json()).data.circuit));
          const graphs = found.map((each) => readGraph(each.graph, each.prompt.displayTokens));
          const held = graphs.map((graph) => new Set(graph.nodes.map((node) => node.feature)));
          const shared = (node) => node.feature && held.every((each) => each.has(node.feature));
          const layout = layOut(graphs, graphs.map((graph) => keep(graph).nodes), { shared });
          return graphs.map((graph, g) => {
            const pane = paneAlone(layout, g).panes[0];
            return graph.nodes.map((node, i) => [shared(node) ? `${node.feature}@${node.position}` : null,
              pane.x[i], pane.y[i]]).filter((each) => each[0]);
          });
        }""",
        [
            """query ($id: ID!) { circuit(id: $id) { prompt { displayTokens } graph {
               nodes { id kind layer position influence token probability feature label }
               sources targets weights } } }""",
            [a, b],
        ],
    )
    first, second = ({name: (round(x, 6), round(y, 6)) for name, x, y in each} for each in places)
    both = first.keys() & second.keys()
    assert both
    assert {name: first[name] for name in both} == {name: second[name] for name in both}


def test_a_pinned_node_comes_into_sight(visit, circuits):
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    one = max(circuits, key=lambda each: len(each.prompt.tokens))
    nodes = sorted(one.nodes, key=lambda n: n.position)
    first = next(n for n in nodes if n.kind is NodeKind.FEATURE)
    visit.open(f"/circuit/{one.id}?nodes=1&edges=1&feature={quote(feature_id(one, first), safe='')}")
    visit.panel("Pinned node").wait_for()
    visit.until("document.querySelector('.stage').__zoom.k > 0")
    stage = page.get_by_role("application")
    box = stage.bounding_box()
    assert box is not None
    # The ring of the pinned node is the only mark in the colour of the focus.
    x, y = page.evaluate(
        """() => {
          const canvas = document.querySelectorAll(".stage canvas")[1], to = canvas.getContext("2d");
          const { data, width } = to.getImageData(0, 0, canvas.width, canvas.height);
          const sums = [0, 0, 0];
          for (let i = 0; i < data.length; i += 4)
            if (data[i] === 17 && data[i + 1] === 20 && data[i + 2] === 24 && data[i + 3] === 255) {
              sums[0] += (i / 4) % width; sums[1] += Math.floor(i / 4 / width); sums[2]++;
            }
          const ratio = canvas.width / canvas.clientWidth;
          return sums[2] ? [sums[0] / sums[2] / ratio, sums[1] / sums[2] / ratio] : [-1, -1];
        }"""
    )
    assert 60 <= x <= box["width"]
    assert 0 <= y <= box["height"]


def test_a_figure_is_the_one_of_the_command(visit, circuits, address):
    page = visit.open("/evidence?figure=tokens")
    panel = visit.panel("Figures")
    panel.locator("img").wait_for()
    panel.get_by_label("Family").select_option("capitals")
    visit.ready()
    assert page.url.endswith("figure=tokens&family=capitals")
    visit.until("document.querySelector('img.figure').naturalWidth > 100")
    chart = CHARTS["tokens"]
    answer = ask(address, chart.query, {"filter": {"families": ["capitals"]}})
    assert json.loads(saved(visit, "Figures", "JSON")) == answer
    assert saved(visit, "Figures", "SVG") == chart.svg(answer)
    (circuit,) = answer["circuits"]["nodes"]
    under = "circuits.nodes.tokenAttribution.outputs"
    assert [
        (row["circuits.nodes.prompt.text"], row[f"{under}.logit"], float(row[f"{under}.tokens.weight"]))
        for row in csv.DictReader(io.StringIO(saved(visit, "Figures", "CSV")))
    ] == [
        (circuit["prompt"]["text"], output["logit"], token["weight"])
        for output in circuit["tokenAttribution"]["outputs"]
        for token in output["tokens"]
    ]
    panel.locator("select").first.select_option("claims")
    panel.get_by_text("There is nothing to draw: the ledger has no claim").wait_for()
    assert panel.locator("p.quiet code").first.inner_text() == "atlas intervene --keep"
    visit.failed_loads = 0


def test_two_sets_are_ranked_with_both_denominators(visit, circuits, address):
    visit.open(views(circuits)["contrast"])
    found = ask(
        address,
        """{ sharedFeatures(families: ["capitals"], minCircuits: 2,
             absentFrom: {families: ["arithmetic"], maxCircuits: 1000000}, orderBy: P_VALUE,
             first: 25) { nodes { nCircuits nConsidered nCircuitsOutside
             nConsideredOutside qValue feature { id } } } }""",
    )["sharedFeatures"]["nodes"]
    rows = visit.table("Features by contrast")
    assert [row[0].split()[-1] for row in rows] == [
        "/".join(n["feature"]["id"].split("/")[-2:]) for n in found
    ]
    for row, node in zip(rows, found, strict=True):
        assert row[1].startswith(f"{node['nCircuits']} of {node['nConsidered']}")
        assert row[2].startswith(f"{node['nCircuitsOutside']} of {node['nConsideredOutside']}")
        assert float(row[4]) == pytest.approx(node["qValue"], rel=0.01)
    cell = visit.panel("Heatmap").locator("td a").first
    cell.focus()
    visit.page.keyboard.press("Enter")
    visit.ready()
    assert "/circuit/" in visit.page.url
    visit.panel("Pinned node").wait_for()


def test_search_finds_what_graphql_finds_and_leads_to_circuits(visit, address):
    page = visit.open("/")
    box = page.get_by_role("searchbox", name="Search prompts, tokens, labels and supernodes")
    box.fill("state")
    box.press("Enter")
    visit.ready()
    found = ask(address, '{ search(text: "state", first: 20) { totalCount nodes { text } } }')["search"]
    texts = page.locator("section.panel section h3").all_inner_texts()
    assert [" ".join(t.split()) for t in texts] == [" ".join(n["text"].split()) for n in found["nodes"]]


def test_without_a_token_writing_says_why_it_cannot(visit, circuits):
    page = visit.open("/request")
    assert page.get_by_role("button", name="Request").is_disabled()
    assert page.get_by_text("Writing needs a token").count() == 1
    page = visit.open(views(circuits)["pinned"])
    page.get_by_text("Label it").click()
    assert page.locator("details.write[open]").get_by_text("Writing needs a token").is_visible()


def test_an_unknown_address_and_unknown_ids_say_so(visit):
    for path in ("/circuit/none", "/feature/none", "/compare/none/none", "/job/none"):
        page = visit.open(path)
        assert page.get_by_text("The atlas has no", exact=False).count() == 1, path
    visit.failed_loads = 0


def test_the_path_of_a_newcomer(visit, circuits, address):
    """From the first page to a circuit, its strongest feature, another circuit with it, and the pair."""
    one = some_circuit(circuits)
    page = visit.open("/")
    box = page.get_by_role("searchbox", name="Search prompts, tokens, labels and supernodes")
    box.fill(one.prompt.text)
    box.press("Enter")
    visit.ready()
    page.locator(f"a[href='/circuit/{one.id}']").first.click()
    visit.ready()
    assert page.title().startswith(one.prompt.text[:60])
    visit.panel("Strongest features").locator("button.link").first.click()
    visit.ready()
    links = visit.panel("Circuits that share it").locator("a[href^='/circuit/']")
    others = [each.get_attribute("href") for each in links.all()]
    assert others
    links.first.click()
    visit.ready()
    visit.panel("Pinned node").wait_for()
    assert one.id not in page.url
    page.go_back()
    visit.ready()
    visit.panel("Compare with").locator("a[href^='/compare/']").first.click()
    visit.ready()
    pair = {c.id for c in circuits if c.prompt.pair == one.prompt.pair} - {one.id}
    assert urlsplit(page.url).path in {f"/compare/{one.id}/{other}" for other in pair}
    visit.panel("Differences").get_by_role("table").first.wait_for()
