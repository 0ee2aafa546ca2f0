"""Fixtures of the API's tests: a database of made-up circuits, and the API over HTTP on top of it."""

import math
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, Self

import httpx2
import pytest

from api.app import create_app
from api.request.limits import Limits
from atlas.local.server import Address
from atlas.serving.api_server import serving
from atlas.settings import Settings
from schema.circuit.records import Circuit
from schema.database import AsyncDatabase, Database, Parameters, Rows
from schema.loading.load import load_circuit
from tests.support.circuits import RUN, TRANSCODERS, synthetic_circuits
from tests.support.servers import environment_of, free_port

OTHER_SET = replace(TRANSCODERS, name="made-up-plt", kind="plt")


def some_circuits() -> list[Circuit]:
    """24 circuits of equal settings, one of them again with other thresholds, and four with another set."""
    plain = synthetic_circuits(24, seed=5)
    others = [replace(circuit, transcoders=OTHER_SET) for circuit in synthetic_circuits(4, seed=6)]
    stricter = replace(plain[0], node_threshold=0.6, nodes=plain[0].nodes, labels=())
    return [*plain, stricter, *others]


class CountingDatabase(AsyncDatabase):
    """Counts the queries that reach the database, by their text."""

    def __init__(self, driver: Any, uri: str) -> None:
        super().__init__(driver, uri)
        self.texts: list[str] = []

    @property
    def queries(self) -> int:
        return len(self.texts)

    async def read(self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None) -> Rows:
        self.texts.append(text)
        return await super().read(text, parameters, timeout_s=timeout_s)


class Api:
    """The API of one test, asked over HTTP. `async with` closes it."""

    def __init__(
        self,
        database: AsyncDatabase,
        limits: Limits | None = None,
        *,
        token: str | None = None,
        writer: Database | None = None,
    ) -> None:
        """token: the API asks for it, and every request carries it; writer: what mutations write to."""
        self.database = database
        self.app = create_app(database, limits=limits, token=token, writer=writer)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app),
            base_url="http://localhost",
            headers={"authorization": f"Bearer {token}"} if token else None,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def answer(self, query: str, **variables: object) -> dict[str, Any]:
        """The whole body of the answer."""
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    async def __call__(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of an answer without errors."""
        body = await self.answer(query, **variables)
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    async def error(self, query: str, **variables: object) -> tuple[str, str, str | None]:
        """Code, message and next step of the only error of an answer."""
        (error,) = (await self.answer(query, **variables))["errors"]
        return error["extensions"]["code"], error["message"], error["extensions"].get("nextStep")


@pytest.fixture(scope="module")
def circuits(connection: Database) -> list[Circuit]:
    """What the database holds; the tests only read it, so modules in a row share it."""
    made = some_circuits()
    held = {row["id"] for row in connection.read("MATCH (c:Circuit) RETURN c.id AS id")}
    if held != {circuit.id for circuit in made}:
        connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
        for circuit in random.Random(0).sample(made, len(made)):
            load_circuit(connection, circuit, RUN)
        connection.wait_for_full_text()
    return made


@pytest.fixture
async def api_with(server: Address, circuits: list[Circuit]) -> AsyncIterator[Callable[[Limits | None], Api]]:
    """Makes an API with the limits given."""
    database = await CountingDatabase.connect(server.bolt_uri, server.user, server.password)
    assert isinstance(database, CountingDatabase)
    made: list[Api] = []

    def make(limits: Limits | None = None) -> Api:
        made.append(Api(database, limits))
        return made[-1]

    yield make
    for api in made:
        await api.http.aclose()
    await database.close()


@pytest.fixture(scope="module")
def address(
    server: Address, circuits: list[Circuit], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of `circuits` served over HTTP, as patiently as by `api`."""
    home = {"ATLAS_HOME": str(tmp_path_factory.mktemp("home"))}
    settings = Settings.load(home | environment_of(server))
    with serving(settings, port=free_port(), limits=Limits(timeout_s=120.0)) as url:
        yield url


class Near(float):
    """Equals any number that differs by no more than the order of a summation can make it differ."""

    __hash__ = float.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float) and math.isclose(self, other, rel_tol=1e-9, abs_tol=1e-12)


@pytest.fixture
def near() -> Callable[[Any], Any]:
    """Makes the numbers in an expected answer `Near`."""

    def near(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: near(each) for key, each in value.items()}
        if isinstance(value, list):
            return [near(each) for each in value]
        return Near(value) if isinstance(value, float) else value

    return near


@pytest.fixture
def api(api_with: Callable[[Limits | None], Api]) -> Api:
    """The API as it is served, but patient: the machine that runs the tests may have other things to do."""
    return api_with(Limits(timeout_s=120.0))
