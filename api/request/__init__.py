"""What every request goes through, whichever question it asks.

| file | what it holds |
|---|---|
| `limits` | every limit, with its default |
| `query_text` | parses and validates query texts, off the event loop |
| `query_size` | refuses query texts that are too deep, or have too many fields, aliases or pairs |
| `cost` | estimates the cost of a query, and refuses one that is too costly |
| `weights` | how long each kind of question takes the database, as measured |
| `concurrency` | slots that clients take in turn, and the number of requests at hand |
| `watching` | watches jobs for all subscriptions together |
| `disconnect` | cancels the work for a client that has disconnected |
| `batching` | how a request reads the database: few messages, each with all that the query needs |
| `connection`, `cursors` | pages of long lists |
| `inputs` | arguments that several questions share, and the checks of their values |
| `errors` | the form in which errors leave the API |
| `metrics` | what Prometheus reads |
"""
