"""Time of migrating a large database of the first version to today's, and what `atlas check` finds then.

    python -m bench.migration --home FOLDER [--heap 3000]

FOLDER is an ATLAS_HOME that `bench/bulk.py` filled. First everything that version 1 did not store is taken
away (`tests.support.version_1`, whose test compares the result with a database of version 1). Then the rest
is migrated. What version 1 did not know is unknown afterwards.
"""

import argparse
import time
from pathlib import Path

import psutil

from atlas.local.server import LocalServer
from bench.homes import start, timed
from schema.database import Database
from schema.upkeep.check import check
from schema.upkeep.migrations import migrate
from schema.upkeep.stats import stats
from tests.support import version_1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=3000)
    asked = parser.parse_args()
    address = start(asked.home, asked.heap)
    with Database.connect(address.bolt_uri, address.user, address.password) as database:
        before = stats(database)
        print(f"{before.nodes['Circuit']:,} circuits, {sum(before.relationships.values()):,} relationships")
        print(
            f"brought back to version 1 in {timed(lambda: version_1.bring_back(database)):.0f} s", flush=True
        )
        steps: list[tuple[str, float]] = []
        migrate(database, step=lambda name: steps.append((name, time.perf_counter())))
        ends = [begun for _, begun in steps[1:]] + [time.perf_counter()]
        for (name, begun), end in zip(steps, ends, strict=True):
            if end - begun > 1:
                print(f"{end - begun:8.1f} s  {name}")
        print(f"{ends[-1] - steps[0][1]:8.1f} s  in all", flush=True)
        begun = time.perf_counter()
        findings = list(check(database))
        print(f"check: {len(findings)} findings in {time.perf_counter() - begun:.0f} s")
        for each in findings[:5]:
            print(f"  {each}")
        after = stats(database)
        different = {
            name: (n, after.relationships[name])
            for name, n in before.relationships.items()
            if after.relationships[name] != n
        }
        print(f"numbers of relationships that differ from before: {different or 'none'}")
    pid = LocalServer(asked.home).status().pid
    assert pid is not None
    print(f"Neo4j has {psutil.Process(pid).memory_info().rss / 1e6:.0f} MB in memory")
    LocalServer(asked.home).stop()


if __name__ == "__main__":
    main()
