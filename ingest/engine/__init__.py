"""Computation of attribution graphs and interventions: torch in, torch out, without database or records.

Functions
    ReplacementModel.load(model, transcoders)     ingest.engine.replacement.model
    attribute(model, prompt) -> AttributionGraph  ingest.engine.attribution.attribute
    prune(graph, …) -> Pruned, scores(graph)      ingest.engine.attribution.prune
    intervene(model, prompt, edits, …)            ingest.engine.intervention.intervene
    generate(model, cases, n_tokens, …)           ingest.engine.intervention.generate: text under edits
    measured_effects(model, graph, sources)       ingest.engine.intervention.measure: edges in the real model
    head_loadings(model, graph, pruned)           ingest.engine.heads.loadings
    qk_attribution(model, prompt, …)              ingest.engine.heads.qk

Rooms
    adapters      where each architecture keeps the parts that the engine needs
    transcoders   transcoders in one form, and the readers of their file formats
    loading       what `--model` names: folders, GGUF files, the hub
    replacement   the model with its transcoders, and the forward pass that records a prompt
    attribution   from a prompt to a pruned attribution graph
    intervention  the real model with edited features or ablated components
    heads         the attention heads behind edges, and the sources behind attention scores
    errors        the errors that the engine raises
"""
