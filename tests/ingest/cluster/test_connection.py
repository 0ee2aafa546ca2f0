"""What is wrong with a cluster is named, with what to do, before any work begins."""

from typing import Any

import pytest
import ray
from ray._private.utils import check_version_info

from ingest.cluster.connection import ClusterSettings, connected, refusal
from schema.errors import InputError
from tests.support.cli import Cli
from tests.support.servers import free_port

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def refused(**settings: Any) -> InputError:
    with pytest.raises(InputError) as error, connected(ClusterSettings(**settings)):
        pass
    assert error.value.next_step
    assert not ray.is_initialized()
    return error.value


def test_no_cluster_at_the_address() -> None:
    for address in (f"127.0.0.1:{free_port()}", f"ray://127.0.0.1:{free_port()}", "absent.invalid:6379"):
        error = refused(address=address)
        assert f"There is no Ray cluster at {address}" in error.what
        assert "ray start --head" in str(error.next_step)
    assert "is no address" in refused(address="nonsense").what


def test_what_the_cluster_does_not_have(cluster_address: str) -> None:
    for asked, said in (
        ({"gpus_per_worker": 0.5}, "1 worker with 0.5 GPU each are asked for, and the cluster has 0 GPU"),
        ({"workers": 3}, "3 workers with 1 CPU each are asked for, and the cluster has 2 CPU"),
        ({"cpus_per_worker": 4}, "1 worker with 4 CPU each are asked for, and the cluster has 2 CPU"),
        ({"gpus_per_worker": 1.5}, "neither below 1 nor a whole number"),
    ):
        assert said in refused(address=cluster_address, **asked).what


def test_other_versions_of_ray_and_python() -> None:
    other = {"ray_version": "2.9.0", "python_version": "3.9.1"}
    with pytest.raises(RuntimeError) as mismatch:
        check_version_info(other, "This process")
    error = refusal("10.0.0.5:6379", mismatch.value)
    assert "10.0.0.5:6379 has other versions of Ray or Python" in error.what
    assert "2.9.0" in error.what
    assert "3.9.1" in error.what
    assert "the same versions" in str(error.next_step)


def test_the_command_names_them(cli_without_database: Cli, tmp_path: Any) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = cli_without_database("ingest", "--ray", address, "--to", tmp_path / "shards")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"There is no Ray cluster at {address}" in done.stderr
    assert cli_without_database("ingest", "--ray", "auto", "--watch").exit_code == 2
