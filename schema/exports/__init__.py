"""Circuits as files for other tools.

files       circuits, or the rows of a query, to files in any of these formats
graph_json  graph JSON of circuit-tracer and Neuronpedia; `schema.formats` reads it back
graphml     GraphML for Gephi, Cytoscape, yEd and NetworkX
node_link   node-link JSON for NetworkX
tables      flat tables in Parquet or CSV
"""
