"""Other tools' graph files into the database: one reader, two writers.

| file | what it has |
|---|---|
| `settings` | what to import, and the summary of an import |
| `reader` | files → circuits, with progress and one error for each refused file |
| `files` | writer into a running database (`atlas import`) |
| `bulk` | writer of tables for Neo4j's own importer, for a new database (`atlas bulk-import`) |
| `feature_files` | labels and examples from feature files |
| `unpruned` | circuit-tracer's `.pt` graphs, which are pruned here |

The file formats are in `schema.formats`.
"""
