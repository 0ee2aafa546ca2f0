"""Attribution on the machines of a Ray cluster: `atlas ingest --ray`. Needs the extra `ray`.

| file | what it has |
|---|---|
| `connection` | connects to a cluster or starts one on this machine, and says what is wrong with it |
| `workers` | processes on the machines that hold the model |
| `writers` | processes on the machines that write |
| `failures` | errors of these processes, as values |
| `pool` | gives shares of the prompts to workers, and shares of lost workers to others |
| `run` | the driver: plan, skip, count, attribute, write |

Ray Data is not used, because a prompt that ends its worker must fail by name while the others go on. Ray Data
ends the whole job then, or drops a block without saying what was in it.
"""
