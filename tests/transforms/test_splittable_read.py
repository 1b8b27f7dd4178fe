from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics import Metrics
from apache_beam.runners.sdf_utils import RestrictionTrackerView, ThreadsafeRestrictionTracker
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import BeamAssertException, assert_that
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.batches import RawBatch
from transforms.formats.detection import JSON
from transforms.splittable_read import (
    END,
    Chunk,
    Limits,
    PositionRange,
    PositionRangeCoder,
    PositionRangeProvider,
    PositionRangeTracker,
    ReadBudget,
    read_in_bounds,
    resume_reading,
    stop_reading,
)

POSITIONS = st.integers(0, END)


@pytest.fixture(autouse=True)
def _reading() -> Iterator[None]:
    yield
    resume_reading()


# What savepoints hold: never change it.
@pytest.mark.parametrize(
    ("positions", "encoded"),
    [
        (PositionRange(0), "00000000000000007fffffffffffffff"),
        (PositionRange(0, 0), "00000000000000000000000000000000"),
        (PositionRange(1, 258), "00000000000000010000000000000102"),
        (PositionRange(881250949, END), "000000003486d2857fffffffffffffff"),
    ],
)
def test_the_bytes_of_a_range_never_change(positions: PositionRange, encoded: str) -> None:
    coder = PositionRangeCoder()
    assert coder.encode(positions).hex() == encoded
    assert coder.decode(bytes.fromhex(encoded)) == positions


@settings(deadline=None)
@given(st.builds(PositionRange, POSITIONS, POSITIONS))
def test_ranges_round_trip(positions: PositionRange) -> None:
    coder = PositionRangeCoder()
    assert coder.decode(coder.encode(positions)) == positions
    assert coder.is_deterministic()


def test_a_range_without_a_stop_has_no_end() -> None:
    assert PositionRange(5) == (5, END)
    assert not PositionRangeTracker(PositionRange(5)).is_bounded()
    assert PositionRangeTracker(PositionRange(5, 10)).is_bounded()


def test_it_claims_up_to_the_stop_gaps_included() -> None:
    tracker = PositionRangeTracker(PositionRange(5, 20))
    assert [tracker.try_claim(position) for position in (5, 6, 6, 15, 20)] == [True] * 5
    assert not tracker.try_claim(21)
    tracker.check_done()


def test_a_refused_claim_claims_nothing() -> None:
    tracker = PositionRangeTracker(PositionRange(5, 20))
    assert tracker.try_claim(8)
    assert not tracker.try_claim(21)
    assert tracker.try_split(0) == ((5, 8), (8, 20))


def test_a_claim_that_goes_back_is_an_error() -> None:
    tracker = PositionRangeTracker(PositionRange(5, 20))
    with pytest.raises(ValueError, match="position 4 was claimed already, up to 5"):
        tracker.try_claim(4)
    tracker.try_claim(9)
    with pytest.raises(ValueError, match="position 8 was claimed already, up to 9"):
        tracker.try_claim(8)


def test_what_was_not_read_is_an_error_at_the_end() -> None:
    tracker = PositionRangeTracker(PositionRange(5, 20))
    tracker.try_claim(19)
    with pytest.raises(ValueError, match="positions 19 to 20 were not read"):
        tracker.check_done()


def test_an_empty_range_is_done() -> None:
    PositionRangeTracker(PositionRange(5, 5)).check_done()


@pytest.mark.parametrize(("claimed", "cut"), [(None, 5), (5, 5), (11, 11), (19, 19)])
def test_it_is_cut_where_the_reader_stands(claimed: int | None, cut: int) -> None:
    tracker = PositionRangeTracker(PositionRange(5, 20))
    if claimed is not None:
        tracker.try_claim(claimed)
    assert tracker.try_split(0) == (PositionRange(5, cut), PositionRange(cut, 20))
    assert tracker.current_restriction() == PositionRange(5, cut)
    tracker.check_done()
    assert not tracker.try_claim(cut)
    assert not tracker.try_claim(cut + 1)
    assert tracker.try_split(0) is None
    tracker.check_done()


@pytest.mark.parametrize("fraction", [0.01, 0.5, 1.0])
def test_no_runner_splits_a_range_that_one_reader_keeps_in_order(fraction: float) -> None:
    tracker = PositionRangeTracker(PositionRange(0))
    tracker.try_claim(10)
    assert tracker.try_split(fraction) is None
    assert tracker.current_restriction() == PositionRange(0)
    assert tracker.try_claim(11)


def test_nothing_is_left_to_split_off_at_the_end() -> None:
    tracker = PositionRangeTracker(PositionRange(0, 10))
    tracker.try_claim(10)
    assert tracker.try_split(0) is None
    tracker.check_done()


def test_progress_is_counted_in_positions() -> None:
    tracker = PositionRangeTracker(PositionRange(10, 30))
    tracker.try_claim(15)
    progress = tracker.current_progress()
    assert (progress.completed_work, progress.remaining_work) == (5, 15)


def test_the_provider_goes_by_the_elements_own_range() -> None:
    provider = PositionRangeProvider()
    source = Source("a-", PositionRange(3, 9), 1)
    restriction = provider.initial_restriction(source)
    assert restriction == PositionRange(3, 9)
    assert provider.create_tracker(restriction).current_restriction() == restriction
    assert list(provider.split(source, restriction)) == [restriction]
    assert provider.restriction_size(source, restriction) == 1
    assert isinstance(provider.restriction_coder(), PositionRangeCoder)


def _batch(positions: list[int], source: str = "a-") -> RawBatch:
    return RawBatch(source, positions, [b"%d" % position for position in positions], JSON)


NOTHING = _batch([])


@dataclass
class Numbers:
    """Reads the positions below `count`, `size` at a time, and then ends or is idle."""

    count: int
    size: int = 2
    ends: bool = True
    source: str = "a-"
    sources: int = 1
    sleeps: bool = False
    waits: list[float] = field(default_factory=list)

    def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
        self.waits.append(wait_seconds)
        if position >= self.count:
            if self.sleeps:
                time.sleep(wait_seconds)
            return Chunk(NOTHING, position, exhausted=self.ends)
        end = min(position + self.size, self.count, stop)
        return Chunk(_batch(list(range(position, end)), self.source), end)


@dataclass
class Script:
    """Gives chunks that were thought out before, whatever it is asked for."""

    chunks: list[Chunk]
    sources: int = 1

    def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
        return self.chunks.pop(0)


class Call:
    """One `process()` call, with Beam's own views of the tracker and the watermark."""

    def __init__(
        self,
        reader: Any,
        positions: PositionRange,
        limits: Limits | ReadBudget,
        watermark: Timestamp | None = None,
    ) -> None:
        budget = limits if isinstance(limits, ReadBudget) else ReadBudget(limits)
        tracker = ThreadsafeRestrictionTracker(PositionRangeTracker(positions))
        self.estimator = ManualWatermarkEstimator(watermark)
        self.marks: list[Timestamp | None] = []
        self.batches: list[tuple[RawBatch, Timestamp]] = []
        view = RestrictionTrackerView(tracker)
        self.marks.append(self.estimator.current_watermark())
        for batch, timestamp in read_in_bounds(reader, view, self.estimator, budget):
            self.batches.append((batch, timestamp))
            self.marks.append(self.estimator.current_watermark())
        tracker.check_done()
        self.claimed = tracker.current_restriction()
        status = tracker.deferred_status()
        self.rest = status[0] if status else None

    @property
    def positions(self) -> list[list[int]]:
        return [list(batch.positions) for batch, _ in self.batches]


WIDE = Limits(records=1_000_000, seconds=60.0, linger_seconds=60.0, idle_seconds=60.0)


def test_it_reads_to_the_end_of_a_source_that_ends() -> None:
    call = Call(Numbers(5), PositionRange(0), WIDE)
    assert call.positions == [[0, 1], [2, 3], [4]]
    assert call.rest is None
    assert call.claimed == PositionRange(0, END)


def test_it_reads_from_the_start_of_its_range_to_the_stop() -> None:
    call = Call(Numbers(100), PositionRange(3, 8), WIDE)
    assert call.positions == [[3, 4], [5, 6], [7]]
    assert call.rest is None


def test_an_empty_range_is_not_read() -> None:
    reader = Numbers(100)
    call = Call(reader, PositionRange(3, 3), WIDE)
    assert (call.positions, call.rest, reader.waits) == ([], None, [])


def test_an_empty_source_ends() -> None:
    call = Call(Numbers(0), PositionRange(0), WIDE)
    assert (call.positions, call.rest) == ([], None)


@pytest.mark.parametrize(
    ("records", "batches"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (7, 4), (50, 10)]
)
def test_after_enough_records_it_defers_the_rest(records: int, batches: int) -> None:
    call = Call(Numbers(20), PositionRange(0), WIDE._replace(records=records))
    assert len(call.positions) == batches
    if batches < 10:
        assert call.rest == PositionRange(2 * batches, END)
        assert call.claimed == PositionRange(0, 2 * batches)
    else:
        assert call.rest is None


def test_after_enough_time_it_defers_the_rest() -> None:
    call = Call(Numbers(20), PositionRange(0), WIDE._replace(seconds=0.0))
    assert call.positions == [[0, 1]]
    assert call.rest == PositionRange(2, END)


def test_a_range_that_was_read_to_its_stop_is_not_deferred() -> None:
    limits = Limits(records=1, seconds=0.0, idle_seconds=0.0)
    assert Call(Numbers(20), PositionRange(0, 2), limits).rest is None


def test_when_nothing_comes_it_defers() -> None:
    reader = Numbers(0, ends=False)
    call = Call(reader, PositionRange(7), WIDE)
    assert call.positions == []
    assert call.rest == PositionRange(7, END)
    assert len(reader.waits) == 1


def test_when_nothing_more_comes_it_defers() -> None:
    call = Call(Numbers(3, ends=False), PositionRange(0), WIDE)
    assert call.positions == [[0, 1], [2]]
    assert call.rest == PositionRange(3, END)


def test_gaps_are_claimed_by_the_next_position() -> None:
    chunks = [Chunk(_batch([4, 9]), 10), Chunk(NOTHING, 25)]
    call = Call(Script(chunks), PositionRange(0), WIDE)
    assert call.positions == [[4, 9]]
    assert call.rest == PositionRange(25, END)


def test_records_in_the_last_chunk_are_not_lost() -> None:
    call = Call(Script([Chunk(_batch([0, 1]), 2, exhausted=True)]), PositionRange(0), WIDE)
    assert call.positions == [[0, 1]]
    assert call.rest is None


def test_it_waits_long_for_the_first_record_and_briefly_for_more() -> None:
    reader = Numbers(4, ends=False)
    Call(reader, PositionRange(0), WIDE._replace(linger_seconds=30.0, idle_seconds=500.0))
    assert len(reader.waits) == 3
    assert 30.0 < reader.waits[0] <= 500.0
    assert 0.0 < reader.waits[2] <= reader.waits[1] <= 30.0


def test_it_never_asks_to_wait_a_negative_time() -> None:
    reader = Numbers(0, ends=False)
    Call(reader, PositionRange(0), WIDE._replace(idle_seconds=0.0))
    assert reader.waits == [0.0]


def test_what_one_source_gave_does_not_wait_for_another() -> None:
    budget = ReadBudget(WIDE._replace(linger_seconds=0.0, idle_seconds=500.0))
    first, second, third = Numbers(0, ends=False), Numbers(3, ends=False), Numbers(0, ends=False)
    for reader in (first, second, third):
        Call(reader, PositionRange(0), budget)
    assert first.waits[0] > 400.0
    assert second.waits[0] > 400.0
    assert second.waits[1:] == [0.0, 0.0]
    assert third.waits == [0.0]


def test_idle_sources_wait_as_long_together_as_one_alone() -> None:
    budget = ReadBudget(WIDE._replace(idle_seconds=0.05))
    first, second = Numbers(0, ends=False, sleeps=True), Numbers(0, ends=False, sleeps=True)
    for reader in (first, second):
        Call(reader, PositionRange(0), budget)
    assert first.waits[0] == pytest.approx(0.05, abs=0.01)
    assert second.waits == [0.0]


@pytest.mark.parametrize(("sources", "batches"), [(1, 10), (2, 5), (5, 2), (10, 1), (1000, 1)])
def test_each_of_several_sources_has_its_share_of_the_records(sources: int, batches: int) -> None:
    budget = ReadBudget(WIDE._replace(records=20))
    for _ in range(2):
        reader = Numbers(100, sources=sources)
        assert len(Call(reader, PositionRange(0), budget).positions) == batches


def test_a_reader_that_was_cut_meanwhile_gives_nothing() -> None:
    """A runner may take the rest away while the reader reads; another call reads it then."""
    tracker = ThreadsafeRestrictionTracker(PositionRangeTracker(PositionRange(0)))

    @dataclass
    class Cut(Numbers):
        def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
            if position == 4:
                assert tracker.try_split(0) == (PositionRange(0, 4), PositionRange(4, END))
            return super().read(position, stop, wait_seconds)

    estimator = ManualWatermarkEstimator(None)
    found = list(
        read_in_bounds(Cut(20), RestrictionTrackerView(tracker), estimator, ReadBudget(WIDE))
    )
    assert [list(batch.positions) for batch, _ in found] == [[0, 1], [2, 3]]
    tracker.check_done()


def test_calls_one_after_the_other_read_everything_once() -> None:
    reader = Numbers(101, size=3)
    rest: PositionRange | None = PositionRange(0)
    watermark = None
    positions: list[int] = []
    times: list[Timestamp] = []
    calls = 0
    while rest is not None:
        calls += 1
        call = Call(reader, rest, WIDE._replace(records=7), watermark)
        positions += itertools.chain.from_iterable(call.positions)
        times += [timestamp for _, timestamp in call.batches]
        rest, watermark = call.rest, call.estimator.current_watermark()
    assert calls == 12
    assert positions == list(range(101))
    assert times == sorted(set(times))


def test_without_a_known_time_each_batch_is_a_millisecond_after_the_one_before() -> None:
    call = Call(Numbers(6), PositionRange(0), WIDE)
    assert [timestamp for _, timestamp in call.batches] == [
        Timestamp(micros=1000),
        Timestamp(micros=2000),
        Timestamp(micros=3000),
    ]


def test_a_batch_is_at_its_known_time_but_never_before_the_watermark() -> None:
    chunks = [
        Chunk(_batch([0]), 1, time=100.0),
        Chunk(_batch([1]), 2, time=100.0),
        Chunk(_batch([2]), 3, time=50.0),
        Chunk(_batch([3]), 4, time=200.5),
        Chunk(NOTHING, 4, exhausted=True),
    ]
    call = Call(Script(chunks), PositionRange(0), WIDE, watermark=Timestamp(99))
    assert [timestamp.micros for _, timestamp in call.batches] == [
        100_000_000,
        100_001_000,
        100_002_000,
        200_500_000,
    ]
    late = Call(
        Script([Chunk(_batch([0]), 1, time=100.0, exhausted=True)]),
        PositionRange(0),
        WIDE,
        watermark=Timestamp(300),
    )
    assert [timestamp.micros for _, timestamp in late.batches] == [300_001_000]


def test_an_idle_source_moves_the_watermark_on() -> None:
    call = Call(Script([Chunk(NOTHING, 0, time=500.0)]), PositionRange(0), WIDE, Timestamp(9))
    assert call.estimator.current_watermark() == Timestamp(500)


@pytest.mark.parametrize("known", [None, 5.0])
def test_an_idle_source_never_moves_the_watermark_back(known: float | None) -> None:
    call = Call(Script([Chunk(NOTHING, 0, time=known)]), PositionRange(0), WIDE, Timestamp(9))
    assert call.estimator.current_watermark() == Timestamp(9)


@settings(deadline=None, max_examples=300)
@given(
    st.none() | st.floats(0, 4e9),
    st.lists(st.tuples(st.booleans(), st.none() | st.floats(0, 4e9)), max_size=10),
)
def test_batches_strictly_increase_and_are_never_late(
    start: float | None, script: list[tuple[bool, float | None]]
) -> None:
    watermark = None if start is None else Timestamp(seconds=start)
    last = None if watermark is None else watermark.micros // 1000
    for position, (has_records, known) in enumerate(script):
        chunk = Chunk(_batch([position]) if has_records else NOTHING, position + 1, time=known)
        call = Call(Script([chunk]), PositionRange(position), WIDE._replace(records=1), watermark)
        after = call.estimator.current_watermark()
        assert watermark is None or after >= watermark
        assert len(call.batches) == has_records
        for _, timestamp in call.batches:
            assert watermark is None or timestamp > watermark
            # Runners keep milliseconds, so the steps must be seen in them.
            assert last is None or timestamp.micros // 1000 > last
            assert after == timestamp
        watermark, last = after, after.micros // 1000


def test_stopped_sources_end_with_the_records_in_hand() -> None:
    stop_reading()
    call = Call(Numbers(100), PositionRange(0), WIDE)
    assert call.positions == [[0, 1]]
    assert call.rest is None
    assert call.claimed == PositionRange(0, END)


def test_an_idle_source_that_is_stopped_ends() -> None:
    stop_reading()
    call = Call(Numbers(0, ends=False), PositionRange(0), WIDE)
    assert (call.positions, call.rest) == ([], None)


def test_sources_read_again_when_the_stop_is_taken_back() -> None:
    stop_reading()
    resume_reading()
    assert Call(Numbers(4), PositionRange(0), WIDE).positions == [[0, 1], [2, 3]]


class Source(NamedTuple):
    """An element that knows its own range."""

    name: str
    positions: PositionRange
    end: int


class ReadNumbersDoFn(beam.DoFn):
    """As the package's sources are built, but it defers after every few records."""

    def process(
        self,
        element: Source,
        tracker: Any = beam.DoFn.RestrictionParam(PositionRangeProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        Metrics.counter("test", "calls").inc()
        reader = Numbers(element.end, size=3, source=element.name)
        budget = ReadBudget(Limits(records=7))
        for batch, timestamp in read_in_bounds(reader, tracker, watermark, budget):
            yield beam.window.TimestampedValue(batch, timestamp)


def _with_time(
    batch: RawBatch, timestamp: Timestamp = beam.DoFn.TimestampParam
) -> tuple[str, int, list[int]]:
    return batch.source, timestamp.micros, list(batch.positions)


def test_nothing_is_lost_or_doubled_when_calls_defer_often() -> None:
    sources = [
        Source("a-", PositionRange(0), 300),  # ends by itself
        Source("b-", PositionRange(50, 250), 10_000),  # ends at its stop
        Source("c-", PositionRange(0), 0),  # has nothing
    ]
    expected = {"a-": list(range(300)), "b-": list(range(50, 250))}

    def matches(found: list[tuple[str, int, list[int]]]) -> None:
        ordered: dict[str, list[int]] = {}
        for name, _, positions in sorted(found):
            ordered.setdefault(name, []).extend(positions)
        if ordered != expected:
            msg = f"got {ordered}, expected {expected}"
            raise BeamAssertException(msg)
        if len({(name, micros // 1000) for name, micros, _ in found}) != len(found):
            msg = f"two batches of a source have the same time: {sorted(found)}"
            raise BeamAssertException(msg)

    with TestPipeline(runner="FnApiRunner") as pipeline:
        numbers = (
            pipeline
            | beam.Create(sources)
            | beam.ParDo(ReadNumbersDoFn()).with_output_types(RawBatch)
            | beam.Map(_with_time)
        )
        assert_that(numbers, matches)
    (calls,) = pipeline.result.metrics().query(
        beam.metrics.MetricsFilter().with_namespace("test").with_name("calls")
    )["counters"]
    assert calls.committed >= (300 + 200) // 9
