"""Where things are: the only file that reads the environment, and it does so once.

ATLAS_HOME            the atlas's own folder: local database, credentials, logs (default `.atlas` here)
NEO4J_URI             use this Neo4j instead of a local one (`bolt://…`, `neo4j+s://…`)
NEO4J_USERNAME        its user (default `neo4j`)
NEO4J_PASSWORD        its password, or
NEO4J_PASSWORD_FILE   a file that holds it
OTEL_…                of OpenTelemetry: with an endpoint, `atlas serve` sends traces there
ATLAS_API             address of the GraphQL API that `atlas query` asks (default `http://127.0.0.1:8000/graphql`)
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schema.errors import InputError

DEFAULT_API = "http://127.0.0.1:8000/graphql"


@dataclass(frozen=True)
class Settings:
    """What the environment said."""

    home: Path
    """The atlas's own folder, absolute."""
    neo4j_uri: str | None
    """A Neo4j of the user's; None means the local one in `home`."""
    neo4j_user: str
    neo4j_password: str | None
    api: str
    """Address of the GraphQL API for `atlas query`."""
    traces: bool = False
    """Whether OpenTelemetry's own variables name an endpoint for traces; its library reads them itself."""

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
                    f"NEO4J_PASSWORD_FILE names {path}, which cannot be read: {error.strerror}",
                    next_step="check the path and its permissions, or set NEO4J_PASSWORD",
                ) from error
        if uri is not None and password is None:
            raise InputError(
                f"NEO4J_URI is set to {uri} but there is no password for it",
                next_step="set NEO4J_PASSWORD or NEO4J_PASSWORD_FILE, or unset NEO4J_URI to use a local one",
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
