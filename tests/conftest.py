from __future__ import annotations

import logging
import signal
from collections.abc import Generator, Iterator

import pytest

from cluster.broker import Broker
from cluster.schema_registry import SchemaRegistry
from tests import processes
from tests.canary import MARK
from tests.secured import SecuredBroker
from tests.support import Topics, patience, wait_until
from transforms.kafka.clients.factory import KafkaSettings
from transforms.learning.state import ModelCache
from transforms.learning.warm_up import warm_up
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec
from transforms.runtime.worker_context import WORKER
from transforms.sharding import bundle

# A shell that starts the tests in the background has SIGINT ignored, by what they start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A test that hangs fails after so long; what it waits for has shorter limits, and says what it is.
_TEST_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(patience(_TEST_SECONDS)))


@pytest.fixture(scope="session", autouse=True)
def _no_processes_left() -> Iterator[None]:
    """Set up before all others, so what they end is ended when it looks."""
    with processes.watched():
        yield
        try:
            wait_until(lambda: not processes.left(), seconds=5)
        except AssertionError:
            pytest.fail(f"processes were left behind: {processes.left()}")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("kafka"), properties=["message.max.bytes=20000000"])
    broker.start()
    yield broker
    # Clients that live as long as this process would complain until its end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    broker.stop()


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    secured = SecuredBroker(tmp_path_factory.mktemp("secured"))
    secured.broker.start()
    yield secured
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    secured.broker.stop()


@pytest.fixture(scope="session")
def schema_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistry]:
    registry = SchemaRegistry(tmp_path_factory.mktemp("registry"))
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return Topics(KafkaSettings(broker.address))


# Threads of Beam and kafka-python log until the process ends, when nobody listens any more.
logging.raiseExceptions = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails a test whose output, log or error shows a password."""
    report = yield
    shown = {"error": report.longreprtext, **dict(report.sections)}
    leaks = [name for name, text in shown.items() if MARK in text]
    if leaks:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} ({call.when}) shows a password: {', '.join(leaks)}"
        report.sections = []
    return report


@pytest.fixture(scope="session", autouse=True)
def _kernels_are_cached() -> None:
    # Else the first program that a test starts would say that it compiles them.
    for model in MODEL_NAMES:
        warm_up(RecommenderSpec(model))


@pytest.fixture
def batches_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the batches of a bundle as they are, so that a shard gets several."""
    monkeypatch.setattr(bundle, "MAX_JOINED", 1)


@pytest.fixture(autouse=True)
def _no_models_left() -> Iterator[None]:
    yield
    WORKER.get(ModelCache).clear()
