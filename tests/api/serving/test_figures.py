"""Figures over HTTP: those of `atlas figure`, with the errors of GraphQL and of figures without content."""

import json

import pytest

from api.request.limits import Limits
from figures.all import CHARTS
from schema.errors import NotFoundError
from tests.support.api import Api


async def drawn(api: Api, name: str, **variables: object) -> tuple[int, object]:
    """Status and content of a figure as the chart itself draws GraphQL's answer."""
    chart = CHARTS[name]
    answer = await api(chart.query, **variables)
    try:
        return 200, chart.svg(answer)
    except NotFoundError as error:
        shown = {"message": error.what, "extensions": {"code": "NOT_FOUND", "nextStep": error.next_step}}
        return 404, {"data": None, "errors": [shown]}


async def test_figures_are_listed_with_their_questions(api, circuits):
    told = (await api.http.get("/figures")).json()["data"]["figures"]
    assert told == [
        {
            "name": each.name,
            "title": each.title,
            "query": each.query.strip(),
            "variables": [{"name": name, "about": about} for name, about in each.variables.items()],
        }
        for each in CHARTS.values()
    ]


@pytest.mark.parametrize("name", CHARTS)
async def test_each_figure_is_what_the_command_draws(api, circuits, name):
    status, expected = await drawn(api, name)
    svg = await api.http.get(f"/figures/{name}.svg")
    assert (svg.status_code, svg.text if status == 200 else svg.json()) == (status, expected)
    told, png = await api.http.get(f"/figures/{name}.json"), await api.http.get(f"/figures/{name}.png")
    assert (told.status_code, png.status_code) == (status, status)
    if status == 200:
        assert svg.headers["content-type"] == "image/svg+xml"
        assert told.json() == {"data": {"answer": await api(CHARTS[name].query), "svg": expected}}
        assert png.content.startswith(b"\x89PNG")


async def test_variables_choose_the_circuits(api, circuits):
    variables = {"families": ["capitals"]}
    found = await api.http.get("/figures/flow.svg", params={"variables": json.dumps(variables)})
    assert (found.status_code, found.text) == await drawn(api, "flow", **variables)
    assert found.text != (await api.http.get("/figures/flow.svg")).text


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("/figures/none.svg", 404, "NOT_FOUND", "no figure"),
        ("/figures/flow", 404, "NOT_FOUND", "no figure"),
        ("/figures/flow.html", 404, "NOT_FOUND", "no figure"),
        ("/figures/flow.svg?variables=[]", 400, "BAD_INPUT", "no JSON object"),
        ("/figures/flow.svg?variables={", 400, "BAD_INPUT", "no JSON object"),
        ('/figures/flow.svg?variables={"first":1}', 400, "BAD_INPUT", "no variable"),
        ('/figures/flow.svg?variables={"families":[[1]]}', 200, "BAD_QUERY", "families"),
    ],
)
async def test_what_is_wrong_is_refused(api, circuits, path, status, code, words):
    answer = await api.http.get(path)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (status, code)
    assert words in error["message"]


async def test_limits_and_token_are_those_of_graphql(api_with, circuits):
    busy = api_with(Limits(client_requests=0))
    answer = await busy.http.get("/figures/flow.svg")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (429, "BUSY")
    async with Api(busy.database, token="secret") as closed:
        del closed.http.headers["authorization"]
        for path in ("/figures", "/figures/flow.svg"):
            assert (await closed.http.get(path)).status_code == 401, path
