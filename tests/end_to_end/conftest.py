from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.flink_cluster import FlinkCluster


@pytest.fixture(scope="module")
def flink_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    cluster = FlinkCluster(tmp_path_factory.mktemp("flink"), task_managers=2)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def flink(flink_cluster: FlinkCluster) -> Iterator[FlinkCluster]:
    """The module's cluster; a test that fails does not leave its job to the next one."""
    yield flink_cluster
    jobs = flink_cluster.rest.get("/jobs/overview")["jobs"]
    for job in jobs:
        if job["state"] not in {"CANCELED", "FAILED", "FINISHED"}:
            flink_cluster.rest.cancel(job["jid"])
