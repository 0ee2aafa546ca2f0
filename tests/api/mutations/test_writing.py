"""Who may write over HTTP: only requests with the token, and never by GET."""

from schema.database import AsyncDatabase
from tests.support.api import Api
from tests.support.writing import REQUEST


async def test_without_a_token_nobody_writes_and_everybody_reads(server, connection, held):
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    async with Api(database, writer=connection) as plain:
        code, message, _ = await plain.error(REQUEST, prompts=[{"prompt": "a"}], author="me")
        assert (code, "without a token" in message) == ("TOKEN_NEEDED", True)
        assert (await plain('{ jobs { totalCount } job(id: "x") { id } }')) == {
            "jobs": {"totalCount": 0},
            "job": None,
        }
    await database.close()


async def test_with_a_token_only_those_who_carry_it_write_and_never_by_get(writing_api):
    ask = {"query": 'mutation { deleteRun(id: "x") { existed } }'}
    assert (
        await writing_api.http.post("/graphql", json=ask, headers={"authorization": "Bearer x"})
    ).status_code == 401
    assert (await writing_api.http.get("/graphql", params=ask)).status_code == 400
