from __future__ import annotations

import time

import pytest
from apache_beam.utils.counters import CounterFactory

from beam_pipeline import worker


def test_a_bundle_hardly_waits_for_the_sampler_at_its_end() -> None:
    assert worker.QuickSampler("a", CounterFactory()).sampling_period_ms == 5


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
