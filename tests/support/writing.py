"""The API with a token, on three circuits that tests may change."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn

from api.app import create_app
from api.request.limits import Limits
from atlas.local.server import Address
from schema.database import AsyncDatabase, Database
from schema.loading.load import load_circuit
from tests.support.api import Api
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.servers import empty, free_port

TOKEN = "a-token-of-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
CIRCUITS = synthetic_circuits(3, seed=9)
MINE = CIRCUITS[0]


@pytest.fixture
async def writing_api(server: Address, connection: Database, held: None) -> AsyncIterator[Api]:
    """The API on `held`; every request carries the token."""
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    async with Api(database, token=TOKEN, writer=connection) as api:
        yield api
    await database.close()


@pytest.fixture(scope="module")
def held(connection: Database) -> Iterator[None]:
    """Three circuits; each test writes to parts of its own."""
    empty(connection)
    for circuit in CIRCUITS:
        load_circuit(connection, circuit, RUN)
    connection.wait_for_full_text()
    yield
    empty(connection)


REQUEST = """mutation ($prompts: [PromptInput!]!, $author: String!) {
  requestCircuits(prompts: $prompts, author: $author) {
    id state nPrompts nDone prompts askedBy attempts circuits { totalCount } } }"""


@pytest.fixture
async def served(
    server: Address, connection: Database, held: None
) -> AsyncIterator[tuple[str, uvicorn.Server, asyncio.Task[None]]]:
    """The URI of a real server for sockets, the server, and the task that runs it."""
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    app = create_app(database, token=TOKEN, writer=connection, limits=Limits(sockets=2))
    port = free_port()
    config = uvicorn.Config(
        *(app, "127.0.0.1", port), log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=5
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{port}/graphql", running, task
    running.should_exit = True
    await task
    await database.close()
