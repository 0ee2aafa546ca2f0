"""Prompts are tagged and put into families, and doing so twice changes nothing."""

from schema.upkeep.check import check
from tests.support.writing import CIRCUITS


async def test_prompts_are_tagged(writing_api):
    read = "query ($id: ID!) { circuit(id: $id) { prompt { id tags } } }"
    prompt = (await writing_api(read, id=CIRCUITS[1].id))["circuit"]["prompt"]
    write = "mutation ($p: [ID!]!, $t: [String!]!) { tagPrompts(prompts: $p, tags: $t) { id tags } }"
    for _ in range(2):
        tags = ["new", " `SET n.x = 1", "new"]
        (tagged,) = (await writing_api(write, p=[prompt["id"]], t=tags))["tagPrompts"]
        assert tagged == {"id": prompt["id"], "tags": sorted({*prompt["tags"], "new", "`SET n.x = 1"})}
    assert (await writing_api.error(write, p=[prompt["id"], "none"], t=["other"]))[0] == "NOT_FOUND"
    assert (await writing_api(read, id=CIRCUITS[1].id))["circuit"]["prompt"] == tagged


async def test_a_prompt_has_no_more_tags_than_the_limit(writing_api):
    read = "query ($id: ID!) { circuit(id: $id) { prompt { id tags } } }"
    prompt = (await writing_api(read, id=CIRCUITS[2].id))["circuit"]["prompt"]
    write = "mutation ($p: [ID!]!, $t: [String!]!) { tagPrompts(prompts: $p, tags: $t) { id } }"
    room = 100 - len(prompt["tags"])
    await writing_api(write, p=[prompt["id"]], t=[f"t{n}" for n in range(room)])
    code, message, _ = await writing_api.error(write, p=[prompt["id"]], t=["t0", "one more"])
    assert (code, message) == (
        "OVER_LIMIT",
        f"The prompt {prompt['id']} would have 101 tags; the limit is 100",
    )
    tags = (await writing_api(read, id=CIRCUITS[2].id))["circuit"]["prompt"]["tags"]
    assert (len(tags), "one more" in tags) == (100, False)


async def test_prompts_are_put_into_a_family(writing_api, connection):
    write = """mutation ($p: [ID!]!, $family: String) {
      setFamily(prompts: $p, family: $family) { id family } }"""
    read = "{ families { name nPrompts nCircuits } }"
    prompts = [circuit.prompt.id for circuit in CIRCUITS[1:]]
    before = await writing_api(read)
    for _ in range(2):
        moved = (
            await writing_api(
                write,
                p=prompts,
                family=" new ",
            )
        )["setFamily"]
        assert moved == [{"id": each, "family": "new"} for each in prompts]
    assert {"name": "new", "nPrompts": 2, "nCircuits": 2} in (await writing_api(read))["families"]
    assert list(check(connection)) == []
    for circuit in CIRCUITS[1:]:
        await writing_api(write, p=[circuit.prompt.id], family=circuit.prompt.family)
    assert await writing_api(read) == before
    (out,) = (await writing_api(write, p=prompts[:1], family=None))["setFamily"]
    assert out == {"id": prompts[0], "family": None}
    await writing_api(write, p=prompts[:1], family=CIRCUITS[1].prompt.family)
    assert (await writing_api.error(write, p=["none"], family="new"))[0] == "NOT_FOUND"
    assert (await writing_api.error(write, p=prompts, family=" "))[0] == "BAD_INPUT"
    assert (await writing_api.error(write, p=prompts))[0] == "BAD_INPUT"
    assert list(check(connection)) == []
