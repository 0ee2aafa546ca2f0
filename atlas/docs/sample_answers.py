"""Write the sample answers in `schema/questions/cypher` and `docs/questions`: `make answers`.

The answers come from the database of ATLAS_HOME, which is filled first. Data that is stored already stays, so
that a command that was stopped continues when it is repeated. Use a separate ATLAS_HOME, because other
circuits would change the answers. Jobs, changes by people and a training run are stored last, after the
answers that they would change.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from atlas.cli import app
from atlas.docs.question_pages import FOLDER as PAGES
from atlas.docs.question_pages import with_fields, write, write_contents
from atlas.local.login import Login
from atlas.settings import Settings
from ingest.organism.__main__ import fix_threads, follow_command
from ingest.organism.train import train
from ingest.organism.weights import PROMPTS_PATH, TRANSCODERS_DIR
from schema.annotations.supernodes import rename
from schema.database import Database
from schema.errors import AtlasError
from schema.jobs import RequestedPrompt, request
from schema.questions.question import Question, cypher_files
from schema.questions.sample_answers import with_answer

QUESTION = "does what says a capital's first letters also say the capital?"
EDIT = "ablate 3/330@all"
TIMEOUT_S = 60
CLAIM = ["intervene", "--keep", "--family", "multi-step", "--limit", "20", "--ablate", "{capital}@all"]
DIAGNOSE = ["diagnose", "--family", "multi-step", "--limit", "2"]
LAST = {
    *("jobs", "jobs_by_id", "job_changes", "versions_of_supernode"),
    *("checkpoints", "checkpoint_features", "checkpoint_parts", "history_of_feature"),
}
"""Cypher files about data that is stored last."""
LAST_PAGES = ("checkpoints", "compare_checkpoints", "jobs", "job", "supernode_history")
SUPERNODE = "f9627cfdcb622b02dfe0"
"""Id of a supernode of a method, which two people rename."""
STEPS = (30, 60)
"""Steps of a short training run whose checkpoints are kept; `ingest.organism.train` saves the last one."""
FOLLOW_STEPS = 20


def answered(database: Database, question: Question[object]) -> str:
    """The text of a question's Cypher file with the answer for its sample values.

    Raises AtlasError when the answer is empty.
    """
    returned = ", ".join(f"{value} AS {name}" for name, value in question.samples.items())
    values = database.read(f"RETURN {returned}")[0] if returned else {}
    rows = database.read(question.text, question.given(values), timeout_s=TIMEOUT_S)
    if not rows:
        raise AtlasError(
            f"{question.name}.cypher finds nothing with its sample values",
            next_step="choose values that the bundled prompts have",
        )
    return with_answer(question.file, list(rows[0]), rows)


def _fill() -> None:
    """Store the demo's circuits with heads, ablations, examples, labels, modules, a claim, a hypothesis."""
    first = (["ingest", "--heads"], ["examples"], ["label"], ["modules", "compute"])
    steps = (*first, ["ablate"], DIAGNOSE, CLAIM)
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


def _fill_last(home: Path) -> None:
    """Store a job, a supernode that people renamed, and a short training run."""
    lines = [json.loads(line) for line in PROMPTS_PATH.read_text(encoding="utf-8").splitlines()]
    with Login(Settings.load()).connect() as database:
        request(database, [RequestedPrompt(line["prompt"], line["family"]) for line in lines[:2]], "ada")
        if not database.read("MATCH (s:FormerSupernode) RETURN s.id LIMIT 1"):
            rename(database, rename(database, SUPERNODE, "texas", "ada"), "the state is texas", "bob")
    app(["ingest", "--watch", "--once"], standalone_mode=False)
    checkpoints = home / "checkpoints"
    fix_threads()
    if not (checkpoints / f"step-{STEPS[-1]:05}").exists():
        train(home / "lm", checkpoints, steps=STEPS[-1])
    for folder in checkpoints.glob("step-*"):
        if int(folder.name.removeprefix("step-")) not in STEPS:
            shutil.rmtree(folder)
    # Those of the last checkpoint are started from the bundled ones.
    follow_command(out=TRANSCODERS_DIR.parent, checkpoints=checkpoints, steps=FOLLOW_STEPS)
    families: dict[str, list[str]] = {}
    for line in lines:
        families.setdefault(line["family"], []).append(json.dumps(line))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as prompts:
        prompts.write("\n".join(line for each in families.values() for line in each[:3]))
        prompts.flush()
        words = ["checkpoints", "load", prompts.name, "--folder", str(checkpoints)]
        app(words, standalone_mode=False)


def _write(names: Callable[[str], bool]) -> None:
    with Login(Settings.load()).connect() as database:
        database.wait_for_full_text()
        for name in filter(names, cypher_files()):
            question = Question[object](name, lambda record: record)
            Path(str(cypher_files()[name])).write_text(answered(database, question), encoding="utf-8")
            print(name)


def _write_pages(names: Callable[[str], bool]) -> None:
    settings = Settings.load()
    with Login(settings).connect() as database:
        jobs = database.read("MATCH (j:Job) RETURN j.id AS id ORDER BY id LIMIT 1")
        steps = database.read("MATCH (k:Checkpoint) RETURN k.id AS id ORDER BY k.series, k.step LIMIT 2")
    found = [*zip(["job"], jobs, strict=False), *zip("ab", steps, strict=False)]
    variables = {name: row["id"] for name, row in found}
    wanted = [each.name for each, _ in with_fields(PAGES) if names(each.name)]
    asyncio.run(write(settings, PAGES, wanted, variables))


def main() -> int:
    """Returns the exit code: 0 when everything was written, 1 after an error, which is printed."""
    try:
        settings = Settings.load()
        with Login(settings).connect() as database:
            begun = database.read("MATCH (j:Job) RETURN j.id LIMIT 1")
        if not begun:
            _fill()
            _write(lambda name: name not in LAST)
            _write_pages(lambda name: name not in LAST_PAGES)
        _fill_last(settings.home)
        _write(lambda name: name in LAST)
        _write_pages(lambda name: name in LAST_PAGES)
        write_contents(PAGES)
    except AtlasError as error:
        print(f"error: {error}\n  -> {error.next_step}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
