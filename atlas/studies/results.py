"""Results of studies as JSON files: one file per study in a folder, which pages and reports read.

A file holds the study's question, the model, and rows of rates, findings, curves and effects. Numbers are not
rounded.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ingest.circuits.limits import MAX_FEATURE_NODES
from schema.atomic_file import atomic_write
from schema.errors import InputError

if TYPE_CHECKING:
    from ingest.studies.tools.study import Study, StudyResult

FORMAT = 1
ROWS = ("rates", "findings", "curves", "effects")


def to_json(
    study: "Study",
    result: "StudyResult",
    *,
    model: str,
    transcoders: str,
    prompts: str,
    first_token: str = "left-out",
    max_feature_nodes: int | None = MAX_FEATURE_NODES,
) -> dict[str, Any]:
    """A result as a JSON object.

    model, transcoders, prompts, first_token, max_feature_nodes: their values on the command line. The last
    two are left out when they are the usual ones.
    """
    return {
        "format": FORMAT,
        "study": study.name,
        "title": study.title,
        "asks": study.asks,
        "model": model,
        "transcoders": transcoders,
        "prompts": prompts,
        **({} if first_token == "left-out" else {"first_token": first_token}),
        **({} if max_feature_nodes == MAX_FEATURE_NODES else {"max_feature_nodes": max_feature_nodes}),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **{key: [each.row() for each in getattr(result, key)] for key in ROWS},
    }


def write_result(folder: Path, measured: dict[str, Any]) -> Path:
    """Write a result into `folder`. It replaces an earlier result of the same study. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{measured['study']}.json"
    with atomic_write(file) as part:
        part.write_bytes(orjson.dumps(measured, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return file


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Every result in a folder, by name of the study. A folder that does not exist has no results.

    Raises InputError for a file that is not a result.
    """
    found = {}
    for file in sorted(folder.glob("*.json")):
        try:
            measured = orjson.loads(file.read_bytes())
            fits = measured["format"] == FORMAT and all(isinstance(measured[key], list) for key in ROWS)
            found[str(measured["study"])] = measured
        except (orjson.JSONDecodeError, KeyError, TypeError):
            fits = False
        if not fits:
            raise InputError(
                f"{file} is not a result of a study", next_step="name a folder that `atlas study run` wrote"
            )
    return found
