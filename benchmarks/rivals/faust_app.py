"""The blog post's program, with lists: `python -m benchmarks.rivals.faust_app BROKER IN OUT`."""

from __future__ import annotations

import sys

import faust

from benchmarks.rivals.flurs_loop import FlursLoop

broker, source, target = sys.argv[1:4]
app = faust.App(
    # A group of its own for each run, so that each starts at the beginning.
    f"flurs-recommender-{target}",
    broker=f"kafka://{broker}",
    value_serializer="raw",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    web_enabled=False,
)
ratings = app.topic(source, value_type=bytes)
lists = app.topic(target, key_serializer="raw", value_serializer="raw")
loop = FlursLoop()


@app.agent(ratings)
async def learn(stream: faust.Stream) -> None:
    """Learns each rating and sends its user's list."""
    async for event in stream.events():
        answer = loop.handle(event.value, event.message.offset)
        if answer:
            await lists.send(key=answer[0], value=answer[1])


if __name__ == "__main__":
    app.finalize()
    faust.Worker(app, loglevel="ERROR").execute_from_commandline()
