"""Sends a file's ratings to a topic, as the blog post's producer does.

python -m beam_pipeline.produce --input u.data --topic ratings \
        --kafka_bootstrap_servers localhost:9092
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tqdm import tqdm

from beam_pipeline.failures import one_line
from beam_pipeline.kafka_flags import add_client_flag, add_kafka_flags, kafka_settings
from beam_pipeline.usage import Parser, UsageError
from transforms.errors import DeliveryError, KafkaSetupError, UnsupportedFormatError
from transforms.file_reader import Files, match_files, read_batches
from transforms.formats import avro, json_lines
from transforms.formats.detection import FILE_FORMATS
from transforms.formats.records import DeadLetter, Rating
from transforms.kafka.clients.factory import producer, require_topics
from transforms.kafka.clients.protocols import Message
from transforms.parse import parse

_IN_FLIGHT: Final = 20_000
_SHOWN: Final = 5
_ENCODERS: Final[dict[str, Callable[[Rating], bytes]]] = {
    "json": json_lines.encode_rating,
    "avro": avro.encode_rating,
}


def _parser() -> Parser:
    parser = Parser(prog="python -m beam_pipeline.produce", description=__doc__.split("\n")[0])
    parser.add_argument("--input", required=True, metavar="PATH|GLOB", help="file(s) to send")
    parser.add_argument(
        "--input_format", choices=FILE_FORMATS, default="auto", help="of the file(s)"
    )
    parser.add_argument(
        "--order_by_time", action="store_true", help="send in the order of the timestamps"
    )
    parser.add_argument("--topic", required=True, help="where to send them")
    add_kafka_flags(parser)
    add_client_flag(parser)
    parser.add_argument(
        "--format", choices=tuple(_ENCODERS), default="json", help="of the messages"
    )
    parser.add_argument(
        "--rate", type=float, default=0.0, metavar="N", help="ratings a second (default: no limit)"
    )
    parser.add_argument(
        "--create_topics", action="store_true", help="create the topic if it is missing"
    )
    parser.add_argument(
        "--partitions", type=int, default=1, metavar="N", help="of a topic that is created"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Sends what the command line says; returns the exit code."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        return _send(_parser().parse_args(argv))
    except UsageError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except (DeliveryError, KafkaSetupError, UnsupportedFormatError, OSError) as e:
        print(f"error: {one_line(e)}", file=sys.stderr)
        return 1


def _send(arguments: argparse.Namespace) -> int:
    if arguments.rate < 0 or arguments.partitions < 1:
        msg = "--rate must be 0 or more, --partitions 1 or more"
        raise UsageError(msg)
    settings = kafka_settings(
        arguments.kafka_bootstrap_servers,
        arguments.kafka_config,
        arguments.kafka_client,
        arguments.kafka_token_provider,
    )
    paths, names = match_files(arguments.input)
    files = Files(paths, names, arguments.input_format, arguments.order_by_time)
    topic = arguments.topic
    require_topics(settings, {topic: arguments.partitions}, create=arguments.create_topics)
    encode = _ENCODERS[arguments.format]
    client = producer(settings)
    sender = client.sender(topic)
    skipped: list[DeadLetter] = []
    sent = 0
    try:
        for rating in tqdm(_paced(_ratings(files, skipped), arguments.rate), unit=" ratings"):
            sender.send([Message(rating.user.encode(), encode(rating))])
            sent += 1
            if sent % _IN_FLIGHT == 0:
                sender.flush()
        sender.flush()
    except KeyboardInterrupt:
        sender.flush()
    finally:
        client.close()
    for letter in skipped[:_SHOWN]:
        print(f"skipped {letter.origin}: {letter.reason}", file=sys.stderr)
    print(f"sent={sent} skipped={len(skipped)}", file=sys.stderr)
    return 1 if skipped else 0


def _ratings(files: Files, skipped: list[DeadLetter]) -> Iterator[Rating]:
    for batch in read_batches(files):
        ratings, dead = parse(batch)
        skipped.extend(dead)
        yield from ratings


def _paced(ratings: Iterator[Rating], rate: float) -> Iterator[Rating]:
    if not rate:
        yield from ratings
        return
    start = time.monotonic()
    for number, rating in enumerate(ratings):
        ahead = number / rate - (time.monotonic() - start)
        if ahead > 0:
            time.sleep(ahead)
        yield rating


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
