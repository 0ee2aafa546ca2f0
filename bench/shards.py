"""Size of circuits in each form, and speed of shards, on synthetic circuits; needs no database.

    python -m bench.shards [--circuits 128] [--shape large]

json    graph JSON (`schema.exports.graph_json`), as it is and in gzip
shard   `schema.shards`: pack (columns, zstd, hash) and read (hash, columns, records, check), by CPU time
"""

import argparse
import gzip
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import synthetic
from bench.bulk import SHAPES
from schema.exports import graph_json
from schema.shards.folder import SHARD_PROMPTS, packed
from schema.shards.shard import Shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--circuits", type=int, default=128)
    parser.add_argument("--shape", choices=SHAPES, default="large")
    asked = parser.parse_args()
    n = asked.circuits
    circuits = list(islice(synthetic.circuits(n, SHAPES[asked.shape]), n))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "graph.json"
        plain = zipped = 0
        for each in circuits[:32]:
            graph_json.write(each, file)
            data = file.read_bytes()
            plain, zipped = plain + len(data), zipped + len(gzip.compress(data, 6))
    shards: list[tuple[str, bytes]] = []
    began = time.process_time()
    for start in range(0, n, SHARD_PROMPTS):
        shards += packed(list(enumerate(circuits))[start : start + SHARD_PROMPTS], synthetic.RUN)
    wrote = time.process_time() - began
    began = time.process_time()
    found = [circuit for name, data in shards for circuit in Shard(name, data).circuits()]
    read = time.process_time() - began
    assert found == circuits
    effects = sum(len(each.edges) for each in circuits)
    print(f"{n} circuits, {effects / n:.0f} effects each, {len(shards)} shards")
    print(f"json   {plain / min(n, 32) / 1e3:8.1f} kB a circuit, in gzip {zipped / min(n, 32) / 1e3:.1f} kB")
    print(f"shard  {sum(len(data) for _, data in shards) / n / 1e3:8.1f} kB a circuit")
    print(f"pack   {n / wrote:8.1f} circuits/s, {effects / wrote:.0f} effects/s")
    print(f"read   {n / read:8.1f} circuits/s, {effects / read:.0f} effects/s")


if __name__ == "__main__":
    main()
