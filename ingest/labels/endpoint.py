"""An OpenAI-compatible endpoint that answers questions with JSON. Unusable answers are refused."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import httpx2

from schema.errors import EndpointError, InputError

Read = TypeVar("Read")

TRIES = 3
"""Tries of one question, because an endpoint may be busy and an answer may be unusable."""
TIMEOUT_S = 120.0
"""Seconds to wait for one answer."""
SHOWN = 200
"""Characters of an unusable answer that an error quotes."""


class Exchange(NamedTuple):
    """A question and its answer."""

    asked: str
    """The question, as it was sent."""
    answered: str
    """The answer, as it was received."""


@dataclass(frozen=True)
class ModelEndpoint:
    """The address of a language model."""

    url: str
    """The part of the URL before `/chat/completions`."""
    model: str
    """Name of the model at the endpoint."""
    key: str | None = None
    """Sent as a bearer token; None sends no token."""
    pause_s: float = 1.0
    """Seconds before the second try; the pause doubles before each further try."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(
                f"The endpoint {self.url!r} is not a URL", next_step="write it like http://localhost:11434/v1"
            )

    def ask(self, question: str, read: Callable[[Any], Read]) -> tuple[Read, Exchange]:
        """Ask a question whose answer is a JSON object.

        read: turns the object into a value, or raises ValueError with the reason why the answer is unusable.
        Raises EndpointError after `TRIES` tries, or at once when the endpoint refuses the request itself.
        """
        trouble = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            try:
                text = self._post(question)
                return read(_object(text)), Exchange(question, text)
            except httpx2.HTTPStatusError as error:
                status = error.response.status_code
                trouble = f"it answered with HTTP status {status}"
                if status < 500 and status not in (408, 429):
                    break
            except (httpx2.HTTPError, ValueError) as error:
                trouble = str(error) or type(error).__name__
        raise EndpointError(
            f"{self.url} gave no usable answer from {self.model!r}: {trouble}",
            next_step="check URL, model and key, then repeat the command; nothing was stored for it",
        )

    def _post(self, question: str) -> str:
        response = httpx2.post(
            f"{self.url.rstrip('/')}/chat/completions",
            json={
                "model": self.model,
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "response_format": {"type": "json_object"},
            },
            headers={} if self.key is None else {"Authorization": f"Bearer {self.key}"},
            timeout=TIMEOUT_S,
        )
        response.raise_for_status()
        try:
            text = response.json()["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError("the body has no choices[0].message.content") from error
        except ValueError as error:
            raise ValueError(f"the body is not JSON: {response.text[:SHOWN]!r}") from error
        if not isinstance(text, str):
            raise ValueError("choices[0].message.content is not a text")
        return text


def _object(text: str) -> dict[str, Any]:
    """Parse the JSON object of an answer, which may be in a fenced block. Raises ValueError."""
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ValueError(f"the answer is not JSON: {text[:SHOWN]!r}") from error
    if not isinstance(found, dict):
        raise ValueError(f"the answer is not a JSON object: {text[:SHOWN]!r}")
    return found
