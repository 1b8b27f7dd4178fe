"""From a command line to an exit code; whatever is wrong is said in one line."""

from __future__ import annotations

import logging
import os
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
from apache_beam.options.pipeline_options import DebugOptions
from kafka.errors import KafkaError
from rich.console import Console

from beam_pipeline.options import (
    EvaluationOptions,
    InputOptions,
    KafkaOptions,
    OutputOptions,
)
from beam_pipeline.pipeline import build
from beam_pipeline.settings import Settings, parse
from beam_pipeline.summary import last_lists, notes, print_lists, summarize
from beam_pipeline.usage import UsageError
from transforms.errors import (
    DeliveryError,
    IncompatibleModelError,
    KafkaSetupError,
    UnsupportedFormatError,
)
from transforms.kafka.client import require_topics
from transforms.read import match_files
from transforms.resumable_read import resume_reading, stop_reading
from transforms.write import STDOUT, start_file

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_EXPECTED: Final = (
    DeliveryError,
    IncompatibleModelError,
    KafkaError,
    KafkaSetupError,
    UnsupportedFormatError,
    OSError,
)


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
    except _EXPECTED as e:
        _say(f"error: {_one_line(e)}")
        return EXIT_FAILED


def _run(settings: Settings, folder: Path) -> int:
    shown = None
    if settings.runs_here and not (settings.output or settings.output_topic):
        shown = folder / "lists.jsonl"
        settings = replace(settings, output=str(shown))
    output = settings.beam.view_as(OutputOptions)
    if settings.sample:
        _say("no --input and no --input_topic: running on a bundled, synthetic sample")
    _avoid_prism_splits(settings)
    if settings.kafka:
        create = settings.beam.view_as(KafkaOptions).create_topics
        asked = settings.beam.view_as(InputOptions).request_topic
        topics = [*settings.output_topics, *([asked] if asked and create else [])]
        if topics:
            require_topics(settings.kafka, dict.fromkeys(topics, 1), create=create)
    try:
        pipeline = beam.Pipeline(options=settings.beam)
        build(pipeline, settings)
    except _EXPECTED:
        raise
    except ValueError as e:
        # Beam's own for what its options can not mean, such as a runner that there is not.
        raise UsageError(_one_line(e)) from e
    _start_files(settings, "json" if shown else output.output_format)
    start = time.monotonic()
    result = _here(pipeline) if settings.runs_here else _elsewhere(pipeline, settings)
    if result is None:
        return EXIT_FAILED
    seconds = time.monotonic() - start
    if shown:
        with shown.open("rb") as lines:
            print_lists(last_lists(lines), Console())
    _finish(result.metrics(), seconds, output.summary)
    return 0


def _start_files(settings: Settings, output_format: str) -> None:
    """Empties the files that the run writes; one that goes on where another stopped adds to them.

    Raises:
        UsageError: A file is named twice, or is a file of the input.
        OSError: One can not be written.
    """
    options = settings.beam.view_as(OutputOptions)
    lists = "" if settings.output == STDOUT else settings.output
    tests = settings.beam.view_as(EvaluationOptions).evaluation
    written = (lists, options.dead_letters, tests, options.summary)
    named = [path for path in written if path]
    requests = settings.beam.view_as(InputOptions).requests
    read = () if settings.input_topic else (settings.input, requests)
    inputs = [path for pattern in read if pattern for path in match_files(pattern)[0]]
    taken = {os.path.realpath(path) for path in inputs}
    for path in named:
        if os.path.realpath(path) in taken:
            msg = f"{path} is to be written, and is also the input or another output"
            raise UsageError(msg)
        taken.add(os.path.realpath(path))
    goes_on = settings.beam.view_as(InputOptions).start_offset == "committed"
    if lists:
        start_file(lists, output_format, keep=goes_on)
    for path in (options.dead_letters, tests):
        if path:
            start_file(path, keep=goes_on)
    if options.summary:
        start_file(options.summary)


def _here(pipeline: beam.Pipeline) -> Any:
    """Runs the pipeline in this process; returns its result."""
    with _StoppingInOrder() as stopping:
        result = pipeline.run()
        # Prism's job server takes SIGINT for itself when it starts.
        stopping.listen()
        result.wait_until_finish()
    return result


def _elsewhere(pipeline: beam.Pipeline, settings: Settings) -> Any:
    """Submits the pipeline and waits for its end; returns its result, None if it failed."""
    if settings.flink_defaults:
        _say(f"on Flink, unless you say otherwise: {' '.join(settings.flink_defaults)}")
    # Beam ends the job server, a process of its own, on KeyboardInterrupt only.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except KeyboardInterrupt:
        _say("left; a job that was submitted goes on until it is cancelled there")
        return None
    except (RuntimeError, grpc.RpcError) as e:
        _say(f"error: {_one_line(e)}")
        return None
    return result


def _finish(metrics: Any, seconds: float, summary_path: str | None) -> None:
    summary = summarize(metrics)
    for line in notes(metrics):
        _say(line)
    _say(f"{summary.read / seconds:,.0f} events/s, {seconds:.1f} s")
    _say(summary.line())
    if summary_path:
        Path(summary_path).write_text(summary.to_json() + "\n", encoding="utf-8")


def _avoid_prism_splits(settings: Settings) -> None:
    """Keeps Prism from working on one key in two bundles at once.

    Prism 2.77 splits a slow bundle of a stateful stage in two, and runs the second half beside
    the first although both have the same key; each then misses what the other learned.
    """
    settings.beam.view_as(DebugOptions).add_experiment("prism_disable_sdf_split")


class _StoppingInOrder:
    """Lets the first Ctrl-C or SIGTERM end the sources, so that what was read is finished."""

    _signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._before = {which: signal.getsignal(which) for which in self._signals}

    def listen(self) -> None:
        for which in self._signals:
            signal.signal(which, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        _say("stopping after the records in hand; again to break off")
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
    # These print the traceback of an error that reaches us anyhow.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    logging.getLogger("apache_beam.runners.worker.sdk_worker").setLevel(logging.CRITICAL)
    # What goes wrong is in our own errors, and `topic_watch` says when the brokers are away.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split(" [while running")[0].split())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
