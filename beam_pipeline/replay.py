"""Sends dead letters back to a topic, each with its own key, value, headers and time.

python -m beam_pipeline.replay --kafka_bootstrap_servers localhost:9092 \
        --from_topic dead-letters --to_topic ratings --reason 'rating is missing'
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from apache_beam.io.filesystems import FileSystems
from kafka.errors import KafkaError

from beam_pipeline.failures import one_line
from beam_pipeline.kafka_flags import add_client_flag, add_kafka_flags, kafka_settings
from beam_pipeline.usage import Parser, UsageError
from transforms.errors import DeliveryError, KafkaSetupError, MalformedRecordError
from transforms.file_reader import match_files
from transforms.formats.dead_letters import Kept, decode_dead_letter, letter_of_record
from transforms.kafka.clients.factory import consumer, partitions_of, require_topics
from transforms.kafka.clients.protocols import Message
from transforms.kafka.delivery import Delivery
from transforms.kafka.producer_pool import ProducerPool
from transforms.kafka.settings import KafkaSettings

_CHUNK: Final = 10_000
_POLL_SECONDS: Final = 0.2
_SHOWN: Final = 5


def _parser() -> Parser:
    parser = Parser(prog="python -m beam_pipeline.replay", description=__doc__.split("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from_topic", metavar="TOPIC", help="topic of dead letters")
    source.add_argument(
        "--from_file", metavar="PATH|GLOB", help="file(s) that --dead_letters wrote"
    )
    parser.add_argument("--to_topic", required=True, metavar="TOPIC", help="where to send them")
    parser.add_argument(
        "--stage",
        choices=("parse", "write"),
        default="parse",
        help="which letters: records that could not be parsed, or output that its topic refused"
        " (default: parse)",
    )
    parser.add_argument(
        "--reason", default="", metavar="REGEX", help="only letters whose reason contains this"
    )
    parser.add_argument("--dry_run", action="store_true", help="count, but send nothing")
    add_kafka_flags(parser)
    add_client_flag(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Sends back what the command line selects; returns the exit code."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        return _replay(_parser().parse_args(argv))
    except UsageError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except (DeliveryError, KafkaError, KafkaSetupError, OSError) as e:
        print(f"error: {one_line(e)}", file=sys.stderr)
        return 1


class _Selection:
    """Which letters are sent back, and how many are not for which cause.

    Args:
        stage: The stage that gave the records up.
        reason: Regular expression that the reason has to contain.

    Attributes:
        counts: Letters by what becomes of them.
        problems: A line for each of the first records that are kept back although selected.
    """

    def __init__(self, stage: str, reason: str) -> None:
        self._stage = stage
        try:
            self._reason = re.compile(reason)
        except re.error as e:
            msg = f"--reason {reason!r} is no regular expression: {e}"
            raise UsageError(msg) from e
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def message(self, kept: Kept) -> Message | None:
        """Returns what is sent for a letter, None for nothing."""
        letter, whole_bytes = kept
        if letter.stage != self._stage or not self._reason.search(letter.reason):
            self.counts["other"] += 1
            return None
        if whole_bytes is not None:
            self.counts["cut"] += 1
            kept_bytes = len(letter.value)
            self.note(f"{letter.origin}: only {kept_bytes} of {whole_bytes} bytes were kept")
            return None
        self.counts["sent"] += 1
        return Message(letter.key, letter.value, "", letter.headers, letter.time or None)

    def unreadable(self, where: str, error: MalformedRecordError) -> None:
        """Counts what is no dead letter."""
        self.counts["unreadable"] += 1
        self.note(f"{where}: {error}")

    def refused(self, reason: str) -> None:
        """Counts a record that the topic does not take."""
        self.counts["sent"] -= 1
        self.counts["refused"] += 1
        self.note(reason)

    def note(self, problem: str) -> None:
        if len(self.problems) < _SHOWN:
            self.problems.append(problem)


def _replay(arguments: argparse.Namespace) -> int:
    if arguments.from_topic == arguments.to_topic:
        msg = f"--from_topic and --to_topic are both {arguments.to_topic}"
        raise UsageError(msg)
    selection = _Selection(arguments.stage, arguments.reason)
    settings = kafka_settings(
        arguments.kafka_bootstrap_servers,
        arguments.kafka_config,
        arguments.kafka_client,
        arguments.kafka_token_provider,
    )
    require_topics(settings, {arguments.to_topic: 1})
    if arguments.from_topic:
        letters = _of_topic(settings, arguments.from_topic, selection)
    else:
        letters = _of_files(arguments.from_file, selection)
    pool = ProducerPool()
    try:
        for chunk in letters:
            messages = [one for kept in chunk if (one := selection.message(kept))]
            if messages and not arguments.dry_run:
                delivery = Delivery(settings, arguments.to_topic, pool)
                try:
                    delivery.send(messages)
                    for refused in delivery.flush():
                        selection.refused(refused.reason)
                finally:
                    delivery.end(failed=True)
    finally:
        pool.close()
    return _report(selection, dry_run=arguments.dry_run)


def _report(selection: _Selection, *, dry_run: bool) -> int:
    counts = selection.counts
    for problem in selection.problems:
        print(f"not sent: {problem}", file=sys.stderr)
    if dry_run:
        print("dry run: nothing was sent", file=sys.stderr)
    names = ("sent", "other", "cut", "refused", "unreadable")
    read = sum(counts[name] for name in names)
    line = " ".join(f"{name}={counts[name]}" for name in names)
    print(f"read={read} {line}", file=sys.stderr)
    return 1 if counts["refused"] or counts["unreadable"] else 0


def _of_files(pattern: str, selection: _Selection) -> Iterator[list[Kept]]:
    paths, names = match_files(pattern)
    chunk: list[Kept] = []
    for path, name in zip(paths, names, strict=True):
        with FileSystems.open(path) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    chunk.append(Kept(decode_dead_letter(line)))
                except MalformedRecordError as e:
                    selection.unreadable(f"{name}:{number}", e)
                if len(chunk) == _CHUNK:
                    yield chunk
                    chunk = []
    yield chunk


def _of_topic(settings: KafkaSettings, topic: str, selection: _Selection) -> Iterator[list[Kept]]:
    """Yields the letters up to the end offsets that the topic has now."""
    client = consumer(settings, None)
    try:
        partitions = partitions_of(client, topic, settings)
        first, end = client.beginning_offsets(partitions), client.end_offsets(partitions)
        left = {one for one in partitions if first[one] < end[one]}
        for partition in left:
            client.seek(partition, first[partition])
        while left:
            polled = client.poll(_POLL_SECONDS)
            for partition in polled.out_of_range:
                # Retention has deleted the oldest ones meanwhile.
                client.seek(partition, client.beginning_offsets([partition])[partition])
            for partition, records in polled.records.items():
                kept = []
                for offset, value, milliseconds, key, headers in zip(*records, strict=True):
                    if offset >= end[partition]:
                        break
                    try:
                        kept.append(letter_of_record(key, value, headers, milliseconds / 1000))
                    except MalformedRecordError as e:
                        selection.unreadable(f"{topic}-{partition.partition}-{offset}", e)
                yield kept
            done = {one for one in left if client.progress(one)[0] >= end[one]}
            for partition in done:
                client.unassign(partition)
            left -= done
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
