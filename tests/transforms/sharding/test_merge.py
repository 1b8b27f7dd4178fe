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
from transforms.batches import RecommendationBatch
from transforms.evaluation.observer import PreUpdateObserver
from transforms.formats.records import Recommendation, ScoredItem
from transforms.learning.shard import learn
from transforms.learning.token_cache import TokenCache
from transforms.recommenders.hashing import Block
from transforms.recommenders.registry import RecommenderSpec
from transforms.sharding.merge import MERGE, META, WAITING, KeyedPart, MergeItemShards
from transforms.sharding.parts import Part, PartCoder, merge, merge_tests

SPEC = RecommenderSpec("mf", {"k": 4}, seed=3)
EXACT = RecommenderSpec("popular")


def parts_of(
    number: int, count: int, columns: int, *, test: bool = False, spec: RecommenderSpec = SPEC
) -> list[Part]:
    """What each item shard makes of a batch."""
    ratings = movielens_like(count, seed=number + count)
    made = []
    for column in range(columns):
        observer = PreUpdateObserver(4) if test else None
        done = learn(spec.build(Block(column, columns)), ratings, 4, observer=observer)
        tested = ratings if observer else []
        scores = observer.scores if observer else []
        standings = observer.standings if observer else []
        made.append(
            Part(
                number,
                column,
                done.recommendations,
                tested,
                scores,
                (1.5, 2.0),
                done.places,
                standings,
            )
        )
    return made


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize("count", [0, 1, 30])
@pytest.mark.parametrize("spec", [SPEC, EXACT])
def test_parts_round_trip(spec: RecommenderSpec, test: bool, count: int) -> None:
    for part in parts_of(1, count, 3, test=test, spec=spec):
        decoded = PartCoder().decode(PartCoder().encode(part))
        assert merge([decoded], 4) == merge([part], 4)
        assert merge_tests([decoded], 4, "mf") == merge_tests([part], 4, "mf")
        assert PartCoder().encode(decoded) == PartCoder().encode(part)


def test_lists_and_tests_of_all_item_shards_are_merged() -> None:
    parts = parts_of(1, 30, 3, test=True)
    tests = merge_tests(parts, 4, "mf").evaluations
    assert len(merge(parts, 4)) == len(tests) == 30
    assert {(one.update_us, one.top_n_us) for one in tests} == {(4.5, 6.0)}


def test_places_are_kept_where_a_list_is_empty() -> None:
    parts = [
        Part(1, 0, [Recommendation("u", [], 1.0, "o")], places=[[]]),
        Part(1, 1, [Recommendation("u", [ScoredItem("b", 0.5)], 1.0, "o")], places=[[7]]),
        Part(1, 2, [Recommendation("u", [ScoredItem("a", 0.5)], 1.0, "o")], places=[[3]]),
    ]
    decoded = [PartCoder().decode(PartCoder().encode(part)) for part in parts]
    assert [one.places for one in decoded] == [[[]], [[7]], [[3]]]
    (merged,) = merge(decoded, 4).recommendations
    assert list(merged.items) == [ScoredItem("a", 0.5), ScoredItem("b", 0.5)]


def whole(parts: list[Part]) -> RecommendationBatch:
    return merge(parts, 4)


@pytest.mark.parametrize("runner", RUNNERS)
def test_parts_become_whole_and_leave_in_order_whatever_order_they_come_in(runner: str) -> None:
    batches = {shard: [parts_of(n, 5, 3) for n in range(1, 6)] for shard in (0, 1)}
    keyed = [((shard, 0), part) for shard in batches for parts in batches[shard] for part in parts]
    random.Random(1).shuffle(keyed)
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with beam.Pipeline(options=options) as pipeline:
        merged = (
            pipeline
            | beam.Create(keyed, reshuffle=False).with_output_types(KeyedPart)
            | MergeItemShards(3, 4, "mf")
        ).recommendations
        expected = [whole(parts) for shard in batches for parts in batches[shard]]
        assert_that(merged, equal_to(expected))


_COLLECTED: list[RecommendationBatch] = []


def _collect(batch: RecommendationBatch) -> None:
    _COLLECTED.append(batch)


@pytest.mark.parametrize("forget", [False, True])
def test_parts_wait_for_each_other_from_bundle_to_bundle_and_leave_in_order(
    forget: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forget:
        # As if each bundle ran in another process.
        monkeypatch.setattr(TokenCache, "put", lambda *_: None)
    first, second, third = (parts_of(number, 5, 2) for number in (1, 2, 3))
    stream = TestStream(
        coder=beam.coders.registry.get_coder(typehints.Tuple[typehints.Tuple[int, int], Part])
    )
    # The third is complete before the others.
    for at, part in enumerate([third[0], third[1], first[0], second[0], second[1], first[1]]):
        stream.advance_watermark_to(at).add_elements([((0, 0), part)])
    _COLLECTED.clear()
    with TestPipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        merged = pipeline | stream.advance_watermark_to_infinity() | MergeItemShards(2, 4, "mf")
        _ = merged.recommendations | beam.Map(_collect)
    assert [whole(first), whole(second), whole(third)] == _COLLECTED


def test_the_names_that_savepoints_depend_on() -> None:
    assert MERGE == "Merge"
    assert [META.name, WAITING.name] == ["meta", "waiting"]


def test_the_bytes_of_a_part_never_change() -> None:
    lists = [Recommendation("196", [ScoredItem("242", 0.5)], 1.0, "o")]
    encoded = PartCoder().encode(Part(1, 2, lists))
    assert (
        encoded
        == b'\x00\x00\x00D[1,2,[["196",[["242",0.5]],1.0,"o","",[]]],[],[],[0.0,0.0],false,[]]'
    )
