"""The model on the machines of a Ray cluster: commands with `--ray`. Needs the extra `ray`.

| file | what it has |
|---|---|
| `connection` | connects to a cluster or starts one on this machine, and says what is wrong with it |
| `starting` | starts processes that hold the model, and says what is wrong with them |
| `workers` | processes that hold the model and attribute prompts |
| `writers` | processes on the machines that write |
| `failures` | errors of these processes, as values |
| `pool` | gives shares of the work to workers, and shares of lost workers to others |
| `run` | the driver of `atlas ingest`: plan, skip, count, attribute, write |
| `holders` | processes that hold the model for a command that stores the results itself |
| `firings` | where features fire in a corpus, for `atlas examples`, `label` and `supernodes` |
| `measuring` | the sums over batches of texts, for `atlas transcoders measure` |

Ray Data is not used, because a prompt that ends its worker must fail by name while the others go on. Ray Data
ends the whole job then, or drops a block without saying what was in it.
"""
