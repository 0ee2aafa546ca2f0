"""A real Ray cluster on this machine: a head with two cores, and a small object store."""

import os
from collections.abc import Iterator

import pytest
import torch

# Ray reads these when it is imported. Its workers would else run after everything else on a busy machine.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

STORE_BYTES = 200 << 20


@pytest.fixture(scope="module")
def cluster_address() -> Iterator[str]:
    """HOST:PORT of a head node that runs until the file's tests end."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": False,
        },
    )
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch has as many threads as a worker of a cluster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
