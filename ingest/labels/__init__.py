"""How features get labels: from statistics of tokens, from fitted rules, or from a language model.

| file | what it has |
|---|---|
| `statistics`, `explain`, `namer` | first labels, from the tokens that a feature fires on during the ingest |
| `supernodes` | first supernodes: features of one circuit with equal names |
| `contexts` | a pass over a corpus: where features fire, and the tokens around |
| `examples` | the strongest contexts of a feature, and the tokens that it promotes |
| `rules`, `score` | labels as rules on tokens, with balanced accuracy on held-out contexts and a null |
| `endpoint`, `model_labels` | labels by a language model, and their detection score |
| `roles` | groups of features that fire in the same texts |
| `truth` | the tag of a corpus that fits each feature best |
"""
