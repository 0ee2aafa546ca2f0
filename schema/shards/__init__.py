"""Shards: Parquet files of whole circuits, for machines that do not reach the database.

| file | what it has |
|---|---|
| `store` | a folder at a local path or at any address of fsspec, whose files appear whole |
| `columns` | circuits ↔ the columns of a shard |
| `shard` | a shard as bytes, its name, and the checks of a shard from outside |
| `folder` | the shards of a store: find, write, and what it has already |
"""
