"""Writes circuits to the database and reads them back.

load          a group of circuits in one transaction, with their share of every aggregate
bulk          many circuits as CSV tables for Neo4j's own importer; `bulk_table` is one such table
rows          a circuit's record as the parameters of the queries that load it
properties    the properties of a record, derived from the declared model
validate      refuses records whose parts do not fit together
effects       the effects of features on features in one circuit, and the number that identifies a pair
shares        what circuits add to the aggregates, merged for a group
aggregates    the arithmetic of all aggregates: add, remove and recompute
fragments     Cypher that several queries share
additions     adds the supernodes, labels and traces of a file to a circuit that is already stored
model_of_set  decides which model a transcoder set belongs to
runs          the ledger of runs
read          circuits out of the database, and finding a circuit by name

Other rooms write too: `schema.annotations`, `schema.evidence` and `schema.jobs` write what people,
measurements and jobs add to circuits, and `schema.upkeep` deletes and repairs.
"""
