"""Write the sample answers in `schema/cypher/` again: `make console-answers`.

Answers come from the database of ATLAS_HOME, which is filled first; what is there already stays. Use a home
of its own: other circuits in it would change the answers.
"""

import json
import sys
import tempfile
from importlib import resources
from pathlib import Path

from atlas.cli import app
from atlas.database import Login
from atlas.settings import Settings
from ingest.organism.weights import PROMPTS_PATH
from schema.database import Database
from schema.errors import AtlasError
from schema.question import Question
from schema.sample_answers import with_answer

QUESTION = "does what says a capital's first letters also say the capital?"
EDIT = "ablate 3/1260@all"
TIMEOUT_S = 60
CLAIM = ["intervene", "--keep", "--family", "multi-step", "--limit", "20", "--ablate", "{capital}@all"]
DIAGNOSE = ["diagnose", "--family", "multi-step", "--limit", "2"]
NOT_FILLED = {"checkpoints", "checkpoint_features", "checkpoint_parts", "history_of_feature"}
"""About a training run: its checkpoints are not part of what is installed."""
NOT_FILLED |= {"jobs", "jobs_by_id", "versions_of_supernode"}
"""What people ask for as they go."""
NOT_FILLED |= {"nearest_features", "similar_labels"}
"""Near a vector, which is no value to type."""


def answered(database: Database, question: Question[object]) -> str:
    """The file of a question with the answer that its sample values get here.

    Raises AtlasError when that is empty: it would show nothing.
    """
    returned = ", ".join(f"{value} AS {name}" for name, value in question.samples.items())
    values = database.read(f"RETURN {returned}")[0] if returned else {}
    rows = database.read(question.text, values, timeout_s=TIMEOUT_S)
    if not rows:
        raise AtlasError(
            f"{question.name}.cypher finds nothing with its sample values",
            next_step="choose values that the bundled prompts have",
        )
    return with_answer(question.file, list(rows[0]), rows)


def _fill() -> None:
    """The demo's circuits, with heads, and these ablated; examples, modules and a tested hypothesis."""
    steps = (["ingest", "--heads"], ["examples"], ["modules", "compute"], ["ablate"], DIAGNOSE, CLAIM)
    for step in steps:
        app(step, standalone_mode=False)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as prompts:
        for line in PROMPTS_PATH.read_text(encoding="utf-8").splitlines():
            if json.loads(line)["family"] == "multi-step" and " capital " in line:
                prompts.write(f"{line}\n")
        prompts.flush()
        app(["hypothesis", "add", QUESTION, "--edit", EDIT, "--prompts", prompts.name], standalone_mode=False)
    with Login(Settings.load()).connect() as database:
        untested = database.read("MATCH (h:Hypothesis) WHERE h.p IS NULL RETURN h.id AS id")
    for row in untested:
        app(["hypothesis", "test", row["id"]], standalone_mode=False)


def main() -> int:
    """0: all written; 1: something went wrong, and was named."""
    try:
        _fill()
        folder = Path(str(resources.files("schema"))) / "cypher"
        with Login(Settings.load()).connect() as database:
            database.settle()
            for path in sorted(folder.glob("*.cypher")):
                if path.stem in NOT_FILLED:
                    continue
                path.write_text(
                    answered(database, Question(path.stem, lambda record: record)), encoding="utf-8"
                )
                print(path.name)
    except AtlasError as error:
        print(f"error: {error}\n  -> {error.next_step}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
