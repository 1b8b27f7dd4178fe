from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cluster.broker import Broker
from cluster.children import children
from cluster.demo import lists
from cluster.flink_cluster import FlinkCluster
from transforms.kafka.clients.factory import KafkaSettings, require_topics


def test_it_does_not_wait_for_a_broker_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(tmp_path / "kafka")
    broker.start()
    try:
        settings = KafkaSettings(broker.address)
        require_topics(settings, {"recommendations": 1}, create=True)
        (java,) = (pid for pid, line in children(os.getpid()).items() if str(tmp_path) in line)

        def kill_broker() -> list[str]:
            os.kill(java, signal.SIGKILL)
            return []

        # Of a cluster that was not started; it is asked once the lists are being read.
        cluster = FlinkCluster(tmp_path / "flink")
        monkeypatch.setattr(cluster, "replace_dead", kill_broker)
        with pytest.raises(RuntimeError, match="Kafka has ended by itself"):
            next(lists(settings, cluster, broker))
    finally:
        broker.stop()
