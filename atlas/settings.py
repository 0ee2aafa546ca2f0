"""The environment: this is the only file that reads it, once per command.

ATLAS_HOME            folder of the local database, its credentials and its logs (default `./.atlas`)
NEO4J_URI             address of a Neo4j to use instead of the local one (`bolt://…`, `neo4j+s://…`)
NEO4J_USERNAME        user of that Neo4j (default `neo4j`)
NEO4J_PASSWORD        password of that user, or
NEO4J_PASSWORD_FILE   file that holds the password
OTEL_…                variables of OpenTelemetry: `atlas serve` sends traces to the endpoint they name
ATLAS_API             address of the GraphQL API that `atlas query` asks
                      (default `http://127.0.0.1:8000/graphql`)
RAY_ADDRESS           with `--ray auto`: address of the cluster
RAY_USE_TLS           whether that cluster asks for TLS; Ray reads this and its other variables itself
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schema.errors import InputError

DEFAULT_API = "http://127.0.0.1:8000/graphql"


@dataclass(frozen=True)
class Settings:
    """What the environment sets."""

    home: Path
    """Absolute path of the folder of the local database."""
    neo4j_uri: str | None
    """Address of the user's own Neo4j. None: the local one in `home` is used."""
    neo4j_user: str
    """User of the user's own Neo4j."""
    neo4j_password: str | None
    """Password of that user. None only when `neo4j_uri` is None."""
    api: str
    """Address of the GraphQL API for `atlas query`."""
    traces: bool = False
    """Whether the variables of OpenTelemetry name an endpoint for traces. Its library reads the endpoint
    itself."""

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment.

        Raises InputError when NEO4J_URI is set without a password, or the password file cannot be read.
        """
        env = os.environ if environment is None else environment
        uri = env.get("NEO4J_URI") or None
        password = env.get("NEO4J_PASSWORD") or None
        if password is None and (path := env.get("NEO4J_PASSWORD_FILE")):
            try:
                password = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise InputError(
                    f"NEO4J_PASSWORD_FILE names {path}, but the file cannot be read: {error.strerror}",
                    next_step="check the path and its permissions, or set NEO4J_PASSWORD",
                ) from error
        if uri is not None and password is None:
            raise InputError(
                f"NEO4J_URI is set to {uri} but there is no password for it",
                next_step="set NEO4J_PASSWORD or NEO4J_PASSWORD_FILE, or unset NEO4J_URI to use the local "
                "Neo4j",
            )
        return cls(
            home=Path(env.get("ATLAS_HOME") or ".atlas").expanduser().resolve(),
            neo4j_uri=uri,
            neo4j_user=env.get("NEO4J_USERNAME") or "neo4j",
            neo4j_password=password,
            api=env.get("ATLAS_API") or DEFAULT_API,
            traces=env.get("OTEL_SDK_DISABLED", "").lower() != "true"
            and any(env.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_")),
        )


def ray_address() -> str:
    """Where Ray looks first for a cluster; empty when it is not set."""
    return os.environ.get("RAY_ADDRESS", "")


def ray_uses_tls() -> bool:
    """Whether Ray connects with TLS."""
    return os.environ.get("RAY_USE_TLS", "").lower() in ("1", "true")


def no_usage_reports() -> None:
    """Keep Ray from reporting how it is used, unless the environment says that it may."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
