"""Counts a topic's records in windows of a second; none comes out before the watermark says so.

Run by a test: `python -m tests.end_to_end.windowed_counts BROKER TOPIC OUTPUT [OPTION ...]`.
"""

from __future__ import annotations

import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark

from transforms import KafkaSettings, ReadRatingsFromKafka


def append(keyed: tuple[str, int], path: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{keyed[1]}\n")


def main() -> None:
    address, topic, output, *options = sys.argv[1:]
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=PrismRunner", *options]))
    _ = (
        pipeline
        | ReadRatingsFromKafka(KafkaSettings(address), topic)
        | beam.Map(lambda batch: ("records", len(batch))).with_output_types(tuple[str, int])
        | beam.WindowInto(
            beam.window.FixedWindows(1),
            # Prism takes the last partition's watermark for all, so some records may be late.
            trigger=AfterWatermark(late=AfterCount(1)),
            accumulation_mode=AccumulationMode.DISCARDING,
            allowed_lateness=600,
        )
        | beam.CombinePerKey(sum)
        | beam.Map(append, output)
    )
    pipeline.run().wait_until_finish()


if __name__ == "__main__":
    main()
