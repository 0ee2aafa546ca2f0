"""Circuits as files for other tools.

graph_json  graph JSON of circuit-tracer and Neuronpedia; `schema.formats` reads it back
graphml     GraphML for Gephi, Cytoscape, yEd and NetworkX
node_link   node-link JSON for NetworkX
tables      flat tables in Parquet or CSV
"""
