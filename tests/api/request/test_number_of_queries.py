"""The number of database queries does not depend on the number of rows."""

from api.request.limits import Limits


async def test_the_number_of_queries_does_not_grow_with_the_page(api_with, circuits):
    api = api_with(Limits())
    query = """query ($first: Int!, $circuit: ID!) {
      hubs(first: $first) { nodes { feature { labels { text } } specificity { tau } } }
      similarCircuits(circuit: $circuit, first: $first) { nodes {
        circuit { prompt { text } } features(first: 2) { nodes { feature { id } } }
        edges(first: 2) { nodes { weight } } } }
      motifs(minSupport: 2, first: $first) { nodes { first { id } second { id } third { id } } }
      recurringEdges(first: $first) { nodes { source { id } target { id } } }
      search(text: "word", first: $first) { nodes {
        circuits(first: 2) { nodes { circuit { answer } } } } } }"""
    for first in (2, 20):
        before = api.database.queries
        await api(query, first=first, circuit=circuits[0].id)
        assert api.database.queries - before <= 25
