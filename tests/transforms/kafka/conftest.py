from __future__ import annotations

import pytest

from cluster.broker import Broker
from tests.support import Topics
from transforms.kafka.clients.factory import CLIENTS, KafkaSettings


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def topics(broker: Broker, client: str) -> Topics:
    """Every test of the source and the sink runs over both clients."""
    return Topics(KafkaSettings(broker.address, client=client))
