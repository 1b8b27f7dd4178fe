from __future__ import annotations

import random

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints import typehints

from tests.support import RUNNERS, movielens_like
from transforms.elements import RatingBatch, RecommendationBatch
from transforms.formats.records import Recommendation, ScoredItem
from transforms.learning.shard import learn
from transforms.merge import MERGE, WAITING, KeyedPart, MergeRow, Part, PartCoder, merge
from transforms.recommenders.blocks import Block
from transforms.recommenders.registry import RecommenderSpec

SPEC = RecommenderSpec("mf", {"k": 4}, seed=3)


def parts_of(name: str, count: int, columns: int, *, test: bool = False) -> list[Part]:
    """What each cell of a row makes of a batch."""
    ratings = movielens_like(count, seed=len(name) + count)
    made = []
    for column in range(columns):
        done = learn(SPEC.build(Block(column, columns)), RatingBatch(ratings), 4, test=test)
        tested = ratings if test else []
        made.append(Part(name, 0, column, done.lists, tested, done.standings, (1.5, 2.0)))
    return made


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_parts_round_trip(test: bool, count: int) -> None:
    for part in parts_of("b", count, 3, test=test):
        decoded = PartCoder().decode(PartCoder().encode(part))
        assert merge([decoded], 4, "mf") == merge([part], 4, "mf")
        assert PartCoder().encode(decoded) == PartCoder().encode(part)


def test_the_order_of_the_parts_does_not_matter() -> None:
    parts = parts_of("b", 30, 3, test=True)
    merged = merge(parts, 4, "mf")
    assert merge(parts[::-1], 4, "mf") == merged
    assert len(merged.recommendations) == len(merged.evaluations) == 30
    assert {(one.update_us, one.top_n_us) for one in merged.evaluations} == {(4.5, 6.0)}


def whole(parts: list[Part]) -> RecommendationBatch:
    return merge(parts, 4, "mf")


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_rows_parts_become_whole_whatever_their_order(runner: str) -> None:
    batches = [parts_of("b" * number, 5, 3) for number in range(1, 6)]
    keyed = [((number % 2, 0), part) for number, parts in enumerate(batches) for part in parts]
    random.Random(1).shuffle(keyed)
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with beam.Pipeline(options=options) as pipeline:
        merged = (
            pipeline
            | beam.Create(keyed, reshuffle=False).with_output_types(KeyedPart)
            | MergeRow(3, 4, "mf")
        )
        assert_that(merged, equal_to([whole(parts) for parts in batches]))


def test_parts_wait_for_each_other_from_bundle_to_bundle_and_leave_in_order() -> None:
    first, second = parts_of("first", 5, 2), parts_of("second", 5, 2)
    stream = TestStream(
        coder=beam.coders.registry.get_coder(typehints.Tuple[typehints.Tuple[int, int], Part])
    )
    for at, part in enumerate([first[0], second[0], first[1], second[1]]):
        stream.advance_watermark_to(at).add_elements([((0, 0), part)])
    with TestPipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        merged = pipeline | stream.advance_watermark_to_infinity() | MergeRow(2, 4, "mf")
        assert_that(merged, equal_to([whole(first), whole(second)]))


def test_the_names_that_savepoints_depend_on() -> None:
    assert MERGE == "MergeRow"
    assert WAITING.name == "waiting"


def test_the_bytes_of_a_part_never_change() -> None:
    lists = [Recommendation("196", [ScoredItem("242", 0.5)], 1.0, "o")]
    encoded = PartCoder().encode(Part("name", 1, 2, lists))
    assert encoded == (
        b'\x00\x00\x00?["name",1,2,[["196",[["242",0.5]],1.0,"o",""]],[],[],[0.0,0.0]]'
    )
