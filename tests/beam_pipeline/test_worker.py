from __future__ import annotations

import os
import time
from typing import Any

import pytest
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker import statesampler
from apache_beam.runners.worker.bundle_processor import BundleProcessor
from apache_beam.utils.counters import CounterFactory

from beam_pipeline import worker

ARGUMENTS = ["--id=1-1", "--control_endpoint=localhost:1", "--logging_endpoint=localhost:2"]


def new_bundle() -> BundleProcessor:
    """What works on a bundle, of a stage without steps."""
    stage = beam_fn_api_pb2.ProcessBundleDescriptor(id="stage")
    return BundleProcessor(frozenset(), stage, state_handler=None, data_channel_factory=None)


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Makes the worker begin a bundle rather than connect; gets what it was given and did."""
    seen: dict[str, Any] = {}

    class Harness:
        def __init__(self, endpoint: str, **settings: Any) -> None:
            seen.update(settings, endpoint=endpoint)

        def run(self) -> None:
            seen["bundle"] = new_bundle()

    monkeypatch.setattr(worker, "SdkHarness", Harness)
    monkeypatch.setattr(statesampler, "StateSampler", statesampler.StateSampler)
    return seen


def test_a_bundle_hardly_waits_for_the_sampler_at_its_end(harness: dict[str, Any]) -> None:
    assert new_bundle().state_sampler.sampling_period_ms == 200
    assert worker.main(ARGUMENTS) == 0
    assert harness["bundle"].state_sampler.sampling_period_ms == 5


def test_it_connects_as_what_it_is_told_and_keeps_what_it_has_written(
    harness: dict[str, Any],
) -> None:
    worker.main(ARGUMENTS)
    assert (harness["endpoint"], harness["worker_id"]) == ("localhost:1", "1-1")
    assert harness["state_cache_size"] > 0


def test_it_says_that_it_is_connected(harness: dict[str, Any]) -> None:
    reading, writing = os.pipe()
    worker.main([*ARGUMENTS, f"--ready_fd={writing}"])
    assert os.read(reading, 2) == b"!"
    os.close(reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writing)


def test_the_sampler_still_says_where_time_goes() -> None:
    sampler = worker.QuickSampler("a", CounterFactory())
    state = sampler.scoped_state("step", "process")
    sampler.start()
    with state:
        time.sleep(0.2)
    sampler.stop()
    assert state.sampled_seconds() > 0.1


def test_what_beams_pool_does_not_say_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        worker.main(["--id=1-1"])
    assert ended.value.code == 2
    assert "--control_endpoint" in capsys.readouterr().err
