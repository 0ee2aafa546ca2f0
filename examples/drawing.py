"""Shared code of the examples: read the options, ask the API, save one picture, report errors.

    draw(__doc__, picture, out="shared.png", family="refusals")

Each keyword argument is an option of the script (`--family`); its value is the default.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import matplotlib

from atlas.client import DEFAULT_URL, AtlasClient
from schema.errors import AtlasError

matplotlib.use("Agg")

from matplotlib import pyplot

Picture = Callable[..., Any]
"""(client, options…) → a matplotlib figure."""


def draw(description: str, picture: Picture, *, out: str, **options: str | int | None) -> None:
    """Run a script: read its options from the command line and write its picture to a file."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    for name, default in options.items():
        kind = int if isinstance(default, int) else str
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=default, help=f"default: {default}"
        )
    parser.add_argument("--out", default=out, help=f"file of the picture: png, svg or pdf (default: {out})")
    parser.add_argument("--api", default=DEFAULT_URL, help=f"address of the API (default: {DEFAULT_URL})")
    chosen = vars(parser.parse_args())
    file, address = chosen.pop("out"), chosen.pop("api")
    try:
        with AtlasClient(address) as client:
            figure = picture(client, **chosen)
    except AtlasError as error:
        sys.exit(f"error: {error}")
    figure.savefig(file, dpi=150, bbox_inches="tight")
    pyplot.close(figure)
    print(f"written to {file}")


def axes(width: float, height: float) -> tuple[Any, Any]:
    """A new figure and its axes; sizes in inches."""
    return pyplot.subplots(figsize=(width, height))


def name(feature: dict[str, Any]) -> str:
    """A readable name of a feature: layer, number and first label. Needs { id layer labels { text } }."""
    label = next((each["text"] for each in feature.get("labels", ())), "")
    number = feature["id"].rsplit("/", 1)[-1]
    return f"L{feature['layer']}/{number} {label[:40]}".strip()


def names(client: AtlasClient, features: list[str]) -> list[str]:
    """Readable names of features by id."""
    text = "query ($id: ID!) { feature(id: $id) { id layer labels { text } } }"
    return [name(client.query(text, {"id": each})["feature"]) for each in features]
