"""What the ingest adds to an atlas that has circuits already.

| file | what it has |
|---|---|
| `labels` | a pass over a corpus; examples and scored labels from it (`atlas examples`, `atlas label`) |
| `supernodes` | supernodes of the whole atlas (`atlas supernodes`) |
| `supernode_scores` | how well these supernodes agree with the corpus's tags, and how stable they are |
| `checkpoints` | the circuits and features of a training run's checkpoints (`atlas checkpoints`) |

The methods behind labels and supernodes are in `ingest.labels`.
"""
