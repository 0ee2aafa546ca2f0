"""Nothing that comes from a file, a model or a person controls the terminal."""

import ast
from io import StringIO

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from atlas.commands.options import print_error
from atlas.terminal import PlainConsole, shown
from schema.errors import InputError
from tests.support.paths import HOME

EVIL = "a\x1b]0;title\x07b\x1b[2Jc\x9b31md\re\x08f\x7fg\u202eh"


def _table() -> Table:
    table = Table(EVIL, title=EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL, style="red"))
    return table


@pytest.mark.parametrize(
    "what", [EVIL, Text(EVIL), _table()], ids=["a text", "a styled text", "a table with a title"]
)
def test_control_characters_are_shown(what: object) -> None:
    file = StringIO()
    PlainConsole(file=file, width=200, color_system=None).print(what, markup=False)
    assert not {each for each in file.getvalue() if each in EVIL and not each.isprintable()}
    assert "␛]0;title" in file.getvalue()
    assert "␛[2J" in file.getvalue()


def test_progress_shows_them_too() -> None:
    file = StringIO()
    with Progress(console=PlainConsole(file=file, width=200, color_system=None)) as progress:
        progress.add_task(EVIL)
    assert "\x1b" not in file.getvalue()


def test_an_error_about_a_file_shows_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(InputError(f"{EVIL}.json does not exist", next_step=EVIL))
    said = capsys.readouterr().err
    assert not {"\x1b", "\x07", "\x9b", "\x7f"} & set(said)
    assert "␛]0;title" in said


def test_ordinary_texts_stay_as_they_are() -> None:
    text = "Größe → 日本 ▁Rome\tx\n😀 é"
    assert shown(text) == text


def test_every_console_of_the_commands_is_such_a_console() -> None:
    for path in sorted((HOME / "atlas").rglob("*.py")):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "Console", f"{path}:{node.lineno}"
