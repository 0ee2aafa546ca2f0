"""Lines of CSV (RFC 4180) that tell an unknown value from an empty text.

Null is written as nothing and an empty text as `""`; Python's own writer writes nothing for both. CSV has no
lists, so JSON stands for them.
"""

from collections.abc import Iterable
from typing import Any

import orjson


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV with its end."""
    return ",".join(map(_cell, values)) + "\r\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = orjson.dumps(value).decode() if isinstance(value, list | tuple | dict) else str(value)
    if text == "" or any(each in text for each in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
