"""Progress of long work: bars, lines, silence, and what is said when it is stopped."""

import io
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import LlamaModel

from ingest import progress as module
from ingest.progress import Steps, Terminated, more, progress
from tests.support.cli import Cli
from tests.support.engine import Tiny, save


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_count_rate_and_time_left(clock: Clock) -> None:
    steps = Steps("circuits", 4000, done=1000)
    assert steps.numbers() == "1000 of 4000"
    steps.advance()
    assert steps.numbers() == "1001 of 4000"
    clock.now += 10
    steps.advance(32)
    # Steps of earlier calls, and the first one, whose time is unknown, do not count for the rate.
    assert steps.numbers() == "1033 of 4000, 3.2/s, 0:15:27 left"
    steps.reach(4000)
    assert steps.numbers() == "4000 of 4000, 299.9/s"


def test_time_without_anything_to_do_does_not_count_for_the_rate(clock: Clock) -> None:
    steps = Steps("graphs", 3)
    steps.advance()
    clock.now += 4
    steps.advance(2)
    clock.now += 1000
    assert steps.numbers() == "3 of 3, 0.5/s"
    steps.extend(5)
    assert steps.numbers() == "3 of 8, 0.5/s, 0:00:10 left"
    clock.now += 2
    steps.advance()
    assert steps.numbers() == "4 of 8, 0.5/s, 0:00:08 left"


def test_slow_steps_bytes_and_unknown_totals(clock: Clock) -> None:
    slow, size, unknown = Steps("studies", 5), Steps("labels", 4_000_000, in_bytes=True), Steps("rows", None)
    clock.now += 65
    assert unknown.numbers() == "0:01:05 so far"
    for steps, n in ((slow, 1), (size, 1_000_000), (unknown, 1)):
        steps.advance(n)
    clock.now += 40
    for steps, n in ((slow, 1), (size, 2_000_000), (unknown, 80)):
        steps.advance(n)
    assert slow.numbers() == "2 of 5, 1.5/min, 0:02:00 left"
    assert size.numbers() == "3.0 MB of 4.0 MB, 50.0 kB/s, 0:00:20 left"
    assert unknown.numbers() == "81, 2.0/s"


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.02)
    monkeypatch.setattr(module, "EVERY_S", 0.02)
    said = io.StringIO()
    with progress(Console(file=said, width=40)) as work:
        first, second = work.add("prompts", 2), work.add("circuits with a name that is long", 40)
        first.reach(2)
        second.reach(3)
        deadline = time.monotonic() + 20
        while "circuits" not in said.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert said.getvalue().splitlines()[0] == "circuits with a name that is long: 3 of 40"
        second.reach(40)
    *_, before, last = said.getvalue().splitlines()
    assert before == "prompts: 2 of 2"
    assert re.fullmatch(r"circuits with a name that is long: 40 of 40, \d+\.\d/s", last)


def test_a_terminal_gets_a_bar() -> None:
    said = io.StringIO()
    with progress(Console(file=said, width=100, force_terminal=True)) as work:
        steps = work.add("circuits", 3)
        for _ in range(3):
            steps.advance()
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.getvalue()).strip().splitlines()[-1]
    assert re.match(r"circuits ━+ 3 of 3, \d+\.\d/s$", last)


def test_loops_deep_inside_add_to_the_progress_that_is_shown() -> None:
    assert (more("graphs", 2).what, more("graphs", 3).total) == ("graphs", 3)  # Nobody sees these.
    with progress(Console(file=io.StringIO())) as work:
        first = more("graphs", 2)
        first.reach(2)
        more("edited prompts", 5)
        assert more("graphs", 3) is first
        with progress(Console(file=io.StringIO())) as inner:
            more("graphs", 7)
        assert [(each.what, each.done, each.total) for each in work.parts] == [
            ("graphs", 2, 5),
            ("edited prompts", 0, 5),
        ]
        assert [(each.what, each.total) for each in inner.parts] == [("graphs", 7)]
    assert more("graphs", 1) is not first


def test_a_quiet_console_gets_nothing() -> None:
    for terminal in (False, True):
        said = io.StringIO()
        with progress(Console(file=said, quiet=True, force_terminal=terminal)) as work:
            work.add("circuits", 1).advance()
        assert said.getvalue() == ""


@pytest.mark.parametrize(
    ("number", "error", "resumes", "says"),
    [
        (signal.SIGTERM, Terminated, True, "Repeat the command to continue."),
        (signal.SIGINT, KeyboardInterrupt, False, "Repeat the command to start again."),
    ],
)
def test_a_signal_ends_the_work_with_a_summary(
    number: int, error: type[BaseException], resumes: bool, says: str
) -> None:
    said = io.StringIO()
    # A shell lets programs in the background ignore SIGINT, and Ray ends its process on SIGTERM.
    before = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    given = signal.signal(number, before)

    def work_until_it_comes() -> None:
        with progress(Console(file=said, width=200), resumes=resumes) as work:
            work.add("prompts", 9)
            work.add("circuits", 40).advance(3)
            os.kill(os.getpid(), number)
            time.sleep(20)

    with pytest.raises(error):
        work_until_it_comes()
    assert said.getvalue() == f"Stopped after 0:00:00 (circuits: 3 of 40). {says}\n"
    assert signal.getsignal(number) is before
    signal.signal(number, given)


def test_a_command_that_is_ended_says_how_far_it_came_and_continues(
    cli_without_database: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(Tiny(context=32), tmp_path).model
    texts = tmp_path / "texts.jsonl"
    texts.write_text(
        "".join(f'{{"prompt": "w{n % 30} w1 w4 w1 w5 w9"}}\n' for n in range(40)), encoding="utf-8"
    )
    words: list[str | Path] = [
        *("transcoders", "train", "--texts", texts, "--model", model, "--out", tmp_path / "made"),
        *("--features", "8", "--l0", "2", "--epochs", "1", "--batch", "64", "--context", "8"),
    ]
    passes, real = 0, LlamaModel.forward

    def forward(*given: Any, **named: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*given, **named)

    monkeypatch.setattr(LlamaModel, "forward", forward)
    done = cli_without_database(*words)
    assert done.exit_code == 143, done.text
    assert "Stopped after 0:00:0" in done.stderr
    assert re.search(r"activations, in tokens: \d+ of 180.*Repeat the command to continue\.", done.stderr)
    done = cli_without_database(*words, "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "8 features a layer" in done.stdout
    torch.set_num_threads(1)


def test_what_is_printed_aside_stands_on_lines_of_its_own() -> None:
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=100)
    with progress(console, erase=True) as work:
        steps = work.add("circuits", 2)
        for number in range(2):
            with work.aside():
                console.print(f"finding {number}", markup=False)
            steps.advance()
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.getvalue()).replace("\r", "\n").split("\n")
    assert [line for line in lines if line.startswith("finding")] == ["finding 0", "finding 1"]
