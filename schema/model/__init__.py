"""The graph model: every label, relationship type and property is declared here once.

declare      the types with which the model is declared
core         models, features, prompts, runs, circuits and their nodes; NODES and RELATIONSHIPS list
             everything
aggregates   relationships that sum up circuits: USES, FOUND_IN, COVERS, DRIVES, DRIVES_IN
labels       labels and examples of features
people       earlier versions of people's supernodes
modules      communities of features
checkpoints  checkpoints of a training run
evidence     hypotheses, claims, interventions and ablations
jobs         requests that the ingest service works on
page         the page `docs/graph-model.md`
"""
