"""Two workers measure what a single process measures, to the last bit, also when one of them is killed."""

import json
import os
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from ingest.annotations.labels import CorpusSettings
from ingest.cluster.connection import ClusterSettings, connected
from ingest.cluster.holders import Holder, start_holders
from ingest.cluster.measuring import MeasuringWorker, PassesOnCluster, TooLarge
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.training.measure import Rebuilt, Step, layer_groups, measure, passes_of, rebuilt, with_replaced
from ingest.training.texts import contexts
from schema.database import Database
from tests.support.cli import Cli
from tests.support.engine import WORDS, Folders, Tiny, save

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return save(Tiny(context=32), tmp_path)


@pytest.fixture
def model(folders: Folders) -> ReplacementModel:
    return ReplacementModel.load(*folders)


@pytest.fixture
def texts(model: ReplacementModel) -> list[Encoded]:
    """Nine batches of contexts of several lengths; the last batch has one."""
    lines = [" ".join(WORDS[(n * (k + 3)) % len(WORDS)] for k in range(4 + n % 5)) for n in range(65)]
    return contexts(model, lines, 12)


class Killed(MeasuringWorker):
    """Ends its process at the first batch of the given folder's run."""

    def rebuild(self, texts: list[Encoded], limits: list[float] | None) -> Rebuilt | TooLarge:
        marker = self._settings.model / "killed"
        if limits is not None and not marker.exists():
            marker.touch()
            os._exit(1)
        return super().rebuild(texts, limits)


def test_two_workers_find_what_one_process_finds_although_one_is_killed(
    cluster_address: str, folders: Folders, model: ReplacementModel, texts: list[Encoded]
) -> None:
    groups = layer_groups(model.n_layers)
    expected = measure(model, texts, groups=groups, agreement_tokens=200)
    settings, cluster = CorpusSettings(*folders), ClusterSettings(cluster_address, 2)
    planned, steps, said = list[int](), list[int](), StringIO()

    def begin(n: int) -> Step:
        planned.append(n)
        return lambda: steps.append(1)

    with connected(cluster) as n_workers:
        pool = start_holders(Killed, model, settings, cluster, n_workers, Console(file=said))
        found = measure(
            model,
            texts,
            groups=groups,
            agreement_tokens=200,
            begin=begin,
            passes=PassesOnCluster(pool),
        )
    assert found == expected
    assert (folders.model / "killed").exists()
    assert [sum(steps)] == planned
    assert (planned[0] - 9) % passes_of(groups) == 0
    assert "2 workers are loading the model" in said.getvalue()


class Narrow(MeasuringWorker):
    """Its device has room for two contexts."""

    def rebuild(self, texts: list[Encoded], limits: list[float] | None) -> Rebuilt | TooLarge:
        return TooLarge() if len(texts) > 2 else super().rebuild(texts, limits)


def test_batches_that_do_not_fit_a_worker_become_smaller(
    cluster_address: str, folders: Folders, model: ReplacementModel, texts: list[Encoded]
) -> None:
    plain = measure(model, texts, groups={"all": range(3)})
    settings, cluster = CorpusSettings(*folders), ClusterSettings(cluster_address, 1)
    with connected(cluster) as n_workers:
        pool = start_holders(Narrow, model, settings, cluster, n_workers, Console(file=StringIO()))
        found = measure(model, texts, groups={"all": range(3)}, passes=PassesOnCluster(pool))
    assert (found.tokens, found.agreement_tokens) == (plain.tokens, plain.agreement_tokens)
    assert found.fvu == pytest.approx(plain.fvu)
    assert found.agreement == pytest.approx(plain.agreement)


def test_a_worker_says_what_does_not_fit_and_what_is_not_finite(
    folders: Folders, model: ReplacementModel, texts: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = MeasuringWorker(CorpusSettings(*folders), 1)
    assert worker.ready(Holder.of(model)) == Holder.of(model)
    groups, mean = {"all": range(3)}, torch.zeros(3, model.d_model)
    alone = rebuilt(model, texts[:8], None)
    assert torch.equal(worker.rebuild(texts[:8], None).sum, alone.sum)
    compared = with_replaced(model, texts[:8], groups, mean)
    assert torch.equal(worker.replace(texts[:8], groups, mean).of_groups, compared.of_groups)

    def full(*given: object, **named: object) -> None:
        raise torch.OutOfMemoryError

    base = worker.held().model.base_model
    with base.register_forward_pre_hook(full):
        assert isinstance(worker.rebuild(texts[:8], None), TooLarge)
        assert isinstance(worker.replace(texts[:8], groups, mean), TooLarge)
    other = Holder("node-a", Holder.of(model).made_with | {"model": "other"})
    worker.ready(other)
    refused = worker.rebuild(texts[:8], None)
    assert "would compute other figures: model other and" in refused.what


def test_the_command_prints_and_stores_the_same_figures(
    cluster_address: str,
    cli: Cli,
    database: Database,
    folders: Folders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # the command then has one thread, as a worker has
    file = tmp_path / "texts.txt"
    file.write_text(" ".join(WORDS * 40), encoding="utf-8")
    words: list[str | Path] = [
        "transcoders",
        "measure",
        "--model",
        folders.model,
        "--transcoders",
        folders.transcoders,
    ]
    words += ["--texts", file, "--context", "12"]
    expected = cli.printed(*words, "--json")
    done = cli(*words, "--json", "--ray", cluster_address, "--workers", "2")
    assert done.exit_code == 0, done.text
    assert json.loads(done.stdout) == json.loads(expected)
    assert "2 workers are loading the model" in done.stderr
    assert "Stored with the transcoder set" in done.stderr
