"""`atlas bulk-import` of files holds what `atlas import` of them holds."""

from pathlib import Path

import pytest

from atlas.local.login import Login
from atlas.local.server import LocalServer
from atlas.settings import Settings
from schema.database import Database
from schema.errors import InputError
from schema.formats.graph import Given
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from tests.support.cli import Cli
from tests.support.graph_files import encode, feature, write_every_form
from tests.support.importing import counts, run
from tests.support.servers import free_port


def test_a_bulk_import_holds_what_an_import_holds(
    database: Database,
    tmp_path: Path,
    cli_without_database: Cli,
) -> None:
    folder = tmp_path
    write_every_form(folder)
    (folder / "broken.json").write_text("{")
    (folder / "feature.json").write_bytes(encode(feature(1, 7)))
    given = Given(family="greetings", tags=("x",))
    ordinary = run(database, folder, given=given)
    home = Path(cli_without_database.environment["ATLAS_HOME"])
    words = ["bulk-import", str(folder), "--family", "greetings", "--tag", "x", "--heap", "512"]
    words += ["--bolt-port", str(free_port()), "--http-port", str(free_port())]
    try:
        done = cli_without_database(*words)
        assert done.exit_code == 1, done.text
        refused = len(ordinary.problems)
        assert f"{ordinary.loaded} circuits imported, 1 was there already, {refused} files" in done.text
        again = cli_without_database(*words)
        assert isinstance(again.error, InputError)
        with Login(Settings.load(cli_without_database.environment)).connect() as bulk:
            assert list(check(bulk)) == []
            found, expected = dump(bulk), dump(database)
            for ours, theirs in zip(found.pop("FOUND_IN"), expected.pop("FOUND_IN"), strict=True):
                assert ours[:2] == theirs[:2]
                assert ours[2] == pytest.approx(theirs[2], rel=1e-12)
            assert set(found) == set(expected)
            for kind, rows in expected.items():
                assert found[kind] == rows, kind
            # The same call of the ordinary import finds everything there.
            assert counts(run(bulk, folder, given=given)) == (0, ordinary.loaded + 1, refused)
    finally:
        LocalServer(home).stop()
