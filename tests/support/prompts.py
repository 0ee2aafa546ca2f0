"""A prompts file for the tiny model, with some lines that fail."""

import json
import random
from pathlib import Path

from tests.support.engine import WORDS

FAMILIES = ("pi", "e", None)
BAD = {
    3: "{broken",
    20: json.dumps({"prompt": "w1 w2 qwertyuiop"}),
    41: json.dumps({"prompt": " ".join(["w1"] * 60)}),
}
"""Line → what is wrong: JSON, a word that the model does not know, too many tokens."""


def write_prompts(path: Path, count: int = 80) -> Path:
    """`count` lines, of which those of `BAD` fail when there are as many."""
    rng = random.Random(0)
    lines = []
    for number in range(1, count + 1):
        words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 9)))
        family = FAMILIES[number % len(FAMILIES)]
        tags = [f"ends in {number % 4}"] if number % 2 else []
        lines.append(
            BAD.get(number)
            or json.dumps({"prompt": f"{words} w{number % 30}", "family": family, "tags": tags})
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
