"""Where things are: the checkout, and the files that tests read."""

from pathlib import Path

HOME = Path(__file__).parents[2]
DATA = HOME / "tests" / "data"
