"""A loop over confluent-kafka.

python -m benchmarks.rivals.librdkafka_loop BROKER IN OUT MODE
"""

from __future__ import annotations

import sys

from confluent_kafka import Consumer, Producer

from benchmarks.rivals.arguments import Arguments
from benchmarks.rivals.flurs_loop import FlursLoop


def main(given: Arguments) -> None:
    """Learns forever."""
    consumer = Consumer(
        {
            "bootstrap.servers": given.broker,
            "group.id": f"loop-{given.target}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([given.source])
    producer = Producer({"bootstrap.servers": given.broker, "linger.ms": 5})
    loop = FlursLoop(given.lists)
    while True:
        for message in consumer.consume(500, 0.1):
            answer = loop.handle(message.value(), message.offset())
            if answer:
                producer.produce(given.target, key=answer[0], value=answer[1])
        producer.poll(0)


if __name__ == "__main__":
    main(Arguments.of(sys.argv))
