"""Causal evidence in the database: what interventions showed, beside what graphs predict.

| file | what it holds |
|---|---|
| `statements` | what claims and hypotheses share: a statement, its outcome, and its interventions |
| `claims` | claims of the ledger, about edits of circuits |
| `hypotheses` | hypotheses, registered before their test |
| `interventions` | the record of one intervention, and the diagnosis of circuits |
| `components` | ablated heads, attention and MLPs |
| `false_discovery` | the q-values of Benjamini and Hochberg |
| `ranks` | the agreement of two orders, beside shuffled orders |
"""
