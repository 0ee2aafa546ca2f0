"""Every error that the atlas raises on purpose.

AtlasError                  the root: what is wrong, where, and what to do next
├── InputError              an input of the user is wrong (file, line, value)
│   └── FileError           a file of another tool cannot be read; names file, key and reason
├── LimitError              a request exceeds a limit
├── NotFoundError           a circuit, feature or other object does not exist
├── ConflictError           somebody else changed the object since it was read
├── TokenError              the request needs a token, and the server has none
├── EndpointError           a language model gave no usable answer
├── DownloadError           a published file could not be fetched or has a wrong hash
├── ServerError             the local Neo4j could not be started or stopped
└── DatabaseError           Neo4j refused or failed
    ├── UnreachableError    no database answers at the address
    ├── CredentialsError    the user name or password is wrong
    ├── RefusedError        Neo4j refused a value
    ├── QueryTimeoutError   the transaction exceeded its time limit
    ├── QueryMemoryError    the transaction needs more memory than Neo4j has for it
    └── MigrationError      this code cannot use the version of the database

The engine has its own tree (`ingest.engine.errors`), because it must not depend on the database.
"""


class AtlasError(Exception):
    """The root of the tree. `str(error)` is the message with the next step."""

    code = "ATLAS_ERROR"

    def __init__(self, what: str, *, next_step: str | None = None) -> None:
        self.what = what
        self.next_step = next_step
        super().__init__(what if next_step is None else f"{what}\n  → {next_step}")


class InputError(AtlasError):
    """An input of the user is wrong. The message names the file, line or argument, and the correction."""

    code = "BAD_INPUT"


class FileError(InputError):
    """A file of another tool cannot be read."""

    code = "BAD_FILE"

    def __init__(self, file: str, key: str, reason: str, *, next_step: str | None) -> None:
        """key: the place in the file, such as `nodes[3].feature`. reason: what is wrong there."""
        self.file = file
        self.key = key
        self.reason = reason
        super().__init__(f"{file}: {key}: {reason}", next_step=next_step)


class LimitError(AtlasError):
    """A request exceeds a limit. The message names the limit and its value."""

    code = "OVER_LIMIT"


class NotFoundError(AtlasError):
    """A requested object does not exist."""

    code = "NOT_FOUND"


class ConflictError(AtlasError):
    """An object cannot be changed, because somebody else changed it since it was read."""

    code = "CONFLICT"


class TokenError(AtlasError):
    """The request needs a token, and the server was started without a token."""

    code = "TOKEN_NEEDED"


class EndpointError(AtlasError):
    """A language model that was asked for labels did not answer or gave no usable answer."""

    code = "LABEL_ENDPOINT"


class DownloadError(AtlasError):
    """A published file could not be fetched, or its hash is wrong."""

    code = "DOWNLOAD"


class ServerError(AtlasError):
    """The local Neo4j could not be started or stopped. The message quotes the end of its log."""

    code = "LOCAL_SERVER"


class DatabaseError(AtlasError):
    """Neo4j refused or failed. `schema.database` makes this error from an error of the driver."""

    code = "DATABASE_ERROR"


class UnreachableError(DatabaseError):
    """No database answers at the address."""

    code = "DATABASE_UNREACHABLE"


class CredentialsError(DatabaseError):
    """The database refused the user name or password."""

    code = "DATABASE_CREDENTIALS"


class RefusedError(DatabaseError):
    """The database refused a value: a constraint or a limit of Neo4j forbids it."""


class QueryTimeoutError(DatabaseError):
    """The database stopped a transaction that exceeded its time limit."""

    code = "QUERY_TIMEOUT"


class QueryMemoryError(DatabaseError):
    """The database stopped a transaction that needs more memory than Neo4j has for transactions."""

    code = "QUERY_MEMORY"


class MigrationError(DatabaseError):
    """This code cannot use the recorded version of the database."""

    code = "DATABASE_VERSION"
