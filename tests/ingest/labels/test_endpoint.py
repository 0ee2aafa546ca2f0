"""Labels from a language model, asked over HTTP: a small local server stands where the model would be."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

from ingest.engine.replacement.firings import TextFirings
from ingest.engine.replacement.model import Encoded
from ingest.labels.contexts import Activity, Gathering
from ingest.labels.endpoint import TRIES, ModelEndpoint
from ingest.labels.model_labels import ModelLabel, explain_features
from schema.errors import EndpointError, InputError

Reply = Callable[[dict[str, Any]], tuple[int, str]]


class Server:
    """Answers every request by a function, and remembers the requests."""

    def __init__(self) -> None:
        self.reply: Reply = lambda body: (200, "{}")
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
                status, text = outer.reply(body)
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = ModelEndpoint(
            f"http://127.0.0.1:{self.http.server_port}/v1", "small", "secret", pause_s=0
        )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def saying(content: str) -> tuple[int, str]:
    return 200, json.dumps({"choices": [{"message": {"content": content}}]})


def question(body: dict[str, Any]) -> str:
    return str(body["messages"][0]["content"])


def oracle(body: dict[str, Any]) -> tuple[int, str]:
    """A model that reads: feature 0 fires on token 1, feature 1 on token 2."""
    asked = question(body)
    if '{"label"' in asked:
        rows = [json.loads(line) for line in asked.split("\n\n")[1].splitlines()]
        tokens = {token for row in rows for token, activation in row if activation > 0}
        return saying(f'```json\n{{"label": "on {" ".join(sorted(tokens))}"}}\n```')
    token = asked.split('"on ')[1].split('"')[0]
    lines = asked.split("\n\n")[1].splitlines()
    active = [number for number, line in enumerate(lines) if f'"<<{token}>>"' in line]
    return saying(json.dumps({"active": active}))


def two_features() -> Activity:
    """Feature 0 fires on token 1, feature 1 on token 2."""
    rng = np.random.default_rng(0)
    gathering = Gathering(1, 2, [(0, 0), (0, 1)])
    for _ in range(80):
        ids = rng.integers(0, 4, 6)
        position = np.flatnonzero((ids == 1) | (ids == 2)).astype(np.int32)
        feature = (ids[position] - 1).astype(np.int32)
        fired = TextFirings(
            np.array([0, len(position)]), position, feature, np.ones(len(position), np.float32)
        )
        gathering.add(Encoded(tuple(ids.tolist()), (), False), fired)
    return gathering.done()


def test_labels_of_a_model_are_scored_beside_their_null(server):
    server.reply = oracle
    first, second = explain_features(server.endpoint, two_features(), [(0, 0), (0, 1), (0, 7)], str)
    assert isinstance(first, ModelLabel)
    assert isinstance(second, ModelLabel)
    assert (first.text, first.score, first.null_score) == ("on 1", 1.0, None)
    assert (second.text, second.score) == ("on 2", 1.0)
    assert second.null_score is not None
    assert second.null_score <= 0.5
    assert first.answer.asked == question(server.asked[0])
    assert '"label": "on 1"' in first.answer.answered
    assert {(each["path"], each["key"], each["model"]) for each in server.asked} == {
        ("/v1/chat/completions", "Bearer secret", "small")
    }


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[1]",
        "{}",
        '{"label": ""}',
        '{"label": "..."}',
        '{"label": 3}',
        json.dumps({"label": "a" * 301}),
    ],
)
def test_nonsense_is_refused_after_some_tries(server, content):
    server.reply = lambda body: saying(content)
    (found,) = explain_features(server.endpoint, two_features(), [(0, 0)], str)
    assert isinstance(found, EndpointError)
    assert str(found).startswith(f"Feature 0/0: {server.endpoint.url} gave no usable answer from 'small': ")
    assert len(server.asked) == TRIES


def test_a_bad_judgement_refuses_the_label(server):
    server.reply = lambda body: oracle(body) if '{"label"' in question(body) else saying('{"active": [99]}')
    (found,) = explain_features(server.endpoint, two_features(), [(0, 0)], str)
    assert isinstance(found, EndpointError)


def test_a_label_is_one_line_of_text_whatever_the_model_writes(server):
    hostile = "<b>1</b>\n\u202e[red] \x1b[31m\u200d MATCH (n) DETACH DELETE n;"
    server.reply = lambda body: (
        saying(json.dumps({"label": hostile})) if '{"label"' in question(body) else saying('{"active": []}')
    )
    (found,) = explain_features(server.endpoint, two_features(), [(0, 0)], str)
    assert isinstance(found, ModelLabel)
    assert (found.text, found.score) == ("<b>1</b> [red] [31m\u200d MATCH (n) DETACH DELETE n;", 0.5)
    assert json.loads(found.answer.answered)["label"] == hostile


def test_a_page_instead_of_an_answer_is_quoted(server):
    server.reply = lambda body: (200, "<html>busy")
    with pytest.raises(EndpointError, match="the body is not JSON: '<html>busy'"):
        server.endpoint.ask("?", lambda found: found)
    assert len(server.asked) == TRIES


def test_a_busy_endpoint_is_asked_again_and_a_refusal_is_final(server):
    replies = [(503, "busy"), (200, "{}"), saying('{"ok": 1}')]
    server.reply = lambda body: replies.pop(0)
    assert server.endpoint.ask("?", lambda found: found["ok"])[0] == 1
    server.asked.clear()
    server.reply = lambda body: (401, "no")
    with pytest.raises(EndpointError, match="HTTP status 401"):
        server.endpoint.ask("?", lambda found: found)
    assert len(server.asked) == 1


def test_an_endpoint_that_is_down_or_no_address():
    with pytest.raises(EndpointError, match="check URL"):
        ModelEndpoint("http://127.0.0.1:9", "small", pause_s=0).ask("?", lambda found: found)
    with pytest.raises(InputError, match="is not a URL"):
        ModelEndpoint("somewhere", "small")
