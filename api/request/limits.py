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
    """Fields and uses of fragments in a query, counted once for each time that a fragment is used."""
    aliases: int = 30
    """Aliases in a query, counted once for each time that a fragment is used."""
    pairs: int = 1000
    """Pairs of fields that have one name in one place of a query, such as `{ id id }`."""
    document: int = 20_000
    """Characters in a query."""
    tokens: int = 4000
    """Names, values and signs in a query."""
    body: int = 1_000_000
    """Bytes in the body of a request."""
    page_size: int = 100
    """Largest value of `first`."""
    default_page: int = 20
    """Value of `first` when the query leaves it out."""
    values: int = 20_000
    """Values in the variables of a query."""
    list_length: int = 500
    """Entries in one list argument."""
    text_length: int = 2000
    """Characters in one string argument."""
    rows: int = 50_000
    """Rows that one request may read from the database, and so about the objects that it may make."""
    cost: int = 50_000
    """Estimated cost of a query: about the number of objects in its answer."""
    database_ms: int = 20_000
    """Milliseconds that the questions of a query may take the database, estimated by the kinds of the
    questions."""
    running: int = 8
    """Questions that the database is asked at once. A GraphQL query may ask several; others wait for a slot,
    and the client with the fewest slots gets the next one."""
    client_running: int = 4
    """Such questions of one client, which is an address."""
    heavy_running: int = 3
    """Such questions of a kind that takes long. The other slots are left to the short ones. While another
    client is there, a client gets one of them."""
    waiting: int = 200
    """Requests that the server has at hand, above `running`. It refuses more with status 429."""
    client_requests: int = 60
    """Requests of one client that the server has at hand."""
    client_at_once: int = 4
    """Requests of one client that are worked on at once; 2 while another client is there. The others at hand
    wait."""
    client_s: float = 2.0
    """Seconds of work of the database and the server after which a client gets one slot at a time, while
    another client is there, and rests after each piece of work for twice as long as it took. Beside three
    others or more, half of these seconds are enough. Beside n others, the rest is n times as long as the
    work, up to 10 times; no rest is longer than 3 seconds. Half of what was used is forgotten every 5
    seconds."""
    downloads: int = 4
    """Downloads that run at once, beside the GraphQL queries."""
    client_downloads: int = 2
    """Downloads of one client that run at once."""
    connections: int = 1000
    """Open connections over HTTP. The server closes more at once."""
    client_connections: int = 200
    """Open connections of one client."""
    sockets: int = 100
    """WebSockets that are open at once."""
    client_sockets: int = 20
    """WebSockets of one client that are open at once."""
    subscriptions: int = 10
    """Subscriptions on one WebSocket."""
    client_subscriptions: int = 50
    """Subscriptions of one client, on all its WebSockets."""
    prompt_tags: int = 100
    """Tags of one prompt."""
    open_prompts: int = 20_000
    """Prompts of all jobs that are queued or running."""
    author_open_prompts: int = 5000
    """Prompts of one author's jobs that are queued or running."""
    ended_prompts: int = 100_000
    """Prompts of all jobs that are done or failed. A request deletes the jobs that ended first, not their
    circuits."""
    kept_rows: int = 20_000
    """Entries of a list that takes long to compute: so many are read at once, and wait for later pages."""
    kept_bytes: int = 64_000_000
    """Bytes of such entries, of all lists together. 0: none are kept."""
    kept_s: float = 600.0
    """Seconds for which such entries are kept. After that, a page computes its list again."""
    introspection: bool = True
    """Whether clients may query the schema itself. GraphiQL needs it."""
    timeout_s: float = 20.0
    """Seconds that one GraphQL request may take, with all that it waits for."""
    download_s: float = 300.0
    """Seconds that one download may take, from the request to the last byte."""
    read_s: float = 20.0
    """Seconds for a client to send its request, and again to send the rest of a body."""
    write_s: float = 30.0
    """Seconds for which a client may leave what the server sends unread."""


def over_limit(what: str, next_step: str) -> GraphQLError:
    """A LimitError in the form that validation rules report."""
    error = LimitError(what, next_step=next_step)
    return GraphQLError(error.what, original_error=error)
