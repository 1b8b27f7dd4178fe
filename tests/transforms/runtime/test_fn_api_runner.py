from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.worker import statesampler
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow

from transforms.runtime.fn_api_runner import bounded_memory

_KEYS = 3
_BLOCKS: list[int] = []
"""How many blocks of memory Python had in use at some of the bundles."""


class _Numbers(RestrictionProvider):
    def initial_restriction(self, element: int) -> OffsetRange:
        return OffsetRange(0, element)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: int, restriction: OffsetRange) -> int:
        return 1


_NUMBERS = _Numbers()


class _OneABundle(beam.DoFn):
    """The numbers below the element, each in a bundle of its own."""

    def process(
        self,
        element: int,
        tracker: Any = beam.DoFn.RestrictionParam(_NUMBERS),
    ) -> Iterator[tuple[str, int]]:
        number = tracker.current_restriction().start
        if number % (element // 4) == 0:
            gc.collect()
            _BLOCKS.append(sys.getallocatedblocks())
        if tracker.try_claim(number):
            yield str(number % _KEYS), number
            tracker.defer_remainder()


class _Measure(beam.DoFn):
    """Has metrics of all kinds, and a timer for each key at the end of the input."""

    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(self, element: tuple[str, int], end: Any = beam.DoFn.TimerParam(END)) -> None:
        Metrics.counter("test", "read").inc()
        Metrics.distribution("test", "numbers").update(element[1])
        Metrics.gauge("test", "latest").set(element[1])
        end.set(GlobalWindow().max_timestamp())

    @on_timer(END)
    def at_the_end(self, key: Any = beam.DoFn.KeyParam) -> None:
        Metrics.counter("test", "ended").inc()
        Metrics.counter("test", f"ended_{key}").inc()


def _run(bundles: int) -> Any:
    _BLOCKS.clear()
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    numbers = pipeline | beam.Create([bundles]) | beam.ParDo(_OneABundle())
    numbers | beam.ParDo(_Measure()).with_input_types(tuple[str, int])
    return pipeline.run()


def _values(result: Any, kind: str) -> dict[str, Any]:
    return {one.key.metric.name: one.committed for one in result.metrics().query()[kind]}


class _NoSampler(statesampler.StateSampler):
    """Beam's has a thread that each bundle's end waits for, asleep."""

    def start(self) -> None:
        statesampler.set_current_tracker(self)

    def stop(self) -> None:
        statesampler.set_current_tracker(None)


@pytest.fixture(autouse=True)
def _quick_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statesampler, "StateSampler", _NoSampler)


def test_twenty_thousand_bundles_leave_nothing_behind_and_are_counted() -> None:
    bundles = 20_000
    with bounded_memory():
        result = _run(bundles)
    ended = {f"ended_{key}": 1 for key in range(_KEYS)}
    assert _values(result, "counters") == {"read": bundles, "ended": _KEYS, **ended}
    numbers = _values(result, "distributions")["numbers"]
    assert (numbers.count, numbers.sum) == (bundles, sum(range(bundles)))
    assert (numbers.min, numbers.max) == (0, bundles - 1)
    assert _values(result, "gauges")["latest"].value == bundles - 1
    # What is kept of a bundle is one block at the very least.
    warm, last_quarter = _BLOCKS[1], _BLOCKS[3]
    assert last_quarter - warm < bundles / 100


def test_beam_still_keeps_the_metrics_of_every_bundle() -> None:
    result = _run(1500)
    with pytest.raises(RecursionError):
        result.metrics()
    assert _BLOCKS[3] - _BLOCKS[1] > 1500


def test_beam_still_fires_the_timer_of_every_bundle() -> None:
    assert _values(_run(60), "counters")["ended"] == 60


def test_beam_still_keeps_the_gauge_of_every_bundle() -> None:
    result = _run(60)
    latest = [one for one in result.monitoring_infos() if one.labels.get("NAME") == "latest"]
    assert len(latest) > 50


def test_beam_is_as_before_afterwards() -> None:
    before = _replaced()
    with pytest.raises(ZeroDivisionError), bounded_memory():
        assert all(now is not then for now, then in zip(_replaced(), before, strict=True))
        raise ZeroDivisionError
    assert _replaced() == before


def _replaced() -> tuple[Any, Any]:
    return fn_runner.consolidate_monitoring_infos, fn_runner.FnApiRunner._enqueue_set_timers
