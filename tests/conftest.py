from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from cluster.broker import Broker
from tests.support import Topics
from transforms.kafka.client import KafkaSettings
from transforms.learning.state import MODELS


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("kafka"), properties=["message.max.bytes=20000000"])
    broker.start()
    yield broker
    # Clients that live as long as this process would complain until its end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    broker.stop()


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return Topics(KafkaSettings(broker.address))


# Threads of Beam and kafka-python log until the process ends, when nobody listens any more.
logging.raiseExceptions = False


@pytest.fixture(autouse=True)
def _no_models_left() -> Iterator[None]:
    yield
    MODELS.clear()
