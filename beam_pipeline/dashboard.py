"""Serves a page that shows a running job: throughput, recall, dead letters, a user's list.

python -m beam_pipeline.dashboard --kafka_bootstrap_servers localhost:9092 \
        --output_topic recommendations
"""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from collections.abc import Sequence
from typing import Final

import uvicorn

from beam_pipeline.failures import one_line
from beam_pipeline.kafka_flags import add_kafka_flags, kafka_settings
from beam_pipeline.port_flag import port_number
from beam_pipeline.usage import Parser, UsageError
from beam_pipeline.web.app import application
from beam_pipeline.web.ask import Asker
from beam_pipeline.web.follow import Follower, Topics
from beam_pipeline.web.live import Live
from beam_pipeline.web.titles import read_titles
from transforms.errors import KafkaSetupError, UnsupportedFormatError

_LOOPBACK: Final = ("127.0.0.1", "localhost")


def _parser() -> Parser:
    parser = Parser(prog="python -m beam_pipeline.dashboard", description=__doc__.split("\n")[0])
    add_kafka_flags(parser)
    parser.add_argument("--output_topic", required=True, metavar="TOPIC", help="lists")
    parser.add_argument(
        "--evaluation_topic", default="", metavar="TOPIC", help="what --evaluate writes"
    )
    parser.add_argument("--dead_letter_topic", default="", metavar="TOPIC", help="dead letters")
    parser.add_argument(
        "--request_topic", default="", metavar="TOPIC", help="where to ask for a user's list"
    )
    parser.add_argument(
        "--titles", metavar="FILE", help="items and titles: u.item, movies.csv, a CSV or TSV"
    )
    parser.add_argument(
        "--window", type=int, default=5000, metavar="N", help="tests of the recall window"
    )
    parser.add_argument("--top_n", type=int, default=10, metavar="N", help="N of recall@N")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; others than this machine's see"
        " all that the page shows, without a password",
    )
    parser.add_argument("--port", type=port_number, default=8089, help="0 for a free one")
    return parser


def main(argv: Sequence[str]) -> int:
    """Serves the page until Ctrl-C; returns the exit code."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        arguments = _parser().parse_args(argv)
        if arguments.window < 1 or arguments.top_n < 1:
            msg = "--window and --top_n must be 1 or more"
            raise UsageError(msg)
        return _serve(arguments)
    except UsageError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except (KafkaSetupError, UnsupportedFormatError, OSError) as e:
        print(f"error: {one_line(e)}", file=sys.stderr)
        return 1


def _serve(arguments: argparse.Namespace) -> int:
    settings = kafka_settings(
        arguments.kafka_bootstrap_servers,
        arguments.kafka_config,
        token_provider=arguments.kafka_token_provider,
    )
    titles = read_titles(arguments.titles) if arguments.titles else {}
    topics = Topics(arguments.output_topic, arguments.evaluation_topic, arguments.dead_letter_topic)
    asking = f"{arguments.request_topic}-" if arguments.request_topic else ""
    live = Live(arguments.window, arguments.top_n, asking)
    follower = Follower(settings, topics, live, arguments.window)
    asker = Asker(settings, arguments.request_topic, live)
    hosts = [*_LOOPBACK] if arguments.host in _LOOPBACK else ["*"]
    app = application(live, asker, topics, titles, hosts)
    with _listening(arguments.host, arguments.port) as listener:
        host, port = listener.getsockname()[:2]
        follower.start()
        print(f"dashboard at http://{host}:{port}/ until Ctrl-C", file=sys.stderr, flush=True)
        config = uvicorn.Config(
            app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2
        )
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            follower.stop()
            asker.close()
    return 0


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as e:
        msg = f"cannot listen at {host}:{port}: {e}; pass another --port"
        raise OSError(msg) from e


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
