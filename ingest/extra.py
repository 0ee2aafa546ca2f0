"""The packages of the extra `ingest`, which running a model needs, and the error when one is missing."""

from schema.errors import InputError

PACKAGES = ("torch", "transformers", "safetensors", "huggingface_hub", "yaml")
"""Modules that the extra `ingest` adds to the packages of `pip install circuit-atlas`."""


def missing_extra(error: ModuleNotFoundError) -> InputError | None:
    """What to install when a package of the extra is missing; None when another package is missing."""
    name = (error.name or "").partition(".")[0]
    if name not in PACKAGES:
        return None
    return InputError(
        f"This needs to run a model, and the package {name} is not installed",
        next_step='install the extra: pip install "circuit-atlas[ingest]"',
    )
