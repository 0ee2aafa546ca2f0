"""An OpenAI-compatible endpoint that is asked for JSON; what is no proper answer is refused."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import httpx2

from schema.errors import EndpointError, InputError

Read = TypeVar("Read")

TRIES = 3
"""Of one question: endpoints are busy at times, and models answer beside the point at times."""
TIMEOUT_S = 120.0
SHOWN = 200
"""Characters of a bad answer that an error quotes."""


class Exchange(NamedTuple):
    """A question and its answer, as they were sent and came back."""

    asked: str
    answered: str


@dataclass(frozen=True)
class Endpoint:
    """Where a language model is."""

    url: str
    """Up to and without `/chat/completions`."""
    model: str
    """Its name there."""
    key: str | None = None
    """Sent as a bearer token."""
    pause_s: float = 1.0
    """Before the second try; twice as long before the third."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(
                f"The endpoint {self.url!r} is no address", next_step="write it as http://localhost:11434/v1"
            )

    def ask(self, question: str, read: Callable[[Any], Read]) -> tuple[Read, Exchange]:
        """Ask a question whose answer is a JSON object.

        read: takes the object and raises ValueError, saying why, when it is no proper answer. Raises
        EndpointError after `TRIES` tries, or at once when the endpoint refuses the request itself.
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
            next_step="check address, model and key; the same command tries again, nothing was stored for it",
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
            raise ValueError(f"the body is no JSON: {response.text[:SHOWN]!r}") from error
        if not isinstance(text, str):
            raise ValueError("choices[0].message.content is no text")
        return text


def _object(text: str) -> dict[str, Any]:
    """The JSON object of an answer, which may stand in a fenced block. Raises ValueError."""
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ValueError(f"the answer is no JSON: {text[:SHOWN]!r}") from error
    if not isinstance(found, dict):
        raise ValueError(f"the answer is no JSON object: {text[:SHOWN]!r}")
    return found
