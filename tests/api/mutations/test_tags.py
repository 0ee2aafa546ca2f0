"""Prompts are tagged, and tagging twice changes nothing."""

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
