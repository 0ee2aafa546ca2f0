"""Attribution graphs, numerics only: torch in, torch out; no database and no records.

attribute(model, prompt) -> AttributionGraph      ingest.engine.attribution.attribute
prune(graph, …) -> Pruned, scores(graph)          ingest.engine.attribution.prune
intervene(model, prompt, edits, …)                ingest.engine.intervention.intervene; many cases at once,
too generate(model, cases, n_tokens, …)               ingest.engine.intervention.generate, under edits
measured_effects(model, graph, sources)           ingest.engine.intervention.measure: edges, in the real model
head_loadings(model, graph, pruned)               ingest.engine.heads.loadings
qk_attribution(model, prompt, …)                  ingest.engine.heads.qk
ReplacementModel.load(model, transcoders)         ingest.engine.replacement.model
"""
