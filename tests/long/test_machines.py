"""Machines that share no disk fill one database; raylets and whole machines are lost while they work."""

import random
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from atlas.local.server import Address
from ingest.circuits.run import IngestSettings, ingest
from ingest.circuits.shards import ingest_to
from schema.database import Database
from schema.shards.store import Store
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from tests.support.loading import Command
from tests.support.machines import HEAD, Machine, forwarded, machines
from tests.support.prompts import BAD
from tests.support.servers import empty
from tests.support.tiny_shards import cluster_words, write_tiny_ingest

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
N = 640
LOSSES = 10
"""Of raylets, and of whole machines."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> IngestSettings:
    return write_tiny_ingest(tmp_path_factory.mktemp("tiny"), N)


@pytest.fixture(scope="module")
def joined(
    request: pytest.FixtureRequest, settings: IngestSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, list[Machine], Path]]:
    """The head, as many machines as the parameter says, and the folder of their logs.

    The machines see the model, but not the prompts.
    """
    folder = tmp_path_factory.mktemp("machines")
    copied = [settings.model, settings.transcoders]
    with machines(request.param, folder, [settings.prompts.parent], copied) as (head, made):
        yield head, made, folder


def wait_for(count: int, head: str, settings: IngestSettings, server: Address, said: Path, uri: str) -> None:
    """Until all machines have joined: a command that asks for as many workers is refused before."""
    asked = [*cluster_words(settings, head), "--workers", str(count), "--to", str(said.parent / "joined")]
    for _ in range(30):
        code, text = Command(asked, server, said, uri).end()
        if "the cluster has" not in text:
            assert code == 1, text  # the bad lines
            return
        time.sleep(2)
    pytest.fail(f"the machines do not join: {text}")


@pytest.mark.parametrize("joined", [2, 4], indirect=True)
def test_machines_without_a_common_disk_fill_one_database(
    joined: tuple[str, list[Machine], Path],
    settings: IngestSettings,
    server: Address,
    database: Database,
    tmp_path: Path,
) -> None:
    head, made, _ = joined
    ingest(database, settings, console=Console(file=StringIO()))
    direct = dump(database)
    empty(database)
    with forwarded(urlsplit(server.bolt_uri).port or 0) as port:
        uri = f"bolt://{HEAD}:{port}"
        wait_for(len(made), head, settings, server, tmp_path / "said", uri)
        asked = [*cluster_words(settings, head), "--workers", str(len(made))]
        code, said = Command(asked, server, tmp_path / "said", uri).end()
    assert (code, said.count("error:")) == (1, len(BAD)), said
    assert dump(database) == direct
    assert list(check(database)) == []


@pytest.mark.parametrize("joined", [2], indirect=True)
def test_lost_raylets_and_machines_lose_nothing(
    joined: tuple[str, list[Machine], Path], settings: IngestSettings, server: Address, tmp_path: Path
) -> None:
    head, made, folder = joined
    clean, store, rng = tmp_path / "clean", tmp_path / "lost", random.Random(0)
    ingest_to(Store(str(clean)), settings, console=Console(file=StringIO()))
    asked = [*cluster_words(settings, head), "--to", str(store)]
    losses = ["raylet", "machine"] * LOSSES
    rng.shuffle(losses)
    while losses:
        command = Command(asked, server, tmp_path / "said")
        while command.alive and losses:
            time.sleep(rng.uniform(2, 12))
            machine = rng.choice(made)
            if losses[-1] == "machine":
                losses.pop()
            elif machine.kill_raylet():
                losses.pop()
                time.sleep(rng.uniform(0, 4))
            machine.switch_off()
            machine.start(folder / f"{machine.name}.log")
        command.end()
        if losses:  # it has ended: begin anew, so that all losses come during work
            for each in store.glob("*"):
                each.unlink()
    # A share whose worker was lost three times has failed by name: the same command completes it.
    code, said = Command(asked, server, tmp_path / "said").end()
    assert (code, said.count("error:")) == (1, len(BAD)), said
    assert Store(str(store)).names() == Store(str(clean)).names()
