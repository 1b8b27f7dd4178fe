"""The blog post's program, with answers.

python -m benchmarks.rivals.faust_app BROKER IN OUT MODE
"""

from __future__ import annotations

import sys

import faust
import mode.loop

from benchmarks.rivals.arguments import Arguments
from benchmarks.rivals.flurs_loop import FlursLoop

mode.loop.use("uvloop")
given = Arguments.of(sys.argv)
app = faust.App(
    # A group of its own for each run, so that each starts at the beginning.
    f"flurs-recommender-{given.target}",
    broker=f"kafka://{given.broker}",
    value_serializer="raw",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    web_enabled=False,
)
ratings = app.topic(given.source, value_type=bytes)
lists = app.topic(given.target, key_serializer="raw", value_serializer="raw")
loop = FlursLoop(given.lists)


@app.agent(ratings)
async def learn(stream: faust.Stream) -> None:
    """Learns each rating and sends its answer."""
    async for event in stream.events():
        answer = loop.handle(event.value, event.message.offset)
        if answer:
            await lists.send(key=answer[0], value=answer[1])


if __name__ == "__main__":
    app.finalize()
    faust.Worker(app, loglevel="ERROR").execute_from_commandline()
