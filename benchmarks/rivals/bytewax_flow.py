"""Bytewax: `python -m benchmarks.rivals.bytewax_flow BROKER IN OUT MODE`.

It ends at the end of the topic, which RATINGS is. The model is a plain object: without recovery,
as the other rivals are, and without the cost of it.
"""

from __future__ import annotations

import sys

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from benchmarks.rivals.arguments import Arguments
from benchmarks.rivals.flurs_loop import FlursLoop


def flow_of(given: Arguments) -> Dataflow:
    """Returns the dataflow."""
    loop = FlursLoop(given.lists)

    def learn(message: KafkaSourceMessage[bytes, bytes]) -> KafkaSinkMessage[bytes, bytes] | None:
        answer = loop.handle(message.value, message.offset)
        return KafkaSinkMessage(*answer) if answer else None

    flow = Dataflow("flurs")
    ratings = kop.input("ratings", flow, brokers=[given.broker], topics=[given.source])
    answers = op.filter_map("learn", ratings.oks, learn)
    config = {"linger.ms": "5"}
    kop.output("answers", answers, brokers=[given.broker], topic=given.target, add_config=config)
    return flow


if __name__ == "__main__":
    cli_main(flow_of(Arguments.of(sys.argv)))
