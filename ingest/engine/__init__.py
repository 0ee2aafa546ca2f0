"""Attribution graphs, numerics only: torch in, torch out; no database and no records.

attribute(model, prompt) -> AttributionGraph      ingest.engine.attribute
prune(graph, …) -> Pruned, scores(graph)          ingest.engine.prune
intervene(model, prompt, edits, …)                ingest.engine.intervene
ReplacementModel.load(model, transcoders)         ingest.engine.model
"""
