"""Downloads: every list, every format, equal to the records and to what GraphQL answers; errors; limits."""

import csv
import io
import tracemalloc
from typing import Any

import httpx2
import orjson
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.app import create_app
from api.downloads.lists import DOWNLOADS
from api.request.limits import Limits
from schema.circuit.records import NodeKind
from schema.questions.question import Question, row_of, stream_async, stream_columns
from tests.support.circuits import feature_id, uses
from tests.support.paths import HOME


async def rows_of(api, name, params=(), formats=("jsonl", "csv", "parquet", "arrow")):
    """The rows of a download in these formats, which must agree."""
    found = {}
    for ending in formats:
        answer = await api.http.get(f"/export/{name}.{ending}", params=params)
        assert answer.status_code == 200, (name, answer.text)
        found[ending] = answer.content
    rows = [orjson.loads(line) for line in found["jsonl"].splitlines()]
    if formats == ("jsonl",):
        return rows
    columns = DOWNLOADS[name].schema.names
    table = pq.read_table(io.BytesIO(found["parquet"]))
    assert table.schema.remove_metadata() == DOWNLOADS[name].schema
    assert table.to_pylist() == rows
    assert pa.ipc.open_stream(found["arrow"]).read_all().to_pylist() == rows
    text = list(csv.reader(io.StringIO(found["csv"].decode())))
    assert text[0] == columns
    assert [dict(zip(columns, line, strict=True)) for line in text[1:]] == [
        {name: cell(value) for name, value in row.items()} for row in rows
    ]
    return rows


def cell(value):
    """A value as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, list):
        return orjson.dumps(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else pa_number(value)


def pa_number(value):
    import pyarrow.csv as pa_csv

    sink = io.BytesIO()
    pa_csv.write_csv(pa.table({"x": [value]}), sink)
    return sink.getvalue().decode().splitlines()[1]


def arguments(circuits):
    """A call of every download."""
    a, b = circuits[0], circuits[2]
    features = sorted({feature for _, feature in uses(circuits[:1])})
    popular = max(features, key=lambda name: sum(feature == name for _, feature in uses(circuits)))
    sets = [("positive.families", "capitals"), ("negative.families", "antonyms")]
    both = [("a", a.id), ("b", b.id)]
    given = {
        "circuits": [("filter.families", "capitals"), ("orderBy", "ERROR_SHARE")],
        "features": [("minCircuits", "2")],
        "circuitsSharing": [("features", each) for each in features[:3]] + [("mode", "ANY")],
        "sharedFeatures": [("families", "capitals"), ("minCircuits", "3"), ("orderBy", "P_VALUE")],
        "similarCircuits": [("circuit", a.id)],
        "recurringEdges": [("minCircuits", "2"), ("signConsistency", "0.5")],
        "paths": [
            ("from.token", a.prompt.tokens[1]),
            ("to.logit", a.answer.token),
            ("inCircuits.circuits", a.id),
            ("minWeight", "0"),
        ],
        "motifs": [("minSupport", "2")],
        "drivesLogit": [("tokens", "something else"), ("tokenIds", "7")],
        "search": [("text", "word")],
    }
    for path in DOWNLOADS:
        head = path.partition(".")[0]
        if head == "contrast":
            given[path] = [*sets, ("minCircuits", "1")]
        elif head == "compareCircuits":
            given[path] = both
        elif head == "circuit":
            given[path] = [("id", a.id)]
        elif head == "feature":
            given[path] = [("id", popular)]
        elif path == "errorAudit.untrusted":
            given[path] = [("maxErrorShare", "0.1")]
    return given


LISTS = tuple(DOWNLOADS)


@pytest.mark.parametrize("path", LISTS)
async def test_every_list(api, circuits, path):
    given = arguments(circuits).get(path, [])
    rows = await rows_of(api, path, given, ("jsonl",))
    listed = (await api.http.get("/export")).json()["questions"]
    (about,) = (each for each in listed if each["name"] == path)
    assert {key for key, _ in given} <= {each["name"] for each in about["arguments"]}
    assert about["about"]
    assert rows or path.startswith("compareCircuits.")


async def test_the_edges_of_a_circuit(api, circuits):
    circuit = circuits[0]
    ids = [f"{circuit.id}/{node.key}" for node in circuit.nodes]
    none: dict[str, list[object]] = {"heads": [], "head_weights": []}
    parts: dict[tuple[str, str], dict[str, list[object]]] = {}
    for part in circuit.head_parts:
        carried = parts.setdefault((part.source, part.target), {"heads": [], "head_weights": []})
        carried["heads"].append(f"{part.layer}/{part.head}")
        carried["head_weights"].append(part.weight)
    edges = sorted(
        (
            {
                "source": ids[e.source],
                "target": ids[e.target],
                "weight": e.weight,
                "share": e.share,
                **parts.get((circuit.nodes[e.source].key, circuit.nodes[e.target].key), none),
            }
            for e in circuit.edges
        ),
        key=lambda row: (-abs(row["weight"]), row["source"], row["target"]),
    )
    assert await rows_of(api, "circuit.edges", {"id": circuit.id}) == edges
    logits = [e for e in edges if "/logit:" in e["target"]]
    assert await rows_of(api, "circuit.edges", {"id": circuit.id, "targetKind": "LOGIT"}) == logits


async def test_the_nodes_of_a_circuit(api, circuits):
    circuit = circuits[1]
    rows = await rows_of(api, "circuit.nodes", {"id": circuit.id})
    assert {row["id"]: (row["kind"], row["layer"], row["activation"], row["feature"]) for row in rows} == {
        f"{circuit.id}/{node.key}": (
            node.kind.value,
            node.layer,
            node.activation,
            feature_id(circuit, node) if node.kind is NodeKind.FEATURE else None,
        )
        for node in circuit.nodes
    }


async def test_circuits_come_with_their_prompts(api, circuits):
    rows = await rows_of(api, "circuits")
    assert {
        row["id"]: (row["error_share"], row["prompt_text"], row["prompt_family"], row["prompt_tags"])
        for row in rows
    } == {c.id: (c.error_share, c.prompt.text, c.prompt.family, sorted(c.prompt.tags)) for c in circuits}


SHARED = {
    "n_circuits": "nCircuits",
    "n_considered": "nConsidered",
    "mean_influence": "meanInfluence",
    "n_circuits_outside": "nCircuitsOutside",
    "n_considered_outside": "nConsideredOutside",
    "lift": "lift",
    "p_value": "pValue",
    "q_value": "qValue",
}


@pytest.mark.parametrize("order", ["LIFT", "P_VALUE", "INFLUENCE"])
async def test_shared_features_are_those_of_graphql(api, circuits, order):
    data = await api(
        """query ($order: SharedOrder!) {
          sharedFeatures(families: ["capitals"], minCircuits: 2, orderBy: $order, first: 100) {
            totalCount nodes {
            nCircuits nConsidered meanInfluence nCircuitsOutside nConsideredOutside lift pValue qValue
            feature { id } } } }""",
        order=order,
    )
    found = data["sharedFeatures"]
    rows = await rows_of(api, "sharedFeatures", {"families": "capitals", "orderBy": order})
    assert len(rows) == found["totalCount"] > 5
    assert [(r["feature"], *(r[ours] for ours in SHARED)) for r in rows[:100]] == [
        (n["feature"]["id"], *(n[theirs] for theirs in SHARED.values())) for n in found["nodes"]
    ]


async def test_what_features_do_in_the_circuits_that_share_them(api, circuits):
    features = sorted({feature for _, feature in uses(circuits[:1])})[:4]
    rows = await rows_of(
        api, "circuitsSharing", [("mode", "ANY"), *(("features", each) for each in features)]
    )
    expected = {key: use for key, use in uses(circuits).items() if key[1] in features}
    assert {
        (r["circuit"], r["feature"]): (r["influence"], r["activation"], r["positions"]) for r in rows
    } == {key: tuple(use) for key, use in expected.items()}


@pytest.mark.parametrize(
    ("name", "status", "code", "says"),
    [
        ("nothing.csv", 404, "NOT_FOUND", "no download 'nothing.csv'"),
        ("hubs.xlsx", 404, "NOT_FOUND", "cannot be had as 'xlsx'"),
        ("hubs", 404, "NOT_FOUND", "as what"),
        ("hubs.csv?bye=1", 400, "BAD_INPUT", "no argument 'bye'"),
        ("hubs.csv?first=1", 400, "BAD_INPUT", "no argument 'first'"),
        ("hubs.csv?by=NOTHING", 400, "BAD_QUERY", "NOTHING"),
        ("hubs.csv?minCircuits=two", 400, "BAD_INPUT", "is no Int"),
        ("hubs.csv?minCircuits=0", 400, "BAD_INPUT", "too small"),
        ("hubs.csv?minCircuits=1&minCircuits=2", 400, "BAD_INPUT", "2 times"),
        ("hubs.csv?dense=maybe", 400, "BAD_INPUT", "is no Boolean"),
        ("circuit.edges.csv", 400, "BAD_INPUT", "needs id"),
        ("circuit.edges.csv?id=none", 404, "NOT_FOUND", "no circuit id=none"),
        ("sharedFeatures.csv?circuits=none", 404, "NOT_FOUND", "circuit 'none'"),
        ("sharedFeatures.csv?families=none", 404, "NOT_FOUND", "family 'none'"),
        ("paths.csv?from.token=a&to.token=b&to.logit=b", 400, "BAD_QUERY", "PathEnd"),
        ("paths.csv?from.token=a", 400, "BAD_QUERY", "PathEnd"),
        ("contrast.features.csv?positive.tags=easy&negative.tags=easy", 400, "BAD_INPUT", "both in"),
    ],
)
async def test_errors_say_what_to_do(api, name, status, code, says):
    answer = await api.http.get(f"/export/{name}")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (status, code), error
    assert says in error["message"]
    assert error["extensions"]["nextStep"]


async def test_a_list_may_be_longer_than_what_a_query_may_read(api_with, circuits):
    few = Limits(rows=10, default_page=5)
    assert len({circuit.prompt.id for circuit in circuits}) > 10
    rows = await rows_of(api_with(few), "circuits", formats=("jsonl",))
    assert len(rows) == len(circuits)


@pytest.mark.parametrize("by_columns", [True, False])
async def test_a_long_list_is_never_whole_in_memory(api, by_columns):
    question: Question[Any] = Question("a list of our own", row_of(dict))
    vars(question)["file"] = (
        ":param n => 1;\n"
        "UNWIND range(1, $n) AS i RETURN collect({number: i, text: 'number ' + toString(i)}) AS rows"
    )
    streamed: Any = (
        stream_columns(api.database, question, ["number", "text"], timeout_s=60, n=100_000)
        if by_columns
        else stream_async(api.database, question, timeout_s=60, n=100_000)
    )
    rows = 0
    tracemalloc.start()
    async for piece in streamed:
        rows += len(piece["number"] if by_columns else piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 100_000
    assert peak < 5_000_000  # bytes; the whole list takes twenty to fifty million


async def test_limits_hold_for_downloads(api_with, circuits):
    answer = await api_with(Limits(running=0, waiting=0)).http.get("/export/hubs.csv")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    slow = await api_with(Limits(download_s=0.0)).http.get("/export/hubs.csv")
    assert (slow.status_code, slow.json()["errors"][0]["extensions"]["code"]) == (504, "QUERY_TIMEOUT")


async def test_a_download_wants_the_token(api):
    app = create_app(api.database, token="0123456789abcdef")
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://localhost"
    ) as http:
        for path in ("/export", "/export/hubs.csv"):
            assert (await http.get(path)).status_code == 401
        held = {"authorization": "Bearer 0123456789abcdef"}
        assert (await http.get("/export/hubs.csv", headers=held)).status_code == 200


async def test_a_list_of_nothing_is_an_empty_table(api):
    for ending in ("csv", "parquet", "arrow", "jsonl"):
        answer = await api.http.get(f"/export/features.{ending}", params={"minCircuits": 1000})
        assert answer.status_code == 200
        if ending == "parquet":
            assert polars.read_parquet(io.BytesIO(answer.content)).shape == (
                0,
                len(DOWNLOADS["features"].schema),
            )
        if ending == "csv":
            assert answer.text.strip().replace('"', "").split(",") == DOWNLOADS["features"].schema.names


def test_the_page_lists_every_download():
    text = (HOME / "docs" / "downloads.md").read_text(encoding="utf-8")
    for path in DOWNLOADS:
        assert f"`{path}`" in text, path
