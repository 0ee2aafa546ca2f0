"""How fast the explorer draws a circuit of 1 000 nodes and 20 000 edges, in headless Chromium.

    python bench/explorer.py            # needs Chromium and the packages of requirements-dev.txt

The page is the real one; the answers to its questions are made up here, so that the database and the network
do not count. Two numbers are printed for each case, with the machine's load: a busy machine draws slowly.

- first drawing: from the answer's arrival to the first painted frame with the whole graph;
- frames per second while the pointer moves over nodes, and while the wheel zooms.

Beside the frames stands the CPU time of all of Chromium's processes for one step, which other work on the
machine changes little: 60 frames per second need at most 16 ms.
"""

import json
import os
import random
import shutil
import statistics
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import psutil
from playwright.sync_api import Page, Route, sync_playwright

EXPLORER = Path(__file__).resolve().parents[1] / "api" / "explorer"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
LAYERS, POSITIONS = 26, 24
STEPS = 110
FRAMES = """(ms) => new Promise((done) => {
  const times = []; const start = performance.now();
  const frame = (now) => {
    times.push(now);
    if (now - start < ms) requestAnimationFrame(frame); else done(times);
  };
  requestAnimationFrame(frame); })"""


class Files(BaseHTTPRequestHandler):
    """The explorer's files; every other address is its page."""

    def do_GET(self) -> None:
        name = self.path.split("?")[0].removeprefix("/explorer/")
        file = EXPLORER / name if self.path.startswith("/explorer/") else EXPLORER / "index.html"
        content = file.read_bytes() if file.is_file() else b""
        self.send_response(200 if content else 404)
        self.send_header("content-type", TYPES.get(file.suffix, "text/plain"))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *given: object) -> None:
        """Nothing is logged."""


def circuit(n_nodes: int, n_edges: int) -> dict[str, object]:
    """GraphQL's answer for one circuit, the same for the same arguments."""
    rng = random.Random(7)
    nodes = [node("TOKEN", -1, p, token=f"word{p}") for p in range(POSITIONS)]
    nodes += [
        node(
            rng.choice(("FEATURE",) * 9 + ("ERROR",)),
            rng.randrange(LAYERS),
            rng.randrange(1, POSITIONS),
            rng=rng,
        )
        for _ in range(n_nodes - POSITIONS - 3)
    ]
    nodes += [
        node("LOGIT", LAYERS, POSITIONS - 1, token=f"answer{i}", probability=0.5 / 2**i) for i in range(3)
    ]
    for number, each in enumerate(nodes):
        each["id"] = f"c/{number}"
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < n_edges:
        a, b = rng.randrange(n_nodes), rng.randrange(n_nodes)
        source, target = nodes[a], nodes[b]
        if source["layer"] < target["layer"] and source["position"] <= target["position"]:
            pairs.add((a, b))
    ordered = sorted(pairs)
    graph = {
        "nodes": nodes,
        "sources": [a for a, _ in ordered],
        "targets": [b for _, b in ordered],
        "weights": [rng.gauss(0, 1) for _ in ordered],
    }
    names = [f"word{p}" for p in range(POSITIONS)]
    prompt = {
        "id": "p",
        "text": " ".join(names),
        "displayTokens": names,
        "family": None,
        "tags": [],
        "pair": None,
    }
    return {
        **dict.fromkeys(("target", "dtype", "tool", "slug", "title", "maxEdges", "maxFeatureNodes", "run")),
        **dict.fromkeys(("replacementScore", "completenessScore", "keptInfluence", "answerProbability"), 0.9),
        **dict.fromkeys(("nodeThreshold", "edgeThreshold"), 0.8),
        "id": "c",
        "displayAnswer": "answer0",
        "answer": "answer0",
        "correct": True,
        "errorShare": 0.1,
        "derived": [],
        "nActiveFeatures": n_nodes,
        "nNodes": n_nodes,
        "nEdges": n_edges,
        "groupings": [],
        "prompt": {**prompt, "expected": None},
        "graph": graph,
        "transcoders": {"id": "t", "name": "made-up", "kind": "clt", "model": {"id": "m", "name": "made-up"}},
    }


def node(
    kind: str, layer: int, position: int, *, rng: random.Random | None = None, **facts: object
) -> dict[str, object]:
    index = str(rng.randrange(10**5)) if rng and kind == "FEATURE" else None
    return {
        **dict.fromkeys(("cumulative", "token", "probability")),
        "kind": kind,
        "layer": layer,
        "position": position,
        "index": index,
        "influence": rng.expovariate(100) if rng else 0.1,
        "activation": 1.0 if index else None,
        "feature": f"t/{layer}/{index}" if index else None,
        "label": f"label {index}" if index else None,
        **facts,
    }


def answer(route: Route, made: dict[str, object]) -> None:
    query = json.loads(route.request.post_data or "{}")["query"]
    data: dict[str, object] = {"circuit": made}
    if query.startswith("query tokenAttribution"):
        data = {"circuit": {"tokenAttribution": {"outputs": []}}}
    elif query.startswith("query like"):
        data = {"similarCircuits": {"nodes": []}}
    route.fulfill(body=json.dumps({"data": data}), content_type="application/json")


def rate(times: list[float]) -> str:
    """Frames per second, and the longest time between two frames."""
    gaps = [b - a for a, b in pairwise(times)]
    return f"{1000 / statistics.mean(gaps):.0f} frames/s (longest gap {max(gaps):.0f} ms)"


def cpu_s() -> float:
    """CPU time that Chromium's processes have taken."""
    processes = [each for each in psutil.Process().children(recursive=True) if "chrom" in each.name()]
    return sum(sum(each.cpu_times()[:2]) for each in processes)


def measure(page: Page, base: str, made: dict[str, object], edges: float) -> None:
    page.unroute("**/graphql")
    page.route("**/graphql", partial(answer, made=made))
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => new MutationObserver((_, watcher) => {
             if (!document.querySelector(".stage canvas")) return;
             watcher.disconnect();
             requestAnimationFrame(() => requestAnimationFrame(() => { window.drawn = performance.now(); }));
           }).observe(document, {childList: true, subtree: true}));"""
    )
    page.goto(f"{base}/circuit/c?nodes=1&edges={edges}")
    page.locator(".stage canvas").first.wait_for()
    page.wait_for_timeout(1500)
    took = page.evaluate(
        """() => window.drawn - performance.getEntriesByType("resource").filter(
             (each) => each.name.endsWith("/graphql")
           ).reduce((least, each) => Math.min(least, each.responseEnd), Infinity)"""
    )
    shown = page.locator(".sliders .quiet").last.inner_text()
    print(f"{shown}: first drawing {took:.0f} ms after the answer", flush=True)
    box = page.locator(".stage").bounding_box()
    assert box is not None
    for name, move in (
        ("hovering", lambda n: page.mouse.move(box["x"] + 80 + n * 7 % 700, box["y"] + 40 + n * 13 % 380)),
        ("zooming", lambda n: page.mouse.wheel(0, 60 if n // 12 % 2 else -60)),
    ):
        page.locator(".stage").focus()
        page.mouse.move(box["x"] + 400, box["y"] + 200)
        page.evaluate(f"window.frames_ = ({FRAMES})(3000); 0")
        before = cpu_s()
        for n in range(STEPS):
            move(n)
            page.wait_for_timeout(16)
        told, cost = rate(page.evaluate("window.frames_")), (cpu_s() - before) * 1000 / STEPS
        print(f"  {name}: {told}, {cost:.0f} ms of CPU a step", flush=True)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, no graphics card")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for n_nodes, n_edges in ((100, 1_000), (1_000, 20_000)):
            made = circuit(n_nodes, n_edges)
            for edges in (0.6, 1):
                page = browser.new_page(viewport={"width": 1366, "height": 800})
                measure(page, base, made, edges)
                page.close()
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
