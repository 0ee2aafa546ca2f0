"""Jobs: each is taken once however many workers there are, and those of dead workers are taken again."""

import multiprocessing
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import orjson
import pytest
import torch
from rich.console import Console

from ingest.circuits import loader
from ingest.circuits.run import IngestSettings, ingest
from ingest.jobs import watch
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.database import Database, Parameters, Rows, Transaction
from schema.errors import AtlasError, LimitError
from schema.jobs import (
    ATTEMPTS,
    MostPrompts,
    RequestedPrompt,
    cancel,
    delete,
    delete_ended,
    fail,
    finish,
    give_back,
    renew,
    request,
    retry,
    take,
)
from schema.questions.jobs import JOBS, JOBS_BY_ID, JobRow
from schema.questions.question import ask
from schema.upkeep.canonical_dump import dump
from tests.support.servers import empty

PROMPTS = [orjson.loads(line) for line in PROMPTS_PATH.read_text(encoding="utf-8").splitlines()[:8]]
SETTINGS = IngestSettings(Path(), MODEL_DIR, TRANSCODERS_DIR)


def wanted(lines: list[dict]) -> list[RequestedPrompt]:
    known = {"prompt", "family", "expected", "target"}
    return [
        RequestedPrompt(**{key: line[key] for key in line if key in known}, tags=tuple(line.get("tags", ())))
        for line in lines
    ]


def row(database: Database, job: str) -> JobRow:
    (found,) = ask(database, JOBS_BY_ID, timeout_s=20, keys=[job])
    return found


def connect(server) -> Database:
    return Database.connect(server.bolt_uri, server.user, server.password)


def test_a_job_from_request_to_end(database):
    job = request(database, [RequestedPrompt("a b", "f", ("t",), "c", ["x"]), RequestedPrompt("d")], "me")
    assert (
        request(database, [RequestedPrompt("a b", "f", ("t",), "c", ["x"]), RequestedPrompt("d")], "me")
        == job
    )
    found = row(database, job)
    assert (found.state, found.n_prompts, found.n_done, found.attempts, found.asked_by) == (
        *("queued", 2, 0, 0),
        "me",
    )
    assert [orjson.loads(line) for line in found.prompts] == [
        {"prompt": "a b", "family": "f", "tags": ["t"], "expected": "c", "target": ["x"]},
        {"prompt": "d"},
    ]
    taken = take(database, "w1")
    assert taken is not None
    assert (taken.id, taken.lines, taken.attempts) == (job, found.prompts, 1)
    assert take(database, "w2") is None
    assert renew(database, job, "w1", n_done=1)
    assert not renew(database, job, "w2", n_done=2)
    assert (row(database, job).state, row(database, job).n_done) == ("running", 1)
    assert give_back(database, job, "w1")
    assert (row(database, job).state, row(database, job).attempts) == ("queued", 0)
    assert not finish(database, job, "w1", circuits=[], problems=[])


def test_after_three_attempts_it_is_failed_and_can_be_tried_again(database):
    job = request(database, [RequestedPrompt("a")], "me")
    for attempt in range(1, ATTEMPTS + 1):
        taken = take(database, "w")
        assert taken is not None
        assert taken.attempts == attempt
        assert fail(database, job, "w", "the disk is full")
    assert (row(database, job).state, row(database, job).error) == ("failed", "the disk is full")
    assert take(database, "w") is None
    (page,) = ask(database, JOBS, timeout_s=20, state="failed", skip=0, limit=9)
    assert (page.total, page.rows) == (1, [row(database, job)])
    assert retry(database, job)
    assert not retry(database, job)
    for _ in range(ATTEMPTS):
        assert take(database, "silent", lease_s=0.0) is not None
        time.sleep(0.01)
    assert take(database, "w") is None
    assert (row(database, job).state, row(database, job).error) == (
        "failed",
        "its worker fell silent, 3 times in all",
    )


def test_the_commands(database, cli):
    key = request(database, [RequestedPrompt("a [b]"), RequestedPrompt("c")], "me")
    assert take(database, "w") is not None

    def run(*words: str) -> str:
        return cli.printed("job", *words)

    assert [each["key"] for each in orjson.loads(run("list", "--json", "--state", "running"))] == [key]
    assert orjson.loads(run("list", "--json", "--state", "done")) == []
    assert key in run("list")
    assert '{"prompt":"a [b]"}' in run("show", key)
    assert "Nothing changed" in run("retry", key)
    for _ in range(ATTEMPTS):
        fail(database, key, "w", "no")
        take(database, "w")
    assert "queued again" in run("retry", key)
    assert row(database, key).state == "queued"
    for words in (["list", "--state", "lost"], ["show", "nobody"], ["retry", "nobody"]):
        done = cli("job", *words)
        assert isinstance(done.error, AtlasError), done.text
        assert done.error.next_step


def ids(database: Database) -> set[str]:
    return {each["id"] for each in database.read("MATCH (j:Job) RETURN j.id AS id")}


def ended(database: Database, number: int) -> str:
    """A new job of two prompts, which has failed."""
    job = request(database, [RequestedPrompt(f"{number} {n}") for n in range(2)], "me")
    assert cancel(database, job, "me")
    return job


def test_jobs_are_deleted_when_they_have_ended(database, cli):
    first, second = ended(database, 1), ended(database, 2)
    open_ = request(database, [RequestedPrompt("a")], "me")
    held = request(database, [RequestedPrompt("b")], "me")
    database.write("MATCH (j:Job {id: $id}) SET j.asked_at = datetime('2020-01-01')", {"id": held})
    assert take(database, "w") is not None
    assert not delete(database, open_)
    assert not delete(database, held)
    assert ids(database) == {first, second, open_, held}
    assert cli.printed("job", "delete", first, open_).split() == [
        *f"{first} is deleted. {open_} has not ended. `atlas job cancel` ends it; nothing changed.".split()
    ]
    assert delete_ended(database, 1.0) == 0
    database.write("MATCH (j:Job {id: $id}) SET j.ended_at = datetime('2020-01-01')", {"id": second})
    assert cli.printed("job", "delete", "--ended-days-ago", "1000") == "1 job deleted.\n"
    assert ids(database) == {open_, held}
    for words in ([], [first]):
        done = cli("job", "delete", *words)
        assert isinstance(done.error, AtlasError), done.text
        assert done.error.next_step


def test_a_request_deletes_the_jobs_that_ended_first_when_they_are_too_many(database):
    jobs = [ended(database, number) for number in range(4)]
    most = MostPrompts(open=10, open_of_one=10, ended=6)
    new = request(database, [RequestedPrompt("new")], "me", most=most)
    assert ids(database) == {*jobs[1:], new}
    # What is asked for again is open, so it is not deleted.
    assert request(database, [RequestedPrompt(f"1 {n}") for n in range(2)], "me", most=most) == jobs[1]
    assert request(database, [RequestedPrompt("newer")], "me", most=most._replace(ended=0)) in ids(database)
    assert ids(database) == {jobs[1], new, *ids(database) - set(jobs)}


def test_what_changes_nothing_writes_nothing(database, monkeypatch):
    """Prompts are long. A request that is refused, or repeated, must not cost what it would cost to store."""
    ran: list[str] = []
    run = Transaction.run

    def noted(self: Transaction, text: str, parameters: Parameters = None) -> Rows:
        ran.append(text)
        return run(self, text, parameters)

    monkeypatch.setattr(Transaction, "run", noted)
    most = MostPrompts(open=3, open_of_one=2, ended=9)
    job = request(database, [RequestedPrompt("a"), RequestedPrompt("b")], "me", most=most)
    assert any("MERGE" in text for text in ran)
    ran.clear()
    for refused, author in (("c", "me"), ("d e", "another")):
        with pytest.raises(LimitError):
            request(database, [RequestedPrompt(each) for each in refused.split()], author, most=most)
    assert request(database, [RequestedPrompt("a"), RequestedPrompt("b")], "me", most=most) == job
    assert ran
    assert not [text for text in ran if re.search("MERGE|CREATE|SET|DELETE", text)]


def test_a_worker_says_why_it_lost_its_job(database):
    """Cancelled, deleted, or taken by another worker while it computes."""

    def cancelled(job: str) -> None:
        assert cancel(database, job, "ada")

    def deleted(job: str) -> None:
        # In one step: a worker that looks between a cancellation and a deletion would name the former.
        database.write("MATCH (j:Job {id: $id}) DETACH DELETE j", {"id": job})

    def taken(job: str) -> None:
        database.write("MATCH (j:Job {id: $id}) SET j.taken_by = 'another'", {"id": job})

    for lose, said in (
        (cancelled, "cancelled by ada"),
        (deleted, "it was deleted"),
        (taken, "another worker has it now"),
    ):
        empty(database)
        job, text, stop = request(database, wanted(PROMPTS), "me"), StringIO(), threading.Event()
        work = threading.Thread(
            target=watch,
            args=(database, SETTINGS, stop),
            kwargs={"console": Console(file=text), "once": True},
        )
        work.start()
        while count(database) < 1:
            assert work.is_alive()
            time.sleep(0.01)
        lose(job)
        work.join()
        assert text.getvalue().splitlines()[-1] == f"job {job}: {said}"


def test_each_job_is_taken_once_by_many_workers(database, server):
    jobs = [request(database, [RequestedPrompt(f"prompt {n}")], "me") for n in range(40)]
    start = threading.Barrier(8)

    def work(name: str) -> list[tuple[str, int]]:
        with connect(server) as own:
            start.wait()
            taken = []
            while job := take(own, name):
                taken.append((job.id, job.attempts))
                assert finish(own, job.id, name, circuits=[], problems=["not computed"])
            return taken

    with ThreadPoolExecutor(8) as pool:
        found = [each for some in pool.map(work, [f"w{n}" for n in range(8)]) for each in some]
    assert sorted(found) == sorted((job, 1) for job in jobs)


def worker(uri: str, user: str, password: str, lease_s: float, threads: int) -> None:
    """A worker as a process of its own; SIGTERM tells it to stop."""
    # Sums of as many threads as in the test's process are equal to the last bit.
    torch.set_num_threads(threads)
    # Circuits are written one by one, so that the process can be stopped between two of them.
    loader.WAIT_S = 0.0
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    with Database.connect(uri, user, password) as database:
        watch(database, SETTINGS, stop, console=Console(file=StringIO()), once=False, lease_s=lease_s)


def test_a_killed_workers_job_is_done_by_another_and_a_stopped_ones_is_queued(database, server, tmp_path):
    quiet = Console(file=StringIO())
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(each.line() for each in wanted(PROMPTS)), encoding="utf-8")
    ingest(database, IngestSettings(path, MODEL_DIR, TRANSCODERS_DIR), console=quiet)
    once = circuits(database)
    empty(database)
    job = request(database, wanted(PROMPTS), "me")
    threads = torch.get_num_threads()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["atlas.cli", "ingest.circuits.run"])
    for number, left in ((signal.SIGTERM, ("queued", 0)), (signal.SIGKILL, ("running", 1))):
        process = context.Process(
            target=worker, args=(server.bolt_uri, server.user, server.password, 2.0, threads)
        )
        process.start()
        before = count(database)
        while count(database) < before + 1:
            assert process.is_alive()
            time.sleep(0.01)
        os.kill(process.pid or 0, number)
        process.join()
        assert 0 < count(database) < len(PROMPTS)
        assert (row(database, job).state, row(database, job).attempts) == left
    while take_over(database, quiet) == 0:
        time.sleep(0.1)
    found = row(database, job)
    assert (found.state, found.n_done, found.attempts, found.problems, found.error) == (
        *("done", len(PROMPTS), 2, []),
        None,
    )
    assert len(found.circuits) == len(PROMPTS)
    assert circuits(database) == once


def take_over(database: Database, console: Console) -> int:
    return watch(database, SETTINGS, threading.Event(), console=console, once=True, lease_s=2.0)


def count(database: Database) -> int:
    found: int = database.read("MATCH (c:Circuit) RETURN count(c) AS n")[0]["n"]
    return found


def circuits(database: Database) -> dict:
    """All that is there but for the run, which bears another name, and the job itself."""
    found = dump(database)
    return {kind: found[kind] for kind in found if kind not in ("Run", "FROM_RUN", "Job", "GAVE")}


def test_bad_prompts_are_told_and_a_job_of_bad_ones_only_is_failed(database):
    good, bad = RequestedPrompt(PROMPTS[0]["prompt"]), RequestedPrompt("qwertyuiop")
    mixed, none = request(database, [bad, good], "me"), request(database, [bad], "me")
    assert take_over(database, Console(file=StringIO())) == 2
    found = row(database, mixed)
    assert (found.state, found.n_done, len(found.circuits)) == ("done", 2, 1)
    assert found.problems[0].startswith("line 1: ")
    assert "qwertyuiop" in found.problems[0]
    assert (row(database, none).state, row(database, none).error) == ("failed", "no prompt gave a circuit")
    # Deleted circuits are computed again when they are asked for again, and only then.
    assert request(database, [bad, good], "me") == mixed
    assert row(database, mixed).state == "done"
    empty_of_circuits(database)
    assert request(database, [bad, good], "me") == mixed
    assert row(database, mixed).state == "queued"


def empty_of_circuits(database: Database) -> None:
    database.write("MATCH (n) WHERE NOT n:Migration AND NOT n:Job DETACH DELETE n")
