"""What became of the prompt of a circuit that was given again."""

from typing import NamedTuple


class TaggedCircuit(NamedTuple):
    """A stored circuit whose prompt was given again, with tags."""

    circuit: str
    family: str | None
    """Family of the prompt, which stays; None without one."""
    n_new: int
    """Number of tags that the prompt did not have before."""
