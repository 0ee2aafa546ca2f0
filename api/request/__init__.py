"""What every request goes through, whichever question it asks.

| file | what it holds |
|---|---|
| `limits` | every limit, with its default |
| `query_size` | refuses query texts that are too long, too deep, or have too many fields or aliases |
| `cost` | estimates the cost of a query, and refuses one that is too costly |
| `concurrency` | slots: how many queries run at once and how many wait |
| `disconnect` | cancels the work for a client that has disconnected |
| `batching` | how a request reads the database: few messages, each with all that the query needs |
| `connection`, `cursors` | pages of long lists |
| `inputs` | arguments that several questions share, and the checks of their values |
| `errors` | the form in which errors leave the API |
| `metrics` | what Prometheus reads |
"""
