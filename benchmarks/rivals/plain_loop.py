"""A loop over kafka-python: `python -m benchmarks.rivals.plain_loop BROKER IN OUT`."""

from __future__ import annotations

import sys

from kafka import KafkaConsumer, KafkaProducer

from benchmarks.rivals.flurs_loop import FlursLoop


def main() -> None:
    """Learns for ever."""
    broker, source, target = sys.argv[1:4]
    consumer = KafkaConsumer(source, bootstrap_servers=broker, auto_offset_reset="earliest")
    producer = KafkaProducer(bootstrap_servers=broker, linger_ms=5, batch_size=1 << 18)
    loop = FlursLoop()
    for record in consumer:
        answer = loop.handle(record.value, record.offset)
        if answer:
            producer.send(target, key=answer[0], value=answer[1])


if __name__ == "__main__":
    main()
