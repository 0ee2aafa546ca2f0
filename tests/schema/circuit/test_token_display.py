"""Texts of tokens as people see them."""

import pytest

from schema.circuit.token_display import displayed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Rome", "Rome"),
        (" Rome", "␣Rome"),
        ("two words ", "two words␣"),
        ("  ", "␣␣"),
        ("", ""),
        ("\n\n", "↵↵"),
        ("\tx\r\n", "⇥x␍↵"),
        ("\u200b\x1b", "\\u200b\\x1b"),
        ("日[1/3]", "日[1/3]"),
    ],
)
def test_what_is_invisible_is_shown(text: str, shown: str) -> None:
    assert displayed(text) == shown
