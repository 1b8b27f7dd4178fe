"""Bounds what Beam's FnApiRunner, the DirectRunner's engine, keeps of a pipeline that never ends.

Beam 2.77 keeps something of every bundle until the pipeline ends:

- Metrics. `consolidate` is a generator, and for each bundle `run_stages` wraps the generator of
  all bundles before in a new one. The chain is first walked when the pipeline has ended, and then
  it is too deep for Python's stack: `result.metrics()` raises RecursionError. Walked at each
  bundle, counters and distributions are one value each, but gauges are not combined at all.
- Event-time timers. The watermark of a stage that reads is at its end from the start, so a timer
  fires after the bundle that set it, and again after the next. If it has to wait, it is queued
  beside those that it should replace, and all of them fire in the end.

Both are what this module replaces, and nothing else. Its tests fail when Beam mends either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from apache_beam.coders.coder_impl import create_OutputStream
from apache_beam.metrics import monitoring_infos
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import execution, fn_runner
from apache_beam.runners.portability.fn_api_runner.execution import DataInput

_EVENT_TIME: Final = beam_runner_api_pb2.TimeDomain.EVENT_TIME
_enqueue_set_timers = fn_runner.FnApiRunner._enqueue_set_timers


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Makes FnApiRunner, while this lasts, hold no more after a million bundles than after one."""
    lazily = fn_runner.consolidate_monitoring_infos
    fn_runner.consolidate_monitoring_infos = consolidated
    fn_runner.FnApiRunner._enqueue_set_timers = _enqueue_timers_once
    try:
        yield
    finally:
        fn_runner.consolidate_monitoring_infos = lazily
        fn_runner.FnApiRunner._enqueue_set_timers = _enqueue_set_timers


def consolidated(infos: Iterable[Any]) -> list[Any]:
    """Returns one `MonitoringInfo` for each counter, distribution and gauge among `infos`."""
    gauges: dict[Any, Any] = {}
    others = []
    for info in infos:
        if not monitoring_infos.is_gauge(info):
            others.append(info)
            continue
        key = monitoring_infos.to_key(info)
        # A bundle that did not set a gauge reports one of the year 1970.
        if key not in gauges or _set_at(gauges[key]) < _set_at(info):
            gauges[key] = info
    return [*monitoring_infos.consolidate(others), *gauges.values()]


def _set_at(gauge: Any) -> float:
    at: float = monitoring_infos.extract_gauge_value(gauge)[0]
    return at


def _enqueue_timers_once(
    runner: Any, context: Any, stage: Any, new_timers: dict[Any, Any], bundle: Any
) -> None:
    """Stands in for `FnApiRunner._enqueue_set_timers`.

    Event-time timers wait until nothing else is to be done, and replace those that wait already.
    """
    others = {}
    for family, (timers, at) in new_timers.items():
        if stage.stage_timer_outputs[family][1] != _EVENT_TIME:
            others[family] = timers, at
            continue
        key = stage.stage.name, at
        waiting = context.queues.watermark_pending_inputs._keyed_elements.get(key)
        if waiting and family in waiting[1].timers:
            _drop_replaced(waiting[1].timers[family], timers)
        inputs = {name: execution.ListBuffer(None) for name in bundle.data}
        entry = key, DataInput(inputs, {family: timers})
        context.queues.watermark_pending_inputs.enque(entry)
    _enqueue_set_timers(runner, context, stage, others, bundle)


def _drop_replaced(waiting: Any, new: Any) -> None:
    coder = waiting._coder_impl
    replaced = {_identity(timer) for part in new for timer in coder.decode_all(part)}
    kept = create_OutputStream()
    for part in waiting:
        for timer in coder.decode_all(part):
            if _identity(timer) not in replaced:
                coder.encode_to_stream(timer, kept, True)
    waiting._inputs = [kept.get()] if kept.size() else []


def _identity(timer: Any) -> tuple[Any, str, Any]:
    return timer.user_key, timer.dynamic_timer_tag, timer.windows[0]
