"""A wait is reported when it is long, and only then."""

import threading

from schema.slow import said_if_slow


def test_only_a_long_wait_is_said() -> None:
    said: list[str] = []
    heard = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        heard.set()

    with said_if_slow("short", say, after_s=3600):
        pass
    with said_if_slow("long", say, after_s=0.01):
        assert heard.wait(60)
    assert said == ["long"]
