"""From a command line to an exit code; whatever is wrong is said in one line."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import DebugOptions, PortableOptions
from apache_beam.runners.worker import sdk_worker
from rich.console import Console

from beam_pipeline.failures import EXPECTED, one_line, reason_of
from beam_pipeline.options import InputOptions, KafkaOptions, OutputOptions
from beam_pipeline.outputs import start_outputs
from beam_pipeline.pipeline import build
from beam_pipeline.progress import Progress
from beam_pipeline.settings import Settings, parse
from beam_pipeline.summary import (
    last_lists,
    notes,
    nothing_read,
    nothing_usable,
    print_lists,
    summarize,
)
from beam_pipeline.usage import UsageError
from transforms.kafka.clients.factory import require_topics
from transforms.runtime.fn_api_runner import bounded_memory
from transforms.schema_registry.pool import check_registry
from transforms.splittable_read import resume_reading, stop_reading

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_YEARS: Final = 10 * 365 * 24 * 3600


def main(argv: Sequence[str]) -> int:
    """Runs the pipeline that the command line describes; returns the exit code."""
    _quieten()
    try:
        settings = parse(argv)
        with tempfile.TemporaryDirectory(prefix="flurs-beam-") as folder:
            return _run(settings, Path(folder))
    except UsageError as e:
        _say(f"error: {e}")
        return EXIT_USAGE
    except KeyboardInterrupt:
        _say("broken off")
        return EXIT_FAILED
    except Exception as e:
        reason = reason_of(e)
        if not reason:
            raise
        _say(f"error: {reason}")
        return EXIT_FAILED


def _run(settings: Settings, folder: Path) -> int:
    shown = None
    if settings.runs_here and not (settings.output or settings.output_topic):
        shown = folder / "lists.jsonl"
        settings = replace(settings, output=str(shown))
    output = settings.beam.view_as(OutputOptions)
    if settings.sample:
        _say("no --input and no --input_topic: running on a bundled, synthetic sample")
    _suit_prism(settings)
    if settings.registry:
        check_registry(settings.registry)
    if settings.kafka:
        create = settings.beam.view_as(KafkaOptions).create_topics
        asked = settings.beam.view_as(InputOptions).request_topic
        topics = [*settings.output_topics, *([asked] if asked and create else [])]
        if topics:
            require_topics(settings.kafka, dict.fromkeys(topics, 1), create=create)
    try:
        pipeline = beam.Pipeline(options=settings.beam)
        start = build(pipeline, settings)
    except EXPECTED:
        raise
    except ValueError as e:
        # Beam's own for what its options cannot mean, such as a runner that there is not.
        raise UsageError(one_line(e)) from e
    start_outputs(settings, "json" if shown else output.output_format, appends=start.appends)
    began = time.monotonic()
    result, stopped = _here(pipeline) if settings.runs_here else _elsewhere(pipeline, settings)
    if result is None:
        return EXIT_FAILED
    seconds = time.monotonic() - began
    if shown:
        with shown.open("rb") as lines:
            print_lists(last_lists(lines), Console())
    return _finish(result.metrics(), seconds, settings, stopped=stopped)


def _here(pipeline: beam.Pipeline) -> tuple[Any, bool]:
    """Runs the pipeline in this process; returns its result, and whether it was stopped."""
    with bounded_memory(), _StoppingInOrder() as stopping, Progress(_say):
        result = pipeline.run()
        # Prism's job server takes SIGINT for itself when it starts.
        stopping.listen()
        result.wait_until_finish()
    return result, stopping.stopped


def _elsewhere(pipeline: beam.Pipeline, settings: Settings) -> tuple[Any, bool]:
    """Submits the pipeline and waits for its end; returns what `_here` does, None if it failed."""
    if settings.flink_defaults:
        _say(f"on Flink, unless you say otherwise: {' '.join(settings.flink_defaults)}")
    # Beam ends the job server, a process of its own, on KeyboardInterrupt only.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except KeyboardInterrupt:
        _say("left; a job that was submitted goes on until it is cancelled there")
        return None, True
    except (RuntimeError, grpc.RpcError) as e:
        _say(f"error: {reason_of(e) or one_line(e)}")
        return None, False
    return result, False


def _finish(metrics: Any, seconds: float, settings: Settings, *, stopped: bool) -> int:
    """Says how the run went; returns the exit code."""
    summary = summarize(metrics)
    for line in notes(metrics):
        _say(line)
    _say(f"{summary.read / seconds:,.0f} events/s, {seconds:.1f} s")
    code = 0
    if stopped and settings.ends:
        code = EXIT_FAILED
        _say("error: stopped before the end of the input")
    elif nothing_read(metrics):
        _say("warning: there was no record to read")
    elif nothing_usable(metrics):
        code = EXIT_FAILED if settings.ends else 0
        _say(f"{'error' if code else 'warning'}: no record could be used; the log says why")
    _say(summary.line())
    path = settings.beam.view_as(OutputOptions).summary
    if path:
        Path(path).write_text(summary.to_json() + "\n", encoding="utf-8")
    return code


def _suit_prism(settings: Settings) -> None:
    """Keeps Prism from working on one key in two bundles at once, and from a run's early end.

    Prism 2.77 splits a slow bundle of a stateful stage in two, and runs the second half beside
    the first although both have the same key; each then misses what the other learned. And Beam
    waits for the end of a run on Prism no longer than for an answer of a job server: 5 minutes.
    """
    settings.beam.view_as(DebugOptions).add_experiment("prism_disable_sdf_split")
    if settings.runs_here and "job_server_timeout" not in settings.beam.get_all_options(
        drop_default=True
    ):
        settings.beam.view_as(PortableOptions).job_server_timeout = _YEARS


class _StoppingInOrder:
    """Lets the first Ctrl-C or SIGTERM end the sources, so that what was read is finished."""

    _signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._before = {which: signal.getsignal(which) for which in self._signals}
        self.stopped = False

    def listen(self) -> None:
        for which in self._signals:
            signal.signal(which, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        again = "press Ctrl-C" if number == signal.SIGINT else "send SIGTERM"
        _say(f"stopping after in-flight records; {again} again to abort")
        self.stopped = True
        stop_reading()
        for which in self._signals:
            signal.signal(which, signal.SIG_DFL)

    def __enter__(self) -> _StoppingInOrder:
        self.listen()
        return self

    def __exit__(self, *exception: object) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)
        resume_reading()


def _quieten() -> None:
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", force=True
    )
    logging.getLogger("apache_beam.utils.subprocess_server").setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_not_told_anyhow)
    # They say what was taken for which field of a rating, what a job goes on with, and that
    # kernels are being compiled, as nothing else is said meanwhile.
    for told in ("transforms.parse", "beam_pipeline.start", "transforms.learning.warm_up"):
        logging.getLogger(told).setLevel(logging.INFO)
    sdk_worker.print = _drop
    # These print the traceback of an error that reaches us anyhow.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    logging.getLogger("apache_beam.runners.worker.sdk_worker").setLevel(logging.CRITICAL)
    # What goes wrong is in our own errors, and `topic_watch` says when the brokers are away.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _is_not_told_anyhow(record: logging.LogRecord) -> bool:
    """Drops what Prism and its client say of an error that reaches us anyhow."""
    return record.name != "PrismRunner" and not (
        record.name == "root" and "Traceback (most recent call last)" in record.getMessage()
    )


def _drop(*_: object, **__: object) -> None:
    """Stands in for the `print` by which Beam's worker shows the same traceback once more."""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
