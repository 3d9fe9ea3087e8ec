"""A Ray cluster on this machine."""

import pytest


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster of two nodes with a core each; the second can be removed."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield lambda: cluster.remove_node(second, allow_graceful=False)
    cluster.shutdown()
