"""Firings of two workers are those of a single process, to the last bit, also when one is killed."""

import os
import re
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from huggingface_hub import cached_assets_path
from rich.console import Console

from ingest.annotations.labels import CorpusSettings, bundled_texts
from ingest.cluster.connection import ClusterSettings, connected
from ingest.cluster.firings import computed, computing_on_cluster
from ingest.cluster.holders import Holder, require_equal
from ingest.cluster.pool import ATTEMPTS, Pool
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.labels.contexts import MOST_TEXTS, Activity, activity, encode_all
from ingest.labels.firings_cache import FiringsCache
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.database import Database
from schema.errors import InputError
from schema.upkeep.canonical_dump import dump
from tests.support.cli import Cli

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
SETTINGS = CorpusSettings(MODEL_DIR, TRANSCODERS_DIR)
PARTS = 9


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of the bundled corpus, of all families."""
    found = list(bundled_texts(60))
    return found[:: len(found) // (PARTS * MOST_TEXTS)][: PARTS * MOST_TEXTS]


def kill_a_worker() -> None:
    """Kill a worker of the test's cluster."""
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if each.cmdline()[0].startswith("ray::FiringsWorker"):
                each.kill()
                return
    raise AssertionError("there is no worker")


def same(one: Activity, other: Activity) -> bool:
    return (
        np.array_equal(one.contexts.ids, other.contexts.ids)
        and np.array_equal(one.firings.counts, other.firings.counts)
        and all(
            np.array_equal(one.of(key).place, other.of(key).place)
            and np.array_equal(one.of(key).activation, other.of(key).activation)
            for key in one.features
        )
    )


def test_two_workers_store_what_one_process_stores_although_one_is_killed(
    cluster_address: str, texts: list[str], tmp_path: Path
) -> None:
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    encoded = [each for _, each in encode_all(model, texts, [])]
    assert len(encoded) == PARTS * MOST_TEXTS
    alone, spread = (FiringsCache(["m"], tmp_path / name) for name in ("alone", "spread"))
    for cache in (alone, spread):  # all of one part, and half of another
        activity(model, encoded[: int(1.5 * MOST_TEXTS)], cache=cache)
    assert alone.path.read_bytes() == spread.path.read_bytes()
    expected = activity(model, encoded, cache=alone)

    said, seen, passes = StringIO(), list[int](), list[int]()

    def advance(n: int) -> None:
        seen.append(n)
        if len(seen) == 2:
            kill_a_worker()

    cluster = ClusterSettings(cluster_address, 2)
    with computing_on_cluster(SETTINGS, cluster, console=Console(file=said)) as compute:
        with model.model.base_model.register_forward_hook(lambda *given: passes.append(1)):
            found = activity(model, encoded, cache=spread, compute=compute, advance=advance)
            assert same(found, expected)
            assert spread.path.read_bytes() == alone.path.read_bytes()
            assert seen == [MOST_TEXTS] * PARTS
            assert same(activity(model, encoded, cache=spread, compute=compute), expected)
        assert passes == []
    assert said.getvalue().count("2 workers are loading the model") == 1  # the second pass needs none


class Fragile:
    """Ends its process for a text of some length, as one does that runs out of memory."""

    def ready(self) -> bool:
        return True

    def compute(self, texts: list[Encoded]) -> list[Any]:
        if any(len(each.ids) == 3 for each in texts):
            os._exit(1)
        return []


def test_texts_that_end_every_worker_are_named(cluster_address: str) -> None:
    with connected(ClusterSettings(cluster_address, 1)):
        import ray

        make = ray.remote(Fragile).options(num_cpus=1).remote
        long = Encoded((1, 2, 3), ("a", " b", " c"), 1)
        given = computed([[], [], [long], []], lambda: Pool([make()], make))
        assert [next(given), next(given)] == [[], []]
        with pytest.raises(InputError, match=rf"1 text .*begins with 'a b c', .* {ATTEMPTS} times") as lost:
            next(given)
        assert "it resumes" in str(lost.value.next_step)


def test_a_corpus_that_is_held_needs_no_worker() -> None:
    assert list(computed([[], []], partial(pytest.fail, "a worker starts"))) == [[], []]
    assert list(computed([], partial(pytest.fail, "a worker starts"))) == []


def test_machines_that_would_compute_other_firings_are_named() -> None:
    here = Holder("node-a", {"model": "m@1", "dtype": "torch.float32"})
    require_equal("firings", here, here._replace(node="node-b"))
    with pytest.raises(InputError, match="node-a and node-b would compute other firings: model m@1 and m@2"):
        require_equal("firings", here, Holder("node-b", {"model": "m@2", "dtype": "torch.float32"}))


def test_examples_of_a_cluster_are_those_of_one_process(
    cluster_address: str,
    cli: Cli,
    database: Database,
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # the command then has one thread, as a worker has
    prompts, corpus = tmp_path / "prompts.txt", tmp_path / "corpus.txt"
    prompts.write_text("\n".join(texts[:3]), encoding="utf-8")
    corpus.write_text("\n".join(texts[: 2 * MOST_TEXTS]), encoding="utf-8")
    cli.printed("ingest", prompts)
    before = dump(database)
    cli.printed("examples", "--corpus", corpus)
    expected = dump(database)
    assert expected != before
    for file in Path(cached_assets_path("circuit-atlas", "firings")).glob("*.sqlite"):
        file.unlink()
    database.write("MATCH (f:Feature) REMOVE f.density")
    assert dump(database) != expected
    done = cli("examples", "--corpus", corpus, "--ray", cluster_address, "--workers", "1")
    assert done.exit_code == 0, done.text
    assert "1 worker is loading the model" in done.stderr
    assert re.search(r"texts of the corpus: 64 of 64", done.stderr)
    assert dump(database) == expected
