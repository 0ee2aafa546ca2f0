"""What notebooks show of a circuit, a feature and a comparison, in a browser and without a server."""

import html
import re

import pytest

from atlas.client import AtlasClient
from schema.circuit.records import NodeKind
from schema.errors import InputError
from tests.support.browser import ask
from tests.support.circuits import feature_id


@pytest.fixture
def client(address):
    with AtlasClient(address) as connected:
        yield connected


def test_a_circuit_draws_itself_without_a_server(client, circuits, browser):
    one = circuits[0]
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "http" in request.url else None)
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.set_content(client.circuit(one.id)._repr_html_())
    drawing = page.frame_locator("iframe")
    drawing.locator("svg").wait_for()
    kinds = [node.kind for node in one.nodes]
    assert drawing.locator("svg circle").count() == kinds.count(NodeKind.FEATURE)
    box = page.locator("iframe").bounding_box()
    for y in range(20, 400, 6):
        page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + y)
    assert drawing.locator("#said").inner_text()
    assert asked == []
    page.close()


def test_two_circuits_are_drawn_side_by_side(client, circuits, browser, address):
    a, b = circuits[0], circuits[1]
    view = client.compare(a.id, b.id)
    page = browser.new_page()
    page.set_content(view._repr_html_())
    drawing = page.frame_locator("iframe")
    drawing.locator("svg").wait_for()
    features = [n for each in (a, b) for n in each.nodes if n.kind is NodeKind.FEATURE]
    ids = [{feature_id(c, n) for n in c.nodes if n.kind is NodeKind.FEATURE} for c in (a, b)]
    alone = sum(
        feature_id(c, n) not in ids[1 - side]
        for side, c in enumerate((a, b))
        for n in c.nodes
        if n.kind is NodeKind.FEATURE
    )
    # A ring marks a feature that only one circuit has.
    assert drawing.locator("svg circle").count() == len(features) + alone
    page.close()


def test_a_feature_shows_its_circuits(client, circuits, address):
    one = circuits[0]
    feature = feature_id(one, next(n for n in one.nodes if n.kind is NodeKind.FEATURE))
    shown = client.feature(feature)._repr_html_()
    query = """query ($id: ID!) {
      feature(id: $id) { circuits(first: 15) { nodes { circuit { prompt { text } } } } } }"""
    uses = ask(address, query, {"id": feature})["feature"]["circuits"]["nodes"]
    rows = re.findall(r"<tr><td>(.*?)</td>", shown.rsplit("<table>", 1)[1])
    assert [html.unescape(row) for row in rows] == [use["circuit"]["prompt"]["text"] for use in uses]


@pytest.mark.parametrize("what", ["circuit", "feature"])
def test_an_unknown_id_says_so(client, what):
    with pytest.raises(InputError, match=f"The atlas has no {what} with the id none"):
        getattr(client, what)("none")


def test_hostile_text_stays_text(client, circuits, browser):
    view = client.circuit(circuits[0].id)
    evil = "</script><img src=x onerror=alert(1)>\u202e\"'&"
    view.data["prompt"]["text"] = evil
    view.data["graph"]["nodes"][0]["label"] = evil
    for use in view.data["features"]["nodes"]:
        use["feature"]["labels"] = [{"text": evil}]
    page = browser.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.set_content(view._repr_html_())
    page.frame_locator("iframe").locator("svg").wait_for()
    assert page.locator("img").count() == page.frame_locator("iframe").locator("img").count() == 0
    assert dialogs == []
    assert page.locator("p strong").inner_text() == evil
    page.close()
