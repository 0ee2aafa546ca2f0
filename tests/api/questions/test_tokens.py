"""Input tokens against outputs, compared with sums over every single path of the records."""

import math
from collections import defaultdict
from typing import Any

from schema.circuit.records import Circuit, Node, NodeKind

CIRCUIT = """
query ($id: ID!) { circuit(id: $id) { tokenAttribution { outputs {
  logit probability total errors other biasesAndPruned tokens { position token weight } } } } }"""
FAMILY = """
query ($family: String!) { tokensOfFamily(family: $family) {
  nCircuits nConsidered places { nTokens position token nCircuits nKept mean meanAbsolute }
  templates { nTokens nCircuits tokens errors other biasesAndPruned total } } }"""


def paths_to(circuit: Circuit, target: int) -> dict[int | str, float]:
    """What reaches a node, path by path: of each source, and of features' biases and pruned inputs."""
    found: dict[int | str, list[float]] = defaultdict(list)

    def back(place: int, product: float) -> None:
        node = circuit.nodes[place]
        inputs = [edge for edge in circuit.edges if edge.target == place]
        if node.kind is NodeKind.FEATURE:
            assert node.activation
            missing = node.activation - math.fsum(edge.weight for edge in inputs)
            found["rest"].append(product * missing / node.activation)
            product /= node.activation
        elif node.kind is not NodeKind.LOGIT:
            found[place].append(product)
        for edge in inputs:
            back(edge.source, product * edge.weight)

    back(target, 1.0)
    return {key: math.fsum(values) for key, values in found.items()}


def split(circuit: Circuit) -> list[dict[str, object]]:
    def places(kind: NodeKind) -> list[int]:
        return [place for place, node in enumerate(circuit.nodes) if node.kind is kind]

    def key(place: int) -> tuple[float, str]:
        node: Node = circuit.nodes[place]
        return -(node.probability or 0), node.key

    rows: list[dict[str, object]] = []
    for logit in sorted(places(NodeKind.LOGIT), key=key):
        parts = paths_to(circuit, logit)
        tokens = sorted(places(NodeKind.TOKEN), key=lambda place: circuit.nodes[place].position)
        rows.append(
            {
                "logit": circuit.nodes[logit].token,
                "probability": circuit.nodes[logit].probability,
                "total": math.fsum(edge.weight for edge in circuit.edges if edge.target == logit),
                "errors": math.fsum(parts.get(place, 0) for place in places(NodeKind.ERROR)),
                "other": math.fsum(parts.get(place, 0) for place in places(NodeKind.OTHER)),
                "biasesAndPruned": float(parts.get("rest", 0.0)),
                "tokens": [
                    {
                        "position": circuit.nodes[place].position,
                        "token": circuit.nodes[place].token,
                        "weight": float(parts.get(place, 0.0)),
                    }
                    for place in tokens
                ],
            }
        )
    return rows


async def test_tokens_of_a_circuit_are_sums_over_paths_and_complete(api, circuits, near):
    for circuit in circuits[:5]:
        answer = (await api(CIRCUIT, id=circuit.id))["circuit"]["tokenAttribution"]["outputs"]
        assert answer == near(split(circuit))
        assert any(token["weight"] for output in answer for token in output["tokens"])
        for output in answer:
            parts = [output[name] for name in ("errors", "other", "biasesAndPruned")]
            parts += [token["weight"] for token in output["tokens"]]
            assert math.isclose(math.fsum(parts), output["total"], abs_tol=1e-6 * max(1, *map(abs, parts)))


async def test_tokens_of_a_family_by_place_in_the_template(api, circuits, near):
    mine = [circuit for circuit in circuits if circuit.prompt.family == "capitals"]
    lengths, wholes = defaultdict(list), defaultdict(list)
    for circuit in mine:
        whole: Any = split(circuit)[0]
        given = {token["position"]: token["weight"] for token in whole["tokens"]}
        lengths[len(circuit.prompt.tokens)].append((circuit.prompt.tokens, given))
        wholes[len(circuit.prompt.tokens)].append(whole | {"tokens": math.fsum(given.values())})
    parts = ("tokens", "errors", "other", "biasesAndPruned", "total")
    templates = [
        {"nTokens": length, "nCircuits": len(rows)}
        | {part: math.fsum(row[part] for row in rows) / len(rows) for part in parts}
        for length, rows in sorted(wholes.items())
    ]
    places = []
    for length, rows in sorted(lengths.items()):
        for position in range(length):
            texts = sorted({tokens[position] for tokens, _ in rows})
            weights = [given.get(position, 0.0) for _, given in rows]
            places.append(
                {
                    "nTokens": length,
                    "position": position,
                    "token": texts[0] if len(texts) == 1 else None,
                    "nCircuits": len(rows),
                    "nKept": sum(position in given for _, given in rows),
                    "mean": math.fsum(weights) / len(rows),
                    "meanAbsolute": math.fsum(map(abs, weights)) / len(rows),
                }
            )
    answer = (await api(FAMILY, family="capitals"))["tokensOfFamily"]
    assert answer == near(
        {"nCircuits": len(mine), "nConsidered": len(mine), "places": places, "templates": templates}
    )
    for each in answer["templates"]:
        assert math.isclose(math.fsum(each[part] for part in parts[:-1]), each["total"], abs_tol=1e-9)
        means = [place["mean"] for place in answer["places"] if place["nTokens"] == each["nTokens"]]
        assert math.isclose(math.fsum(means), each["tokens"], abs_tol=1e-9)
    assert {place["token"] is None for place in places} == {True, False}


async def test_tokens_of_an_unknown_family_are_refused(api):
    body = await api.answer('{ tokensOfFamily(family: "nobody") { nCircuits } }')
    assert body["errors"][0]["extensions"]["code"] == "NOT_FOUND"
