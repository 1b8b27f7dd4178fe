"""Checks of flags that have to fit together."""

from __future__ import annotations

import argparse
import math

from beam_pipeline.runners import is_local
from beam_pipeline.usage import UsageError
from transforms.formats.detection import CONFLUENT, MESSAGE_FORMATS
from transforms.kafka.start_offset import EARLIEST, EXPORTED, start_seconds
from transforms.kafka.topics import TopicSelection
from transforms.recommenders.registry import UNSHARDED
from transforms.write_files import STDOUT


def check(known: argparse.Namespace) -> None:
    """Checks all flags.

    Raises:
        UsageError: A value is out of range, or flags do not fit together.
    """
    _check_workers(known)
    _check_input(known)
    _check_topics(known)
    _check_requests(known)
    _check_output(known)


def _check_workers(known: argparse.Namespace) -> None:
    """Refuses what makes FnApiRunner learn wrongly, or deaf to Ctrl-C.

    Several workers each cache state that the others change, a repeated bundle is learned again,
    and `stop_reading` does not reach another process.
    """
    for name, only in (
        ("direct_running_mode", "in_memory"),
        ("direct_num_workers", 1),
        ("direct_runner_bundle_repeat", 0),
    ):
        value = getattr(known, name)
        if value != only and is_local(known.runner):
            msg = (
                f"--{name}={value} is not supported: a local run learns in one worker, in this"
                " process; for more workers use --runner FlinkRunner"
            )
            raise UsageError(msg)


def _check_input(known: argparse.Namespace) -> None:
    if known.order_by_time and known.input_topic and not known.input:
        msg = "--order_by_time needs --input: a topic has no end before which to sort"
        raise UsageError(msg)
    if known.input_topic and not known.input and known.input_format not in MESSAGE_FORMATS:
        expected = ", ".join(MESSAGE_FORMATS)
        msg = f"--input_format {known.input_format} is for files; a topic takes {expected}"
        raise UsageError(msg)
    if not known.input_topic and known.input_format == CONFLUENT:
        msg = f"--input_format {CONFLUENT} needs --input_topic: files are never framed so"
        raise UsageError(msg)
    if not known.input_topic and known.stop_at_end:
        msg = "--stop_at_end needs --input_topic: files end by themselves"
        raise UsageError(msg)
    if math.isnan(known.min_rating):
        msg = "--min_rating is NaN, expected a number"
        raise UsageError(msg)
    if not 0 <= known.export_seconds < math.inf:
        msg = f"--export_seconds is {known.export_seconds}, expected 0 or more"
        raise UsageError(msg)
    if known.max_record_bytes < 1:
        msg = f"--max_record_bytes is {known.max_record_bytes}, expected at least 1"
        raise UsageError(msg)


def _check_topics(known: argparse.Namespace) -> None:
    try:
        TopicSelection.parse(known.input_topic or "^")
    except ValueError as e:
        msg = f"--input_topic: {e}"
        raise UsageError(msg) from e
    try:
        start_seconds(known.start_offset or EARLIEST)
    except ValueError as e:
        msg = f"--{e}"
        raise UsageError(msg) from e
    if known.start_offset == EXPORTED:
        _check_exported(known)
    if not 0 <= known.idle_timeout < math.inf:
        msg = f"--idle_timeout is {known.idle_timeout}, expected 0 or more seconds"
        raise UsageError(msg)
    if known.idle_timeout and not known.input_topic:
        msg = "--idle_timeout needs --input_topic: files end by themselves"
        raise UsageError(msg)
    if known.idle_timeout and known.input:
        msg = "--idle_timeout does not work with --input beside --input_topic; use --stop_at_end"
        raise UsageError(msg)
    if known.idle_timeout and not is_local(known.runner):
        msg = (
            f"--idle_timeout does not work with {known.runner}: no worker knows what others read;"
            " use --stop_at_end"
        )
        raise UsageError(msg)


def _check_exported(known: argparse.Namespace) -> None:
    if not known.import_model:
        msg = "--start_offset exported resumes where --import_model left off: name its folder"
        raise UsageError(msg)
    if known.input:
        msg = (
            "--start_offset exported resumes in the topic: leave out --input, whose files the model"
            " has learned already"
        )
        raise UsageError(msg)


def _check_requests(known: argparse.Namespace) -> None:
    if known.requests and known.input_topic:
        msg = "--requests goes with --input: beside --input_topic use --request_topic"
        raise UsageError(msg)
    if known.request_topic and not known.input_topic:
        msg = "--request_topic goes with --input_topic: beside --input use --requests"
        raise UsageError(msg)
    if known.request_topic and known.request_topic in known.input_topic.split(","):
        msg = f"--request_topic and --input_topic are both {known.request_topic}"
        raise UsageError(msg)
    if (known.requests or known.request_topic) and known.top_n < 1:
        msg = "requests ask for lists: --top_n must be 1 or more"
        raise UsageError(msg)


def _check_output(known: argparse.Namespace) -> None:
    if known.output and known.output_topic:
        msg = "--output and --output_topic exclude each other"
        raise UsageError(msg)
    if known.dead_letters and known.dead_letter_topic:
        msg = "--dead_letters and --dead_letter_topic exclude each other"
        raise UsageError(msg)
    if known.evaluation and known.evaluation_topic:
        msg = "--evaluation and --evaluation_topic exclude each other"
        raise UsageError(msg)
    if not (known.output or known.output_topic or is_local(known.runner)):
        msg = f"say where {known.runner} is to write the lists: --output_topic or --output"
        raise UsageError(msg)
    if known.output == STDOUT and not is_local(known.runner):
        msg = "--output - prints where the workers are; name a file or an --output_topic"
        raise UsageError(msg)
    if known.output == STDOUT and known.output_format != "json":
        msg = "--output - prints json only"
        raise UsageError(msg)
    if known.top_n < 0 or min(known.user_blocks, known.item_blocks, known.replicas) < 1:
        msg = "--top_n must be 0 or more, --user_blocks, --item_blocks and --replicas 1 or more"
        raise UsageError(msg)
    if known.replicas > 1 and known.item_blocks > 1:
        msg = (
            f"--replicas {known.replicas} and --item_blocks {known.item_blocks} do not go together:"
            " leave one of them at 1"
        )
        raise UsageError(msg)
    if known.item_blocks > 1 and known.model in UNSHARDED:
        msg = (
            f"--model {known.model} compares whole sessions, so its items cannot be split:"
            " leave --item_blocks at 1, or use --user_blocks"
        )
        raise UsageError(msg)
