"""Tags that people give to prompts."""

from collections.abc import Sequence

from schema.database import Database, Transaction
from schema.errors import NotFoundError


def tag_prompts(database: Database, prompts: Sequence[str], tags: Sequence[str]) -> None:
    """Give every prompt every tag; those that they have stay. Raises NotFoundError for prompts not there.

    prompts: their ids.
    """

    def work(transaction: Transaction) -> None:
        there = {row["id"] for row in transaction.run(_THERE, {"ids": list(prompts)})}
        missing = [each for each in prompts if each not in there]
        if missing:
            raise NotFoundError(
                f"The database has no prompt {missing[0]!r}",
                next_step="`circuits { nodes { prompt { id text } } }` lists them",
            )
        transaction.run(_TAG, {"p": {"prompts": list(prompts), "tags": list(tags)}})

    database.transaction(work)


# -- Cypher; every value from outside is a parameter

_THERE = "MATCH (p:Prompt) WHERE p.id IN $ids RETURN p.id AS id"

_TAG = """
UNWIND $p.tags AS tag
MERGE (g:Tag {name: tag})
WITH g
UNWIND $p.prompts AS prompt
MATCH (p:Prompt {id: prompt})
MERGE (p)-[:TAGGED]->(g)
"""
