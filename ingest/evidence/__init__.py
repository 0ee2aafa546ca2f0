"""Causal tests: edits of features, run in the real model and written to the database.

| file | what it holds |
|---|---|
| `interventions` | `atlas intervene`: one prompt under edits |
| `named_edits` | edits that name supernodes or plant features, rewritten as edits of single features |
| `effects` | the effect of edits on a next token, beside random features |
| `claims` | `atlas intervene --keep`: the ledger |
| `hypotheses` | `atlas hypothesis`: held-out prompts |
| `walk` | the walk over circuits that `diagnostics` and `components` share |
| `diagnostics` | `atlas diagnose`: features of circuits |
| `components` | `atlas ablate`: heads, attention and MLPs of circuits |
| `answers` | the answer of a stored circuit, checked against the model |
| `model_names` | how statements name a model and its transcoders |
"""
