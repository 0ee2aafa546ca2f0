"""From prompts to circuits in the database.

| file | what it has |
|---|---|
| `run` | the whole way: read, attribute, prune, convert, label, load (`atlas ingest`, one prompt, jobs) |
| `prompts` | prompts files: JSON lines, CSV and plain text |
| `known_prompts` | new tags for prompts whose circuits the database has already |
| `convert` | graphs of the engine → records (`schema.circuit.records`) |
| `limits` | limits of the graphs that are computed and stored |
| `heads` | what attention heads carry of a circuit's edges, and where attention scores come from |
| `loader` | threads that load circuits while the next ones are computed |
"""
