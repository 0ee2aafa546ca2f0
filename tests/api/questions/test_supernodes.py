"""Supernodes found by their labels, compared with a loop over the records."""


async def test_supernodes_by_label(api, near, circuits):
    query = """query ($label: String, $families: [String!]) {
      supernodes(label: $label, families: $families, first: 100) {
        totalCount nCircuits nConsidered
        nodes { label position method author score circuit { id } members { id } } } }"""
    data = await api(query, label="SAY ans")
    expected = [
        {
            "label": each.label,
            "position": each.position,
            "method": each.method,
            "author": each.author,
            "score": each.score,
            "circuit": {"id": circuit.id},
            "members": {f"{circuit.id}/{circuit.nodes[place].key}" for place in each.members},
        }
        for circuit in circuits
        for each in circuit.supernodes
        if each.label == "say the answer"
    ]
    answer = data["supernodes"]
    assert [node["score"] for node in answer["nodes"]] == sorted((e["score"] for e in expected), reverse=True)
    key = lambda node: (node["circuit"]["id"], node["score"])  # noqa: E731
    found = [{**node, "members": {each["id"] for each in node["members"]}} for node in answer["nodes"]]
    assert sorted(found, key=key) == sorted(expected, key=key)
    grouped = sum(bool(circuit.supernodes) for circuit in circuits)
    assert {name: answer[name] for name in ("totalCount", "nCircuits", "nConsidered")} == {
        "totalCount": len(expected),
        "nCircuits": len({each["circuit"]["id"] for each in expected}),
        "nConsidered": grouped,
    }
    few = (await api(query, label="capitals words", families=["capitals"]))["supernodes"]
    family = [circuit for circuit in circuits if circuit.prompt.family == "capitals"]
    assert (few["totalCount"], few["nConsidered"]) == (len(family), len(family))
