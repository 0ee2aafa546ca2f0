"""The check of schema changes, on changes made by hand; and options of `atlas serve`."""

import subprocess
import sys

import pytest

from api.app import sdl
from api.changes import changes
from schema.errors import InputError
from tests.support.paths import HOME

OLD = (
    "type Query { hubs(first: Int): [String!]! feature(id: ID!, n: Int): String all(id: ID): Int } "
    "enum By { DEGREE }"
)


@pytest.mark.parametrize(
    ("old", "new", "breaking"),
    [
        ("feature(id: ID!, n: Int): String", "", "Field Query.feature was removed."),
        (
            "feature(id: ID!",
            "feature(id: ID!, set: ID!",
            "A required argument Query.feature(set:) was added.",
        ),
        ("hubs(first: Int)", "hubs", "Argument Query.hubs(first:) was removed."),
        ("[String!]!", "[String!]", "Field Query.hubs changed type from [String!]! to [String!]."),
        ("enum By { DEGREE }", "", "By was removed."),
    ],
)
def test_what_breaks_is_named(old, new, breaking):
    assert changes(OLD, OLD.replace(old, new)) == ([breaking], [])


def test_what_only_adds_breaks_nothing():
    assert changes(OLD, OLD) == ([], [])
    assert changes(OLD, OLD.replace("hubs(", "news: Int hubs(")) == ([], [])
    assert changes(OLD, OLD.replace("DEGREE", "DEGREE FREQUENCY")) == (
        [],
        ["Enum value By.FREQUENCY was added."],
    )


def test_a_pool_that_is_too_small_is_refused(cli_without_database):
    done = cli_without_database("serve", "--running", "8", "--connections", "8")
    assert isinstance(done.error, InputError)
    assert "--connections 8 is too few for --running 8" in str(done.error)


def test_no_schema_is_named():
    with pytest.raises(InputError, match="This is not a GraphQL schema: Syntax Error"):
        changes("type {", OLD)


@pytest.mark.parametrize(
    ("text", "code", "last"),
    [
        (sdl(), 0, "0 breaking changes and 0 dangerous changes"),
        (
            sdl().replace("type Query {", "type Query {\n  gone: Int\n"),
            1,
            "1 breaking change and 0 dangerous changes",
        ),
        ("", 2, ""),
    ],
    ids=["equal", "a field less", "empty"],
)
def test_the_command(text, code, last):
    done = subprocess.run(
        [sys.executable, "-m", "api.changes"],
        input=text,
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (code, [last] if last else [])
    assert ("error: This is not a GraphQL schema" in done.stderr) == (code == 2)
