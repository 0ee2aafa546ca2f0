"""The token of an API, and whether somebody carries it."""

import hmac


def carries(authorization: str, token: str) -> bool:
    """Whether a header `Authorization: Bearer …` holds the token; how long it takes tells nothing."""
    kind, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
    return kind.lower() == "bearer" and same
