"""What merging a part costs, by how many batches one item shard is behind the other.

    python -m benchmarks.merge_lag

sends the parts of two item shards through `MergeItemShards` on Beam's local runner, a bundle
each, and prints CPU milliseconds for a part, Beam's own included. The cost must not grow with
the lag.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.typehints import typehints

from transforms.formats.records import Recommendation, ScoredItem
from transforms.sharding.merge import MergeItemShards
from transforms.sharding.parts import Part

_LAGS: Final = (0, 1, 4, 8, 16, 64)
_BATCHES: Final = 60
_LISTS: Final = [
    Recommendation(str(n), [ScoredItem(str(7 * n + i), i / 7) for i in range(10)], 1.0, f"r-0-{n}")
    for n in range(500)
]


def _order(lag: int) -> Iterator[Part]:
    for number in range(1, _BATCHES + lag + 1):
        if number <= _BATCHES:
            yield Part(number, 0, _LISTS)
        if number > lag:
            yield Part(number - lag, 1, _LISTS)


def _milliseconds(lag: int) -> float:
    """Returns what a part costs at this lag."""
    coder = beam.coders.registry.get_coder(typehints.Tuple[typehints.Tuple[int, int], Part])
    stream = TestStream(coder=coder)
    for at, part in enumerate(_order(lag)):
        stream.advance_watermark_to(at).add_elements([((0, 0), part)])
    start = time.process_time()
    with beam.Pipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        _ = pipeline | stream.advance_watermark_to_infinity() | MergeItemShards(2, 10, "mf")
    return (time.process_time() - start) / (2 * _BATCHES) * 1e3


def main() -> None:
    """Prints a line for each lag."""
    _milliseconds(0)
    for lag in _LAGS:
        print(f"lag {lag:2} batches: {_milliseconds(lag):6.1f} ms a part", flush=True)


if __name__ == "__main__":
    main()
