"""A loop over kafka-python: `python -m benchmarks.rivals.plain_loop BROKER IN OUT MODE`."""

from __future__ import annotations

import sys

from kafka import KafkaConsumer, KafkaProducer

from benchmarks.rivals.arguments import Arguments
from benchmarks.rivals.flurs_loop import FlursLoop


def main(given: Arguments) -> None:
    """Learns forever."""
    consumer = KafkaConsumer(
        given.source, bootstrap_servers=given.broker, auto_offset_reset="earliest"
    )
    producer = KafkaProducer(bootstrap_servers=given.broker, linger_ms=5, batch_size=1 << 18)
    loop = FlursLoop(given.lists)
    for record in consumer:
        answer = loop.handle(record.value, record.offset)
        if answer:
            producer.send(given.target, key=answer[0], value=answer[1])


if __name__ == "__main__":
    main(Arguments.of(sys.argv))
