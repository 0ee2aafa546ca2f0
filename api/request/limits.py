"""The limits of the API: how large a query, a request and an answer may be."""

from dataclasses import dataclass

from graphql import GraphQLError

from schema.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """Every limit of the API, with its default. `create_app` takes other values."""

    depth: int = 14
    """Levels of nesting in a query."""
    fields: int = 1000
    """Fields in a query, counted once for each time that a fragment is used."""
    aliases: int = 30
    """Aliases in a query, counted once for each time that a fragment is used."""
    document: int = 20_000
    """Characters in a query."""
    body: int = 1_000_000
    """Bytes in the body of a request."""
    page_size: int = 100
    """Largest value of `first`."""
    default_page: int = 20
    """Value of `first` when the query leaves it out."""
    list_length: int = 500
    """Entries in one list argument."""
    text_length: int = 2000
    """Characters in one string argument."""
    rows: int = 50_000
    """Rows that one request may read from the database."""
    cost: int = 50_000
    """Estimated cost of a query: about the number of objects in its answer."""
    running: int = 8
    """GraphQL queries and downloads that run at once."""
    waiting: int = 200
    """GraphQL queries and downloads that may wait for a free slot; first come, first served."""
    sockets: int = 100
    """WebSockets that are open at once."""
    subscriptions: int = 10
    """Subscriptions on one WebSocket."""
    kept_rows: int = 20_000
    """Entries of a list that takes long to compute: so many are read at once, and wait for later pages."""
    kept_bytes: int = 64_000_000
    """Bytes of such entries, of all lists together. 0: none are kept."""
    kept_s: float = 600.0
    """Seconds for which such entries are kept. After that, a page computes its list again."""
    introspection: bool = True
    """Whether clients may query the schema itself. GraphiQL needs it."""
    timeout_s: float = 20.0
    """Seconds that one GraphQL request may spend in the database. Waiting for a slot does not count."""
    download_s: float = 300.0
    """Seconds that one download may spend in the database. Waiting for a slot does not count."""


def over_limit(what: str, next_step: str) -> GraphQLError:
    """A LimitError in the form that validation rules report."""
    error = LimitError(what, next_step=next_step)
    return GraphQLError(error.what, original_error=error)
