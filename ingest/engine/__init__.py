"""Attribution graphs, numerics only: torch in, torch out; no database and no records.

attribute(model, prompt) -> AttributionGraph      ingest.engine.attribute
prune(graph, …) -> Pruned, scores(graph)          ingest.engine.prune
intervene(model, prompt, edits, …)                ingest.engine.intervene; many cases at once, too
generate(model, cases, n_tokens, …)               ingest.engine.generate, under edits
measured_effects(model, graph, sources)           ingest.engine.measure: edges, in the real model
head_loadings(model, graph, pruned)               ingest.engine.loadings
qk_attribution(model, prompt, …)                  ingest.engine.qk
ReplacementModel.load(model, transcoders)         ingest.engine.model
"""
