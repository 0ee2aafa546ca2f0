"""The mutations of the GraphQL schema, each in the file of its noun. `api/mutation.py` lists them.

| file | fields |
|---|---|
| `jobs` | `requestCircuits`, `requestClaim`; the queries `job` and `jobs`; the subscription `job` |
| `labels` | `labelFeature` |
| `supernodes` | `groupSupernode`, `renameSupernode`, `mergeSupernodes`, `splitSupernode`; the history |
| `tags` | `tagPrompts`, `setFamily` |
| `delete` | `deleteRun` |
| `writing` | what they share: the check of the token, a thread for the work, checks of names |
"""
