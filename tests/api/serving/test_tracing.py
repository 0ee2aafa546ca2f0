"""Traces: what a collector over HTTP receives of a query, and what it costs to ask for none."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.app import create_app
from api.serving.tracing import tracer_provider
from atlas.settings import Settings
from schema.errors import InputError


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receives)
        self.spans = []
        self.services = set()
        self.paths = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Receives(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            for each in group.resource.attributes:
                if each.key == "service.name":
                    self.server.services.add(each.value.string_value)
            for scope in group.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def collector():
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def ask(api, provider):
    transport = httpx2.ASGITransport(app=create_app(api.database, tracing=provider))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        query = "query Names($n: [String!]) { families(names: $n) { name nCircuits } runs { totalCount } }"
        answer = await http.post("/graphql", json={"query": query, "variables": {"n": ["capitals"]}})
    return answer.json()


@pytest.mark.parametrize("by", ["option", "environment"])
async def test_a_collector_gets_the_spans_of_a_query(api, collector, monkeypatch, by):
    if by == "environment":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "my-atlas")
    provider = tracer_provider(collector.address + "/" if by == "option" else None)
    assert "errors" not in await ask(api, provider)
    provider.shutdown()
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.services == {"circuit-atlas" if by == "option" else "my-atlas"}
    assert sorted(span.name for span in collector.spans) == [
        "GraphQL Parsing",
        "GraphQL Query: Names",
        "GraphQL Resolving: families",
        "GraphQL Resolving: runs",
        "GraphQL Resolving: totalCount",
        "GraphQL Validation",
    ]
    (whole,) = (span for span in collector.spans if span.name.startswith("GraphQL Query"))
    assert {span.parent_span_id for span in collector.spans if span is not whole} == {whole.span_id}
    assert len({span.trace_id for span in collector.spans}) == 1
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 0 for span in collector.spans)


async def test_a_collector_that_is_not_there_costs_no_answer(api):
    provider = tracer_provider("http://127.0.0.1:9")
    assert await ask(api, provider) == await ask(api, None)


def test_what_is_no_address():
    with pytest.raises(InputError, match="localhost:4317 is not the address of a collector"):
        tracer_provider("localhost:4317")


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_environment_may_ask_for_traces(environment, wanted):
    assert Settings.load(environment).traces is wanted


def test_nothing_is_imported_unless_wanted():
    loaded = "[name for name in sys.modules if name.startswith('opentelemetry.sdk')]"
    code = f"import sys, api.app; api.app.sdl(); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
