"""A replacement that is killed leaves the former or the new database, whole, and never a mixture."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atlas.local.replacing import BESIDE, finish, replace_database

PARTS = ("transactions", "databases")


def write(home: Path, text: str, parts: tuple[str, ...] = PARTS) -> None:
    for part in parts:
        folder = home / "data" / part / "neo4j"
        folder.mkdir(parents=True)
        (folder / "store").write_text(text)


def held(home: Path) -> dict[str, str]:
    return {
        part: (home / "data" / part / "neo4j" / "store").read_text()
        for part in PARTS
        if (home / "data" / part / "neo4j").is_dir()
    }


@pytest.fixture(params=[PARTS, ("databases",)], ids=["with logs", "without logs"])
def new_parts(request: pytest.FixtureRequest) -> tuple[str, ...]:
    parts: tuple[str, ...] = request.param
    return parts


@pytest.mark.parametrize("before", [(), PARTS], ids=["no database before", "a database before"])
def test_a_kill_at_any_step_leaves_one_whole_database(
    tmp_path: Path, new_parts: tuple[str, ...], before: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """KeyboardInterrupt at each rename and removal in turn, in place of SIGKILL; then the next start."""
    for kill_at in range(12):
        home = tmp_path / str(kill_at)
        write(home, "former", before)
        write(home / BESIDE, "new", new_parts)
        steps = 0

        def step(kill_at: int = kill_at) -> None:
            nonlocal steps
            steps += 1
            if steps == kill_at + 1:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            for owner, name in ((Path, "rename"), (Path, "replace"), (shutil, "rmtree")):
                plain = getattr(owner, name)

                def stepping(*words: Any, plain: Callable[..., Any] = plain, **named: Any) -> Any:
                    step()
                    return plain(*words, **named)

                patch.setattr(owner, name, stepping)
            try:
                replace_database(home)
                killed = False
            except KeyboardInterrupt:
                killed = True
        finish(home)
        is_new = dict.fromkeys(new_parts, "new")
        # The journal gets its name by the first step.
        assert held(home) == (dict.fromkeys(before, "former") if kill_at == 0 else is_new)
        assert not (home / BESIDE).exists()
        if not killed:
            assert kill_at > 2
            return
    raise AssertionError("it never ended")


def test_an_unfinished_new_database_is_removed(tmp_path: Path) -> None:
    write(tmp_path, "former")
    write(tmp_path / BESIDE, "half")
    finish(tmp_path)
    assert held(tmp_path) == dict.fromkeys(PARTS, "former")
    assert not (tmp_path / BESIDE).exists()
    finish(tmp_path)
