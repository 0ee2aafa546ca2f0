"""The check of the token that clients send."""

import hmac


def has_token(authorization: str, token: str) -> bool:
    """Whether the value of a header `Authorization: Bearer …` holds the token.

    The comparison takes equally long for every wrong token, so that its duration reveals nothing.
    """
    kind, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
    return kind.lower() == "bearer" and same
