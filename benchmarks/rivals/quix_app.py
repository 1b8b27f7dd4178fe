"""QuixStreams: `python -m benchmarks.rivals.quix_app BROKER IN OUT MODE`."""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, message_context
from quixstreams.models import SerializationContext, Serializer

from benchmarks.rivals.arguments import Arguments
from benchmarks.rivals.flurs_loop import FlursLoop


class _ValueOfPair(Serializer):
    def __call__(self, value: Any, ctx: SerializationContext) -> bytes:
        serialized: bytes = value[1]
        return serialized


def main(given: Arguments) -> None:
    """Learns forever."""
    app = Application(
        given.broker,
        consumer_group=f"quix-{given.target}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="ERROR",
        producer_extra_config={"linger.ms": 5},
    )
    source = app.topic(given.source, key_deserializer="bytes", value_deserializer="bytes")
    loop = FlursLoop(given.lists)
    target = app.topic(given.target, key_serializer="bytes", value_serializer=_ValueOfPair())
    answers = app.dataframe(source).apply(
        lambda value: loop.handle(value, message_context().offset)
    )
    answers = answers.filter(lambda answer: answer is not None)
    answers.to_topic(target, key=lambda answer: answer[0])
    app.run()


if __name__ == "__main__":
    main(Arguments.of(sys.argv))
