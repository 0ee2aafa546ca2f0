"""What attention heads carry, asked over GraphQL, compared with plain loops over the records."""

import math
from collections import Counter, defaultdict

CIRCUIT = """
query ($id: ID!) { circuit(id: $id) {
  heads { layer head net gross }
  edges(first: 100) { nodes { weight source { id } target { id } heads { layer head weight } } } } }"""


async def test_the_heads_of_a_circuit_and_of_its_effects(api, circuits):
    for circuit in circuits[:4]:
        found = (await api(CIRCUIT, id=circuit.id))["circuit"]
        totals = sorted(circuit.head_totals, key=lambda t: (-t.gross, t.layer, t.head))
        assert found["heads"] == [total._asdict() for total in totals]
        parts = defaultdict(list)
        for part in circuit.head_parts:
            parts[f"{circuit.id}/{part.source}", f"{circuit.id}/{part.target}"].append(part)
        assert len(found["edges"]["nodes"]) > 20
        for edge in found["edges"]["nodes"]:
            expected = sorted(
                parts[edge["source"]["id"], edge["target"]["id"]],
                key=lambda part: (-abs(part.weight), part.layer, part.head),
            )
            got = sorted(edge["heads"], key=lambda p: (-abs(p["weight"]), p["layer"], p["head"]))
            assert got == [{"layer": p.layer, "head": p.head, "weight": p.weight} for p in expected]


async def test_heads_by_family(api, circuits, near):
    table = defaultdict(list)
    for circuit in circuits:
        for total in circuit.head_totals:
            table[circuit.prompt.family, circuit.model.id, total.layer, total.head].append(total)
    for families in (None, ["capitals", "antonyms"]):
        answer = await api(
            """query ($families: [String!]) { headsByFamily(families: $families) {
              family model layer head nConsidered net gross nMeasured effect effectSize } }""",
            families=families,
        )
        rows = [
            {
                "family": family,
                "model": model,
                "layer": layer,
                "head": head,
                "nConsidered": len(found),
                "net": math.fsum(each.net for each in found) / len(found),
                "gross": math.fsum(each.gross for each in found) / len(found),
                "nMeasured": 0,
                "effect": None,
                "effectSize": None,
            }
            for (family, model, layer, head), found in table.items()
            if families is None or family in families
        ]
        rows.sort(key=lambda r: (r["family"], r["model"], -r["gross"], r["layer"], r["head"]))
        assert answer["headsByFamily"] == near(rows)
        assert rows


async def test_heads_of_an_unknown_family_are_refused(api):
    body = await api.answer('{ headsByFamily(families: ["nobody"]) { head } }')
    assert body["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_components_that_nobody_ablated(api, circuits):
    answer = await api(
        """{ components { family nConsidered nMeasured nHeads correlation null95 p attentionShare
             attentionEffect mlpEffect layers { layer } } }"""
    )
    with_heads = Counter(circuit.prompt.family for circuit in circuits if circuit.head_totals)
    unknown = ("correlation", "null95", "p", "attentionShare", "attentionEffect", "mlpEffect")
    assert answer["components"] == [
        {"family": family, "nConsidered": n, "nMeasured": 0, "nHeads": 0, "layers": []}
        | dict.fromkeys(unknown)
        for family, n in sorted(with_heads.items())
    ]
