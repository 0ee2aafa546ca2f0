"""An independent reading of a folder of graph files, and answers that are computed from the files alone.

Nothing here uses the code of the atlas. `disagreements` asks the GraphQL API the same questions and lists
where the answers differ. Files are those of circuit-tracer and of Neuronpedia's first engine.

    python -m tests.support.graph_folder FOLDER URL

compares a folder of published graphs with a running API, and ends with 1 if they differ.
"""

import asyncio
import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
from scipy.stats import hypergeom

Ask = Callable[..., Awaitable[dict[str, Any]]]
Key = tuple[int, int]
"""Layer and index of a feature."""

KINDS = {
    "cross layer transcoder": "FEATURE",
    "mlp reconstruction error": "ERROR",
    "embedding": "TOKEN",
    "logit": "LOGIT",
}
TOLERANCE = 1e-6
ROUNDING = 1e-6
"""Cumulative shares are sums of hundreds of numbers in 32 bits, where neighbours below 1 are 6e-8 apart. So a
step that rises by less than this is no gap. Cutting such a step moves a layer's sum by 6e-8, and its error
share, a ratio of sums near 0.02, by 1.3e-6."""


@dataclass
class Graph:
    """One file."""

    slug: str
    tool: str
    model: str
    transcoders: str
    tokens: list[str]
    metadata: dict[str, Any]
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[tuple[int, int, float]] = field(default_factory=list)

    @property
    def uses(self) -> dict[Key, dict[str, Any]]:
        """Feature → its influence, highest activation and positions."""
        found: dict[Key, dict[str, Any]] = {}
        for node in sorted(self.nodes, key=lambda node: node["position"]):
            if node["kind"] == "FEATURE":
                use = found.setdefault(
                    (node["layer"], int(node["index"])),
                    {"influence": 0.0, "activation": -math.inf, "positions": []},
                )
                use["influence"] += node["influence"]
                use["activation"] = max(use["activation"], node["activation"])
                use["positions"].append(node["position"])
        return found

    @property
    def effects(self) -> dict[tuple[Key, Key], float]:
        """Feature, feature → the weight, summed over positions."""
        found: dict[tuple[Key, Key], float] = defaultdict(float)
        for source, target, weight in self.links:
            ends = self.nodes[source], self.nodes[target]
            if all(node["kind"] == "FEATURE" for node in ends):
                first, second = ((node["layer"], int(node["index"])) for node in ends)
                found[first, second] += weight
        return dict(found)


def read_folder(folder: Path) -> list[Graph]:
    """All graphs of a folder, each content once."""
    found: dict[str, Graph] = {}
    for path in sorted(folder.glob("*.json")):
        raw = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(json.dumps([raw["metadata"]["slug"], raw["nodes"], raw["links"]]), _graph(raw))
    return list(found.values())


def _names(metadata: dict[str, Any]) -> tuple[str, str, str]:
    """Tool, model and transcoder set."""
    info = metadata.get("info") or {}
    named = (metadata.get("feature_details") or {}).get("neuronpedia_source_set")
    named = named or info.get("neuronpedia_source_set")
    for address in info.get("source_urls") or []:
        if (match := re.search(r"neuronpedia\.org/([^/]+)/([^/]+)$", address)) and not named:
            named = match[2]
    named = named or info.get("transcoder_set")
    scan = metadata["scan"]
    if named:
        return "neuronpedia", scan, f"{scan}/{named}"
    name, _, revision = scan.partition("@")
    return "circuit-tracer", f"model of {name}", f"{name}@{revision[:12]}" if revision else name


def _graph(raw: dict[str, Any]) -> Graph:
    metadata = raw["metadata"]
    graph = Graph(metadata["slug"], *_names(metadata), metadata["prompt_tokens"], metadata)
    places: dict[str, list[int]] = {}
    for place, node in enumerate(raw["nodes"]):
        places.setdefault(node["node_id"], []).append(place)
    own = _own_shares({p: n["influence"] for p, n in enumerate(raw["nodes"]) if n["influence"] is not None})
    last = len(graph.tokens) - 1
    for place, node in enumerate(raw["nodes"]):
        kind, token, probability, index = KINDS[node["feature_type"]], None, None, None
        layer = -1 if kind == "TOKEN" else int(node["layer"]) - (kind == "LOGIT")
        if kind == "FEATURE":
            index = node["node_id"].split("_")[1]
        elif kind == "TOKEN":
            index, token = node["node_id"].split("_")[1], graph.tokens[node["ctx_idx"]]
        elif kind == "LOGIT":
            match = re.search(r'(?:^|\] )Output "(.*)" \(p=(.*)\)$', node["clerp"], re.DOTALL)
            assert match is not None
            index, token, probability = str(node["feature"]), match[1], node["token_prob"]
        graph.nodes.append(
            {
                "kind": kind,
                "layer": layer,
                "position": node["ctx_idx"],
                "positionFromEnd": last - node["ctx_idx"],
                "index": index,
                "activation": node["activation"] if kind == "FEATURE" else None,
                "influence": own.get(place, probability),
                "cumulative": node["influence"],
                "token": token,
                "probability": probability,
            }
        )
    before = -1
    last_target = None
    for link in raw["links"]:
        # Some tools give an error the id of a feature. Links to a target are in the order of their sources.
        before = before if link["target"] == last_target else -1
        candidates = places[link["source"]]
        source = next((place for place in candidates if place > before), candidates[-1])
        before, last_target = source, link["target"]
        # Errors have no inputs, and features stand before errors.
        graph.links.append((source, places[link["target"]][0], link["weight"]))
    return graph


def _own_shares(cumulative: dict[int, float]) -> dict[int, float]:
    """The steps between cumulative shares; a step that rises beyond rounding is cut to the one before."""
    found: dict[int, float] = {}
    before, least = 0.0, 1.0
    for value, group in groupby(sorted(cumulative, key=lambda place: cumulative[place]), cumulative.get):
        places = list(group)
        assert value is not None
        step = (value - before) / len(places)
        found |= dict.fromkeys(places, step if step <= least + ROUNDING else least)
        least = min(least, step)
        before = value
    return found


class Comparison:
    """Collects what differs."""

    def __init__(self) -> None:
        self.n = 0
        self.differences: list[str] = []

    def same(self, what: str, have: object, want: object) -> None:
        """Count the values that agree, and note where they do not. Numbers agree to a millionth."""
        if isinstance(want, dict) and isinstance(have, dict):
            self.same(f"{what}: names", sorted(map(str, have)), sorted(map(str, want)))
            for name in want.keys() & have.keys():
                self.same(f"{what}.{name}", have[name], want[name])
        elif isinstance(want, list) and isinstance(have, list):
            self.same(f"{what}: length", len(have), len(want))
            for place, (one, other) in enumerate(zip(have, want, strict=False)):
                self.same(f"{what}[{place}]", one, other)
        else:
            self.n += 1
            close = isinstance(want, float) and isinstance(have, int | float)
            if close:
                close = math.isclose(float(have), want, rel_tol=TOLERANCE, abs_tol=TOLERANCE)  # type: ignore[arg-type]
            if not close and have != want:
                self.differences.append(f"{what}: {have!r}, not {want!r}")


async def pages(ask: Ask, query: str, *path: str, **variables: object) -> list[dict[str, Any]]:
    """All nodes of a connection. query: has $after; path: the fields that lead to the connection."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        answer: Any = await ask(query, **variables, after=after)
        for name in path:
            answer = answer[name]
        found += answer["nodes"]
        if not answer["pageInfo"]["hasNextPage"]:
            return found
        after = answer["pageInfo"]["endCursor"]


PAGE = "pageInfo { hasNextPage endCursor }"
NODE = """kind layer position positionFromEnd index activation influence cumulative token probability"""
CIRCUITS = f"""query ($after: String) {{ circuits(first: 50, after: $after) {{ {PAGE} nodes {{
  id slug tool nNodes nEdges answer answerProbability sourceUrls creator creatorUrl errorShare derived
  transcoders {{ id model {{ id }} }} prompt {{ text tokens }} }} }} }}"""
NODES = f"""query ($id: ID!, $after: String) {{ circuit(id: $id) {{
  nodes(first: 100, after: $after) {{ {PAGE} nodes {{ {NODE} }} }} }} }}"""
EDGES = f"""query ($id: ID!, $after: String) {{ circuit(id: $id) {{
  edges(first: 100, after: $after) {{ {PAGE} nodes {{ weight share
    source {{ kind layer position index }} target {{ kind layer position index }} }} }} }} }}"""
USES = f"""query ($id: ID!, $after: String) {{ circuit(id: $id) {{
  features(first: 100, after: $after) {{ {PAGE} nodes {{
    influence activation positions feature {{ id }} }} }} }} }}"""
SHARED = f"""query ($ids: [ID!], $after: String) {{
  sharedFeatures(circuits: $ids, minCircuits: 1, countBy: CIRCUITS, first: 100, after: $after) {{
    {PAGE} nodes {{ nCircuits nConsidered meanInfluence nCircuitsOutside nConsideredOutside pValue
      feature {{ id }} }} }} }}"""
COMPARE = f"""query ($a: ID!, $b: ID!, $after: String) {{ compareCircuits(a: $a, b: $b) {{
  featuresInBoth(first: 100, after: $after) {{ {PAGE} nodes {{
    influenceA influenceB difference feature {{ id }} }} }} }} }}"""
SIMILAR = f"""query ($id: ID!, $metric: Similarity!, $after: String) {{
  similarCircuits(circuit: $id, metric: $metric, first: 100, after: $after) {{ {PAGE} nodes {{
    similarity nCommon circuit {{ id }} }} }} }}"""
RECURRING = f"""query ($sets: [String!], $least: Int!, $after: String) {{ recurringEdges(transcoders: $sets,
  minCircuits: $least, signConsistency: 0, countBy: CIRCUITS, first: 100, after: $after) {{ {PAGE} nodes {{
    nCircuits nConsidered mean sd signConsistency source {{ id }} target {{ id }} }} }} }}"""
HUBS = f"""query ($sets: [String!], $after: String) {{
  hubs(by: INFLUENCE, transcoders: $sets, countBy: CIRCUITS, first: 100, after: $after) {{ {PAGE} nodes {{
    nCircuits nConsidered influence feature {{ id }} }} }} }}"""
DRIVES = f"""query ($tokens: [String!], $sets: [String!], $after: String) {{
  drivesLogit(tokens: $tokens, among: {{ transcoders: $sets }}, minCircuits: 1, first: 100, after: $after) {{
    {PAGE} nodes {{ nCircuits nConsidered mean sum nPromotes nSuppresses feature {{ id }} }} }} }}"""
AUDIT = """query ($sets: [String!]) { errorAudit(transcoders: $sets) { byLayer {
  layer nCircuits errors features errorShare } } }"""


async def disagreements(graphs: list[Graph], ask: Ask) -> Comparison:
    """Ask the API everything that the files answer.

    ask: sends a query with its variables and returns the data.
    """
    found = Comparison()
    listed = await pages(ask, CIRCUITS, "circuits")
    found.same("number of circuits", len(listed), len(graphs))
    circuits = {(each["slug"], each["transcoders"]["id"], each["nEdges"]): each for each in listed}
    ids: dict[str, Graph] = {}
    for graph in graphs:
        held = circuits.get((graph.slug, graph.transcoders, len(graph.links)))
        if held is None:
            found.differences.append(f"{graph.slug} of {graph.transcoders} is missing")
            continue
        ids[held["id"]] = graph
        await _one(found, graph, held, ask)
    by_set: dict[str, dict[str, Graph]] = defaultdict(dict)
    for id_, graph in ids.items():
        by_set[graph.transcoders][id_] = graph
    for name, members in by_set.items():
        await _set(found, name, members, ask)
    return found


async def _one(found: Comparison, graph: Graph, held: dict[str, Any], ask: Ask) -> None:
    """A circuit with its nodes, edges and features."""
    info = graph.metadata.get("info") or {}
    logits = [node for node in graph.nodes if node["kind"] == "LOGIT"]
    errors, features = (
        math.fsum(node["influence"] for node in graph.nodes if node["kind"] == kind)
        for kind in ("ERROR", "FEATURE")
    )
    best = max(node["probability"] for node in logits)
    want = {
        "slug": graph.slug,
        "tool": graph.tool,
        "nNodes": len(graph.nodes),
        "nEdges": len(graph.links),
        "answerProbability": best,
        "sourceUrls": info.get("source_urls"),
        "creator": info.get("creator_name"),
        "creatorUrl": info.get("creator_url"),
        "errorShare": errors / (errors + features),
        "transcoders": {"id": graph.transcoders, "model": {"id": graph.model}},
        "prompt": {"text": graph.metadata["prompt"], "tokens": graph.tokens},
    }
    found.same(graph.slug, {name: held[name] for name in want}, want)
    found.same(
        f"{graph.slug}: answer",
        held["answer"] in {n["token"] for n in logits if n["probability"] == best},
        True,
    )
    nodes = await pages(ask, NODES, "circuit", "nodes", id=held["id"])
    found.same(f"{graph.slug}: order", *_descending([n["influence"] for n in nodes if n["kind"] != "LOGIT"]))
    found.same(f"{graph.slug}: nodes", _sorted(nodes), _sorted(graph.nodes))
    inputs: dict[int, float] = defaultdict(float)
    for _, target, weight in graph.links:
        inputs[target] += abs(weight)
    ends = ("kind", "layer", "position", "index")
    edges = [
        {
            "weight": weight,
            "share": abs(weight) / inputs[target],
            "source": {name: graph.nodes[source][name] for name in ends},
            "target": {name: graph.nodes[target][name] for name in ends},
        }
        for source, target, weight in graph.links
    ]
    have = await pages(ask, EDGES, "circuit", "edges", id=held["id"])
    found.same(f"{graph.slug}: edges", _sorted(have), _sorted(edges))
    uses = {f"{graph.transcoders}/{layer}/{index}": use for (layer, index), use in graph.uses.items()}
    answer = await pages(ask, USES, "circuit", "features", id=held["id"])
    found.same(f"{graph.slug}: features", _by_feature(answer), uses)


async def _set(found: Comparison, name: str, members: dict[str, Graph], ask: Ask) -> None:
    """Questions across the circuits of one transcoder set."""
    uses = {id_: graph.uses for id_, graph in members.items()}
    effects = {id_: graph.effects for id_, graph in members.items()}
    features = sorted({key for each in uses.values() for key in each})

    def label(key: Key) -> str:
        return f"{name}/{key[0]}/{key[1]}"

    def mean(numbers: Iterable[float]) -> float:
        numbers = list(numbers)
        return math.fsum(numbers) / len(numbers)

    inside = sorted(members)[: max(1, len(members) // 2)]
    outside = [id_ for id_ in members if id_ not in inside]
    want: dict[str, Any] = {}
    for key in features:
        within = [id_ for id_ in inside if key in uses[id_]]
        beyond = [id_ for id_ in outside if key in uses[id_]]
        if within:
            tail = hypergeom.sf(len(within) - 1, len(members), len(within) + len(beyond), len(inside))
            want[label(key)] = {
                "nCircuits": len(within),
                "nConsidered": len(inside),
                "meanInfluence": mean(uses[id_][key]["influence"] for id_ in within),
                "nCircuitsOutside": len(beyond),
                "nConsideredOutside": len(outside),
                "pValue": float(tail),
            }
    found.same(
        f"{name}: sharedFeatures", _by_feature(await pages(ask, SHARED, "sharedFeatures", ids=inside)), want
    )

    want = {
        label(key): {
            "nCircuits": sum(key in each for each in uses.values()),
            "nConsidered": len(members),
            "influence": math.fsum(each[key]["influence"] for each in uses.values() if key in each),
        }
        for key in features
    }
    hubs = await pages(ask, HUBS, "hubs", sets=[name])
    found.same(f"{name}: order of hubs", *_descending([each["influence"] for each in hubs]))
    found.same(f"{name}: hubs", _by_feature(hubs), want)

    least = 1 if len(effects) == 1 else 2
    recurring = await pages(ask, RECURRING, "recurringEdges", sets=[name], least=least)
    have = {(each.pop("source")["id"], each.pop("target")["id"]): each for each in recurring}
    pairs = sorted({pair for each in effects.values() for pair in each})
    effected: dict[tuple[str, str], Any] = {}
    for first, second in pairs:
        weights = [each[first, second] for each in effects.values() if (first, second) in each]
        if len(weights) < least:
            continue
        middle = mean(weights)
        more = max(sum(w > 0 for w in weights), sum(w < 0 for w in weights))
        effected[label(first), label(second)] = {
            "nCircuits": len(weights),
            "nConsidered": sum(first in each and second in each for each in uses.values()),
            "mean": middle,
            "sd": math.sqrt(mean((w - middle) ** 2 for w in weights)),
            "signConsistency": more / len(weights),
        }
    found.same(f"{name}: recurringEdges", have, effected)

    if len(members) > 1:
        await _pairs(found, name, members, features, label, ask)
    await _logits(found, name, members, label, ask)
    layers: dict[int, dict[str, Any]] = {}
    for layer in range(1 + max(layer for layer, _ in features)):
        parts = [
            [
                math.fsum(n["influence"] for n in graph.nodes if n["kind"] == kind and n["layer"] == layer)
                for kind in ("ERROR", "FEATURE")
            ]
            for graph in members.values()
        ]
        counted = [part for part in parts if any(part)]
        if counted:
            errors, kept = (math.fsum(column) for column in zip(*counted, strict=True))
            layers[layer] = {
                "layer": layer,
                "nCircuits": len(counted),
                "errors": errors,
                "features": kept,
                "errorShare": errors / (errors + kept),
            }
    audit = (await ask(AUDIT, sets=[name]))["errorAudit"]["byLayer"]
    found.same(
        f"{name}: errorAudit", {each["layer"]: each for each in audit if each["layer"] in layers}, layers
    )


async def _pairs(
    found: Comparison,
    name: str,
    members: dict[str, Graph],
    features: list[Key],
    label: Callable[[Key], str],
    ask: Ask,
) -> None:
    """A circuit beside the others of its set."""
    a, b = sorted(members)[:2]
    uses = {id_: graph.uses for id_, graph in members.items()}
    want: dict[str, Any] = {}
    for key in uses[a].keys() & uses[b].keys():
        ours, theirs = (uses[id_][key]["influence"] for id_ in (a, b))
        want[label(key)] = {"influenceA": ours, "influenceB": theirs, "difference": ours - theirs}
    both = await pages(ask, COMPARE, "compareCircuits", "featuresInBoth", a=a, b=b)
    found.same(f"{name}: compareCircuits", _by_feature(both), want)
    rarity = {key: math.log(len(members) / sum(key in each for each in uses.values())) for key in features}
    for metric in ("JACCARD", "COSINE"):
        similar = await pages(ask, SIMILAR, "similarCircuits", id=a, metric=metric)
        want = {}
        for each in similar:
            other = uses[each["circuit"]["id"]]
            common, either = uses[a].keys() & other.keys(), uses[a].keys() | other.keys()
            if metric == "JACCARD":
                value = math.fsum(rarity[k] for k in common) / math.fsum(rarity[k] for k in either)
            else:
                lengths = [
                    math.sqrt(math.fsum((rarity[k] * use["influence"]) ** 2 for k, use in side.items()))
                    for side in (uses[a], other)
                ]
                dot = math.fsum(
                    rarity[k] ** 2 * uses[a][k]["influence"] * other[k]["influence"] for k in common
                )
                value = dot / (lengths[0] * lengths[1])
            want[each["circuit"]["id"]] = {"similarity": value, "nCommon": sum(rarity[k] > 0 for k in common)}
        have = {each.pop("circuit")["id"]: each for each in similar}
        found.same(f"{name}: {metric}", have, want)


async def _logits(
    found: Comparison, name: str, members: dict[str, Graph], label: Callable[[Key], str], ask: Ask
) -> None:
    """What pushes the most probable token of the first circuit."""
    first = members[min(members)]
    token = max((n for n in first.nodes if n["kind"] == "LOGIT"), key=lambda n: n["probability"])["token"]
    weights: dict[Key, list[float]] = defaultdict(list)
    considered = 0
    for graph in members.values():
        considered += any(n["kind"] == "LOGIT" and n["token"] == token for n in graph.nodes)
        sums: dict[Key, float] = defaultdict(float)
        for source, target, weight in graph.links:
            node, logit = graph.nodes[source], graph.nodes[target]
            if node["kind"] == "FEATURE" and logit["kind"] == "LOGIT" and logit["token"] == token:
                sums[node["layer"], int(node["index"])] += weight
        for key, total in sums.items():
            weights[key].append(total)
    want = {
        label(key): {
            "nCircuits": len(each),
            "nConsidered": considered,
            "mean": math.fsum(each) / len(each),
            "sum": math.fsum(each),
            "nPromotes": sum(w > 0 for w in each),
            "nSuppresses": sum(w < 0 for w in each),
        }
        for key, each in weights.items()
    }
    have = await pages(ask, DRIVES, "drivesLogit", tokens=[token], sets=[name])
    found.same(f"{name}: drivesLogit", _by_feature(have), want)


def _by_feature(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["feature"]["id"]: {name: row[name] for name in row if name != "feature"} for row in rows}


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in an order that does not depend on rounding."""

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        if "source" in row:
            return (*place(row["source"]), *place(row["target"]))
        return row["kind"], row["layer"], row["position"], int(row["index"] or -1)

    return sorted(rows, key=place)


def _descending(numbers: list[float]) -> tuple[list[float], list[float]]:
    return numbers, sorted(numbers, reverse=True)


async def main(folder: str, url: str) -> int:
    async with httpx2.AsyncClient(timeout=120) as http:

        async def ask(query: str, **variables: object) -> dict[str, Any]:
            body = (await http.post(url, json={"query": query, "variables": variables})).json()
            if "errors" in body:
                raise SystemExit(str(body["errors"]))
            data: dict[str, Any] = body["data"]
            return data

        found = await disagreements(read_folder(Path(folder)), ask)
    for line in found.differences[:50]:
        print(line)
    for what, n in Counter(line.split("[")[0] for line in found.differences).items():
        print(f"{what}: {n} differ")
    print(f"{found.n} values compared, {len(found.differences)} differ")
    return 1 if found.differences else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:3])))
