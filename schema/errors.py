"""Every error the atlas raises on purpose.

AtlasError                  the root: what was wrong, where, and what to do next
├── InputError              something the user gave is wrong (file, line, value)
│   └── FileError           a file of another tool cannot be read: names file, key and reason
├── LimitError              a request is over a stated limit
├── NotFoundError           no such circuit, feature, file …
├── ConflictError           somebody else changed meanwhile what was to be changed
├── TokenError              what is asked needs a token, and the server has none
├── EndpointError           a language model that was asked gave no usable answer
├── DownloadError           a published file could not be fetched, or is not what was expected
├── ServerError             the local Neo4j could not be started or stopped
└── DatabaseError           Neo4j said no
    ├── UnreachableError    nothing answers at the address
    ├── CredentialsError    wrong user or password
    ├── QueryTimeoutError   the transaction ran past its limit
    ├── QueryMemoryError    the transaction needs more memory than Neo4j gives it
    └── MigrationError      the database is not at the version this code needs

The engine has a tree of its own (`ingest.engine.errors`), because it knows nothing of the database.
"""


class AtlasError(Exception):
    """The root of the tree. `str(error)` is the whole message, next step included."""

    code = "ATLAS_ERROR"

    def __init__(self, what: str, *, next_step: str | None = None) -> None:
        self.what = what
        self.next_step = next_step
        super().__init__(what if next_step is None else f"{what}\n  → {next_step}")


class InputError(AtlasError):
    """Something the user gave is wrong: names the file, line or argument, and the mend."""

    code = "BAD_INPUT"


class FileError(InputError):
    """A file of another tool cannot be read."""

    code = "BAD_FILE"

    def __init__(self, file: str, key: str, reason: str, *, next_step: str | None) -> None:
        """key: where in the file, such as `nodes[3].feature`; reason: what is wrong there."""
        self.file = file
        self.key = key
        self.reason = reason
        super().__init__(f"{file}: {key}: {reason}", next_step=next_step)


class LimitError(AtlasError):
    """A request is over a stated limit; the message says which limit and its value."""

    code = "OVER_LIMIT"


class NotFoundError(AtlasError):
    """What was asked for is not there."""

    code = "NOT_FOUND"


class ConflictError(AtlasError):
    """What was to be changed is not what it was when it was read."""

    code = "CONFLICT"


class TokenError(AtlasError):
    """What is asked needs a token, and the server was started without one."""

    code = "TOKEN_NEEDED"


class EndpointError(AtlasError):
    """A language model that was asked for labels could not be reached, or gave no usable answer."""

    code = "LABEL_ENDPOINT"


class DownloadError(AtlasError):
    """A published file could not be fetched, or its hash is not the expected one."""

    code = "DOWNLOAD"


class ServerError(AtlasError):
    """The local Neo4j could not be started or stopped; the message quotes its own last words."""

    code = "LOCAL_SERVER"


class DatabaseError(AtlasError):
    """Neo4j refused or failed; raised by `schema.database` only, from the driver's own errors."""

    code = "DATABASE_ERROR"


class UnreachableError(DatabaseError):
    """Nothing answers at the database's address."""

    code = "DATABASE_UNREACHABLE"


class CredentialsError(DatabaseError):
    """The database refused the user name or password."""

    code = "DATABASE_CREDENTIALS"


class QueryTimeoutError(DatabaseError):
    """The database stopped a transaction that ran past its time limit."""

    code = "QUERY_TIMEOUT"


class QueryMemoryError(DatabaseError):
    """The database stopped a transaction that needs more memory than it has for transactions."""

    code = "QUERY_MEMORY"


class MigrationError(DatabaseError):
    """The database's recorded version is not one this code can use."""

    code = "DATABASE_VERSION"
