"""How edits of features are written: `ablate 3/17@5`, `set {texas}@all=2`, `swap {texas}:{ohio}@last`."""

import re

from schema.errors import InputError

EXAMPLES = {
    "set": "set 3/17@5=2.5",
    "scale": "scale 3/17@5=2",
    "ablate": "ablate 3/17@5",
    "swap": "swap {texas}:{ohio}@all",
    "plant": "plant {texas}@9",
}
"""One of each kind."""
_WHO = r"\{[^{}]+\}|\d+/\d+"
EDIT = re.compile(rf"(\w+)\s+({_WHO})(?::({_WHO}))?@([^=]+)(?:=(.+))?")
"""Kind, whom, in swaps the other one, where, and the number where there is one."""
_WHERE = re.compile(r"all|last|\d+-\d*|\d+(?:,\d+)*")


def check_edit(text: str) -> None:
    """Raises InputError for what is no edit of a prompt, whatever the database and the model have."""
    found = EDIT.fullmatch(text.strip())
    kind = text.split()[0] if text.strip() else ""
    if kind not in EXAMPLES:
        raise InputError(f"{text!r} is no edit", next_step=f"begin with one of {', '.join(EXAMPLES)}")
    example = f"write it like: {EXAMPLES[kind]}"
    if found is None or (found[3] is not None) != (kind == "swap"):
        raise InputError(f"{text!r} cannot be read", next_step=example)
    where, number = found[4], found[5]
    if not _WHERE.fullmatch(where):
        raise InputError(
            f"{text!r}: {where!r} is no position", next_step="write 5, 2,5, 2-5, 2-, last or all after the @"
        )
    wants = {"set": True, "scale": True, "ablate": False, "swap": False}.get(kind, number is not None)
    if wants != (number is not None):
        raise InputError(f"{text!r} cannot be read", next_step=example)
    if number is not None:
        try:
            float(number)
        except ValueError as error:
            raise InputError(f"{text!r}: {number!r} is no number", next_step=example) from error
