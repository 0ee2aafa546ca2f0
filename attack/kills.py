"""Each command against a kill at a random moment, and against each other command: `python -m attack.kills`.

One round, whose number decides everything random in it:

1. prepare  a database with the same circuits as in every round
2. disturb  one command; after a random time (most often: since its first change) it is killed, or another
            command begins beside it
3. repeat   the command until it ends by itself, as a person would. A command that was refused because of
            another process is repeated when that process has ended
4. compare  `atlas check` must find nothing, and the content must be that of an undisturbed run: of the
            commands one after the other, in one of the orders. Sums may differ by rounding

Rounds are written to a file as they end, one JSON object on each line. The same call continues after the last
one.
"""

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from atlas.local.server import Address, LocalServer
from bench import synthetic
from schema.circuit.records import Circuit, TranscoderSet
from schema.database import Database
from schema.exports import graph_json
from schema.loading.leases import LEASE_S
from schema.loading.load import load_circuit
from schema.shards.folder import packed
from schema.upkeep.canonical_dump import Dump, dump
from schema.upkeep.migrations import migrate
from tests.support.loading import SMALL, Command, assert_sound
from tests.support.servers import empty, free_port

ROUNDS = 200
N_STORED = 8
"""Circuits that are stored before a round."""
N_IMPORTED = 8
"""Further circuits that `import` loads. Half as many are of another set, for prompts of stored circuits."""
N_PACKED = 4
"""Further circuits that `load` reads from shards."""
N_LABELLED = 40
"""Features of stored circuits that `labels import` labels."""
AIMED = 0.7
"""Share of the kills that wait until the command has begun to change the database."""
REFUSED = "Cannot "
"""Beginning of the error of a command that another process excludes."""
PATIENCE = 40
"""Repetitions of a command after which a round has failed."""


class Cell(NamedTuple):
    """What one round tries."""

    command: str
    against: str
    """`kill`, or the other command."""


def commands(folder: Path) -> dict[str, list[str]]:
    """Name → words of each command. Each changes other parts of the database."""
    run = synthetic.RUN.id
    return {
        "import": ["import", str(folder / "new")],
        "import of another set": ["import", str(folder / "other")],
        "load of shards": ["load", str(folder / "shards")],
        "import of labels": ["labels", "import", str(folder / "labels.csv"), "--author", "attack"],
        "delete of a run": ["delete", "--run", run],
        "delete of a family": ["delete", "--family", "family 0"],
        "move to a family": ["family", "moved", "--run", run],
        "check with repair": ["check", "--repair"],
    }


def write_labels(circuits: list[Circuit], file: Path) -> None:
    """A table with a label for each of some features of the circuits."""
    features = sorted(
        {(node.layer, node.index) for circuit in circuits for node in circuit.nodes if node.kind == "feature"}
    )
    name = synthetic.TRANSCODERS.name
    rows = [f"{name},{layer},{index},label of {index}" for layer, index in features[:N_LABELLED]]
    file.write_text("\n".join(["transcoders,layer,index,text", *rows]) + "\n", encoding="utf-8")


def cells(names: Iterable[str]) -> list[Cell]:
    """Every command against a kill and against every command, itself included."""
    names = list(names)
    return [Cell(name, against) for name in names for against in ("kill", *names)]


class Attack:
    """The rounds on one database."""

    def __init__(self, database: Database, address: Address, folder: Path) -> None:
        self._database = database
        self._address = address
        self._folder = folder
        n_circuits = N_STORED + N_IMPORTED + N_PACKED
        self._stored = list(islice(synthetic.circuits(n_circuits, SMALL), n_circuits))
        other = TranscoderSet("other", "1" * 40, None, None, None, None, None, synthetic.MODEL.id)
        of_other_set = [replace(circuit, transcoders=other) for circuit in self._stored[: N_IMPORTED // 2]]
        new, in_shards = self._stored[N_STORED:-N_PACKED], self._stored[-N_PACKED:]
        for name, circuits in (("new", new), ("other", of_other_set)):
            (folder / name).mkdir()
            for number, circuit in enumerate(circuits):
                graph_json.write(circuit, folder / name / f"{number:03}.json")
        (folder / "shards").mkdir()
        for name, data in packed(list(enumerate(in_shards)), synthetic.RUN):
            (folder / "shards" / name).write_bytes(data)
        write_labels(self._stored[:N_STORED], folder / "labels.csv")
        self.commands = commands(folder)
        self._undisturbed: dict[tuple[str, ...], Dump] = {}
        self._seconds: dict[str, float] = {}
        self._numbers = count()

    def round(self, number: int, cell: Cell) -> dict[str, Any]:
        """Run one round. The result says when the kill came, and what was wrong."""
        rng = random.Random(number)
        orders = (
            [(cell.command,)]
            if cell.against == "kill"
            else [(cell.command, cell.against), (cell.against, cell.command)]
        )
        wanted = [self._content(order) for order in orders]
        self._prepare()
        before = self._size()
        first = self._start(cell.command)
        if cell.against == "kill" and rng.random() < AIMED:
            while first.alive and self._size() == before:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.4) * self._seconds[cell.command])
        else:
            time.sleep(rng.uniform(0.0, 1.3) * self._seconds[cell.command])
        if cell.against == "kill":
            alive, changed = first.alive, self._size() != before
            first.kill()
            moment = ("during" if changed else "before") if alive else "after"
            said = [self._until_done(cell.command)]
        else:
            moment = "beside" if first.alive else "after"
            second = self._start(cell.against)
            ends = [(cell.command, first.end()), (cell.against, second.end())]
            said = [self._until_done(name, *end) for name, end in ends]
        return {"moment": moment, "repeated": sum(said), "wrong": self._wrong(wanted)}

    def _wrong(self, wanted: list[Dump]) -> str | None:
        reasons = []
        for each in wanted:
            try:
                assert_sound(self._database, each)
                return None
            except AssertionError as error:
                reasons.append(str(error)[:500])
        return " | ".join(reasons)

    def _until_done(self, name: str, status: int | None = None, said: str = "") -> int:
        """Repeat a command until it succeeds, and return how often. status: of a call that was made."""
        n_repeated = 0
        if status is None:
            status, said = self._start(name).end()
        while status != 0 and "There is no" not in said:
            n_repeated += 1
            if n_repeated > PATIENCE:
                raise RuntimeError(f"{name} never succeeds: {said}")
            time.sleep(LEASE_S / 10 if REFUSED in said else 0.1)
            status, said = self._start(name).end()
        return n_repeated

    def _content(self, order: tuple[str, ...]) -> Dump:
        """The content after commands one after the other, which nothing disturbs."""
        if order not in self._undisturbed:
            self._prepare()
            for name in order:
                begun = time.monotonic()
                status, said = self._start(name).end()
                if status != 0 and "There is no" not in said:
                    raise RuntimeError(f"{name}, undisturbed: {said}")
                # The shortest time is that of a warm database, in which most rounds run.
                self._seconds[name] = min(self._seconds.get(name, math.inf), time.monotonic() - begun)
            self._undisturbed[order] = dump(self._database)
        return self._undisturbed[order]

    def _prepare(self) -> None:
        empty(self._database)
        for circuit in self._stored[:N_STORED]:
            load_circuit(self._database, circuit, synthetic.RUN)

    def _size(self) -> tuple[int, int, int]:
        """Numbers that a command changes: most take a lease first."""
        (row,) = self._database.read(
            "RETURN COUNT { (:Circuit) } AS circuits, "
            "COUNT { (:Family {name: 'moved'})<-[:IN_FAMILY]-() } AS moved, COUNT { (:Lease) } AS leases"
        )
        return row["circuits"], row["moved"], row["leases"]

    def _start(self, name: str) -> Command:
        said = self._folder / f"said-{next(self._numbers)}.txt"
        return Command(self.commands[name], self._address, said)


def main() -> int:
    """Run the rounds that the file lacks, and print the table. Returns 1 when something was wrong."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("file", type=Path, nargs="?", default=Path(".attack/kills.jsonl"))
    words.add_argument("--rounds", type=int, default=ROUNDS)
    words.add_argument("--minutes", type=float, help="begin no round after this time")
    given = words.parse_args()
    end = time.monotonic() + 60 * given.minutes if given.minutes else math.inf
    given.file.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in given.file.read_text().splitlines()] if given.file.exists() else []
    with tempfile.TemporaryDirectory(prefix="atlas-attack-") as name:
        folder = Path(name)
        local = LocalServer(folder / "home")
        try:
            address = local.start(bolt_port=free_port(), http_port=free_port(), heap_mb=512)
            with Database.connect(address.bolt_uri, address.user, address.password) as database:
                migrate(database)
                attack = Attack(database, address, folder)
                every = cells(attack.commands)
                for number in range(len(done), given.rounds):
                    if time.monotonic() > end:
                        break
                    cell = every[number % len(every)]
                    result = {"round": number, **cell._asdict(), **attack.round(number, cell)}
                    done.append(result)
                    with given.file.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                    print(json.dumps(result), flush=True)
        finally:
            local.stop()
    return report(done)


def report(done: list[dict[str, Any]]) -> int:
    """Print how many rounds were tried and when the kills came. Returns 1 when something was wrong."""
    kills = Counter(each["moment"] for each in done if each["against"] == "kill")
    pairs = Counter(each["moment"] for each in done if each["against"] != "kill")
    wrong = [each for each in done if each["wrong"]]
    print(f"{len(done)} rounds: kills {dict(kills)}, two commands at once {dict(pairs)}; {len(wrong)} wrong")
    for each in wrong:
        print(f"round {each['round']}: {each['command']} against {each['against']}: {each['wrong']}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
