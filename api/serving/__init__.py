"""The API over HTTP and WebSockets.

| file | what it holds |
|---|---|
| `endpoint` | `/graphql`: one request from its body to its answer; WebSockets |
| `graphql_schema` | the GraphQL schema with its extensions: limits, caches, tracing |
| `middleware` | request ids, the access log, the counters, the check of the token |
| `bearer_token` | whether a header holds the token |
| `logs` | log records as lines of JSON |
| `tracing` | OpenTelemetry |
| `pages` | HTML pages, and the files of GraphiQL |
| `explorer` | the explorer's page and files, which are in `api/explorer` |
| `console` | the guide and the style that Neo4j Browser fetches |

`api.app.create_app` puts them together. The downloads are in `api.downloads`.
"""
