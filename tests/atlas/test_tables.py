"""GraphQL answers as tables."""

from io import StringIO

from rich.console import Console

from atlas.commands.hypotheses import COLUMNS
from atlas.tables import Rows, print_rows, show, tables


def test_a_connection_is_one_table():
    data = {
        "features": {
            "totalCount": 2,
            "pageInfo": {"hasNextPage": False},
            "edges": [
                {"cursor": "a", "node": {"id": "s/0/1", "label": {"text": "x"}, "families": ["f", "g"]}},
                {"cursor": "b", "node": {"id": "s/0/2", "label": None, "families": []}},
            ],
        }
    }
    assert tables(data) == [
        Rows("features", ["totalCount"], [[2]]),
        Rows(
            "features.rows",
            ["id", "label.text", "families"],
            [["s/0/1", "x", ["f", "g"]], ["s/0/2", None, []]],
        ),
    ]


def test_an_object_is_a_row_and_its_lists_are_tables():
    data = {"circuit": {"id": "c", "prompt": {"text": "t"}, "nodes": [{"layer": 1}, {"layer": 2}]}}
    assert tables(data) == [
        Rows("circuit", ["id", "prompt.text"], [["c", "t"]]),
        Rows("circuit.nodes", ["layer"], [[1], [2]]),
    ]


def test_scalars_and_nothing():
    assert tables({"n": 3, "none": None}) == [Rows("n", ["value"], [[3]]), Rows("none", ["value"], [[None]])]


def test_a_list_of_objects_in_a_row_is_one_cell():
    data = {
        "rows": [
            {"id": 1, "uses": [{"position": 2, "influence": 0.12345}, {"position": 3, "influence": 1.0}]}
        ]
    }
    assert tables(data) == [Rows("rows", ["id", "uses"], [[1, "2 0.1235; 3 1"]])]


def test_show():
    assert [show(v) for v in (None, True, False, 0.000123456, [1, 2.5], "x")] == [
        "", "yes", "no", "0.0001235", "1, 2.5", "x",
    ]  # fmt: skip


def test_an_id_is_never_folded():
    """Somebody will copy it."""
    key = "f09488cad804eeff8b56"
    out = StringIO()
    rows = Rows("jobs", ["key", "error"], [[key, "so many words that a line cannot hold them"]])
    print_rows(Console(file=out, width=50), rows)
    assert key in out.getvalue()


def test_words_are_folded_only_where_nothing_else_helps():
    rows = Rows("studies", ["study", "asks"], [["chain-of-thought", "is every step of it computed"]])
    for width, whole in ((60, True), (40, True), (24, False)):
        out = StringIO()
        print_rows(Console(file=out, width=width), rows)
        assert ("chain-of-thought" in out.getvalue()) is whole, width
        assert max(map(len, out.getvalue().splitlines())) <= width


def test_the_list_of_hypotheses_fits_a_terminal():
    rows = Rows("", COLUMNS, [["f09488cad804eeff8b56", "does it? (lowers)", 12, -0.841, -0.145, 0.005, True]])
    out = StringIO()
    print_rows(Console(file=out, width=80), rows)
    assert all(heading in out.getvalue() for heading in COLUMNS)
