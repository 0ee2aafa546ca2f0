"""Results of a study as tables, for the terminal, the study's page, the demo and the report."""

from collections.abc import Mapping
from typing import Any

from atlas.tables import Rows

Measured = Mapping[str, list[dict[str, Any]]]
"""Rows of rates, findings, curves and effects, as in `atlas.studies.results.to_json`."""


def measured_tables(measured: Measured) -> list[Rows]:
    """One table for each kind of result that the study has."""
    found = (
        rates_table(measured["rates"]),
        _findings(measured["findings"]),
        _curves(measured["curves"]),
        *_effects(measured["effects"]),
    )
    return [rows for rows in found if rows.rows]


def rates_table(rates: list[dict[str, Any]]) -> Rows:
    """A table of the success rates of interventions beside those of random features."""
    columns = ["intervention", "success", "random features", "n", "edited of active", "chosen setting"]
    rows = [
        [
            rate["claim"],
            f"{rate['rate']:.2f}",
            f"{rate['null_rate']:.2f}",
            rate["n"],
            f"{rate['edited']:.0f} of {rate['active']:.0f}",
            ", ".join(f"{key} {value:g}" for key, value in rate["setting"].items())
            + " (development: {} of {})".format(*rate["development"]),
        ]
        for rate in rates
    ]
    return Rows("", columns, rows)


def _findings(findings: list[dict[str, Any]]) -> Rows:
    rows = [[each["what"], _number(each["value"]), _number(each["null"]), each["n"]] for each in findings]
    return Rows("", ["measured", "value", "null", "n"], rows)


def _curves(curves: list[dict[str, Any]]) -> Rows:
    steps = [f"{step}" for step, _ in curves[0]["points"]] if curves else []
    rows = [
        [each["group"], each["what"], *(f"{value:.2f}" for _, value in each["points"])] for each in curves
    ]
    return Rows("", ["", "at training step", *steps], rows)


def _effects(effects: list[dict[str, Any]]) -> list[Rows]:
    """Two tables with a row per part: accuracy after its ablation, and its share of influence in circuits."""
    families = {each["family"]: each["n"] for each in effects}
    by_part: dict[str, dict[str, dict[str, Any]]] = {}
    for each in effects:
        by_part.setdefault(each["part"], {})[each["family"]] = each
    left = [
        [
            part,
            next(iter(row.values()))["size"],
            *(
                f"{each['accuracy']:.2f} ({each['null_accuracy']:.2f}), "
                f"{each['edited']:.0f}/{each['active']:.0f}"
                for each in row.values()
            ),
        ]
        for part, row in by_part.items()
    ]
    claimed = [
        [part, next(iter(row.values()))["size"], *(f"{each['share']:.2f}" for each in row.values())]
        for part, row in by_part.items()
    ]
    names = [f"{family}, n = {n}" for family, n in families.items()]
    return [
        Rows("", ["right without (without random features), edited/active", "features", *names], left),
        Rows("", ["share of influence in circuits", "features", *families], claimed),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
