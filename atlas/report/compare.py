"""Comparison of two models, checkpoints or runs of the studies.

A side is one of: a folder of study results; `step:N`, a checkpoint in the results of the study of emergence;
`model:NAME`, the circuits of one model in the atlas; the address of another atlas's API.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from atlas.client import AtlasClient
from atlas.report.parts import Section
from atlas.studies.results import read_results
from atlas.tables import Rows
from schema.errors import InputError

Measure = tuple[str, str]
"""The subject (a study or a prompt family), and what is measured."""


class Value(NamedTuple):
    """One measured number of one side."""

    value: float
    null: float | None
    """The value under the null model, such as random features. None: there is no null model."""
    n: int | None
    """Number of prompts or circuits. None: unknown."""


Side = Mapping[Measure, Value]

COUNTS = "query ($all: CircuitFilter, $right: CircuitFilter) { " + (
    "all: circuits(filter: $all, first: 1) { totalCount } right: circuits(filter: $right, "
    "first: 1) { totalCount } }"
)


def comparison(a: str, b: str, results: Path, api: str) -> Section:
    """A table of what both sides measured and of the differences. A measure that one side lacks stays empty.

    results: folder of the results for `step:N`; api: address of the atlas for `model:NAME`. Raises InputError
    for a side that does not exist or is empty, and for two sides without a common measure.
    """
    sides = [_side(each, results, api) for each in (a, b)]
    if not sides[0].keys() & sides[1].keys():
        raise InputError(
            f"{a} and {b} have no measure in common",
            next_step="compare two folders of results, two checkpoints, two models, or two atlases",
        )
    rows = []
    for measure in dict.fromkeys((*sides[0], *sides[1])):
        values = [side.get(measure) for side in sides]
        cells: list[object] = [*measure]
        for value in values:
            cells += (
                ["", "", ""] if value is None else [_number(value.value), _number(value.null), value.n or ""]
            )
        first, second = values
        cells.append("" if first is None or second is None else f"{second.value - first.value:+.2f}")
        rows.append(cells)
    columns = ["subject", "measured", "A", "A null", "A n", "B", "B null", "B n", "B − A"]
    text = f"A is {a}, B is {b}. A cell is empty when that side did not measure it."
    return Section("compare", f"{_short(a)} against {_short(b)}", text, [Rows("", columns, rows)])


def _side(name: str, results: Path, api: str) -> Side:
    if name.startswith("step:"):
        found = _checkpoint(name, results)
    elif name.startswith("model:"):
        found = _model(name.removeprefix("model:"), api)
    elif name.startswith(("http://", "https://")):
        found = _atlas(name)
    else:
        if not Path(name).is_dir():
            raise InputError(
                f"{name!r} cannot be compared",
                next_step="name a folder of results, step:N, model:NAME, or the address of an atlas's API",
            )
        found = _folder(Path(name))
    if not found:
        raise InputError(f"{name} has no results", next_step="`atlas study run --results FOLDER` writes some")
    return found


def _folder(folder: Path) -> Side:
    found: dict[Measure, Value] = {}
    for measured in read_results(folder).values():
        for rate in measured["rates"]:
            found[measured["title"], rate["claim"]] = Value(rate["rate"], rate["null_rate"], rate["n"])
        for each in measured["findings"]:
            found[measured["title"], each["what"]] = Value(each["value"], each["null"], each["n"])
    return found


def _checkpoint(name: str, results: Path) -> Side:
    emergence = read_results(results).get("emergence")
    if emergence is None:
        raise InputError(
            f"{results} has no results of the study of emergence", next_step="run `atlas study run emergence`"
        )
    step = name.removeprefix("step:")
    found = {
        (curve["group"], curve["what"]): Value(value, None, None)
        for curve in emergence["curves"]
        for at, value in curve["points"]
        if str(at) == step
    }
    if not found:
        steps = ", ".join(str(at) for at, _ in emergence["curves"][0]["points"])
        raise InputError(f"There is no checkpoint {name}", next_step=f"steps are: {steps}")
    return found


def _atlas(url: str) -> Side:
    names = ("accuracy", "replacementScore", "completenessScore", "errorShare")
    with AtlasClient(url) as client:
        families = client.query(f"{{ families {{ name nCircuits {' '.join(names)} }} }}")["families"]
    return {
        (family["name"], name): Value(family[name], None, family["nCircuits"])
        for family in families
        for name in names
        if family[name] is not None
    }


def _model(model: str, api: str) -> Side:
    found: dict[Measure, Value] = {}
    with AtlasClient(api) as client:
        for family in client.query("{ families { name } }")["families"]:
            of = {"families": [family["name"]], "model": model}
            answer = client.query(COUNTS, {"all": of, "right": {**of, "correct": True}})
            n = answer["all"]["totalCount"]
            if n:
                right = answer["right"]["totalCount"] / n
                found[family["name"], "circuits that say the expected answer"] = Value(right, None, n)
    if not found:
        raise InputError(
            f"The atlas at {api} has no circuits of the model {model!r}",
            next_step="`atlas stats` lists its models",
        )
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _short(name: str) -> str:
    return name if ":" in name else Path(name).name
