"""The file that holds the token which requests to the API must carry."""

from pathlib import Path

from schema.errors import InputError

MIN_LENGTH = 16
"""Characters of the shortest token that is accepted."""


def read_token(file: Path) -> str:
    """The token in a file, without surrounding blanks.

    Raises InputError when the file cannot be read, or the token is too short or not printable ASCII.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The token file {file} cannot be read: {error}", next_step="check the path and its permissions"
        ) from error
    if len(token) < MIN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"The token in {file} is shorter than {MIN_LENGTH} characters, or is not plain ASCII without "
            "blanks",
            next_step=f"make one, for example: openssl rand -hex 24 > {file}",
        )
    return token
