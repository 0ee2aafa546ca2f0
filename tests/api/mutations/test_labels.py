"""Labels that people write stand beside the labels of methods."""

from schema.circuit.records import NodeKind
from tests.support.circuits import feature_id
from tests.support.writing import MINE


async def test_labels_of_people_stand_beside_the_others(writing_api):
    node = next(node for node in MINE.nodes if node.kind is NodeKind.FEATURE)
    feature = feature_id(MINE, node)
    write = """mutation ($f: ID!, $text: String!, $author: String!) {
      labelFeature(feature: $f, text: $text, author: $author) { labels { text method author } } }"""
    before = (
        await writing_api("query ($f: ID!) { feature(id: $f) { labels { text method author } } }", f=feature)
    )["feature"]["labels"]
    hostile = "x' }) MATCH (n) DETACH DELETE n //"
    for text, author in (("vowels", "ada"), ("vowels", "bob"), (hostile, "ada"), ("vowels", "ada")):
        labels = (await writing_api(write, f=feature, text=text, author=author))["labelFeature"]["labels"]
    mine = [
        {"text": text, "method": "person", "author": author}
        for text, author in (("vowels", "ada"), ("vowels", "bob"), (hostile, "ada"))
    ]
    assert sorted(labels, key=str) == sorted(before + mine, key=str)
    assert (await writing_api.error(write, f="no/0/0", text="a", author="b"))[0] == "NOT_FOUND"
    for unseen in ("a\x00b", "a\u202eb", "a\nb"):
        code, message, _ = await writing_api.error(write, f=feature, text=unseen, author="b")
        assert (code, message.startswith("text: the character U+")) == ("BAD_INPUT", True)
