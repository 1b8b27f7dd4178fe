"""Figures of prequential evaluation: each positive is a test first and learned afterwards.

A test has one right item, the positive's. With `rank` r among n candidates and lists of N items it
counts, as in FluRS's `flurs.utils.metric`,

    recall@N  1 if r <= N, else 0
    NDCG@N    1 / log2(r + 1) if r <= N, else 0      (the ideal list has a DCG of 1)
    MRR       1 / r
    MPR       100 (r - 1) / n                        (0 is best, 50 is chance)

A miss, an item that was no candidate, counts 0, 0, 0 and 100; so does a test without candidates.
Two figures are about the lists, whatever was right:

    coverage  the share of the known items that were in a list (Ge et al. 2010); known is what was
              learned or listed by then
    novelty   the mean over all listed items of -log2 p(item) in bits, where p is the item's share
              of the positives learned before the list was made (self-information under free
              discovery, Vargas and Castells 2011); an item that was never learned here, as of an
              imported model, counts as one learned once

References:
    J. Vinagre, A. M. Jorge, J. Gama: Evaluation of recommender systems in streaming environments.
        Workshop on Recommender Systems Evaluation (REDD) at RecSys 2014. arXiv:1504.08175.
    J. Vinagre, A. M. Jorge, C. Rocha, J. Gama: Statistically robust evaluation of stream-based
        recommender systems. IEEE Trans. Knowledge and Data Engineering 33(7), 2021 (online 2019).
    J. Gama, R. Sebastião, P. P. Rodrigues: On evaluating stream learning algorithms. Machine
        Learning 90(3), 2013.
    M. Ge, C. Delgado-Battenfeld, D. Jannach: Beyond accuracy: evaluating recommender systems by
        coverage and serendipity. RecSys 2010.
    S. Vargas, P. Castells: Rank and relevance in novelty and diversity metrics for recommender
        systems. RecSys 2011.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from transforms.formats.records import Evaluation

CHI_SQUARE_99: Final = 6.634896601021213
"""What a chi-square of one degree of freedom exceeds in one case of a hundred."""


class Scores(NamedTuple):
    """What some tests showed of one way to rank; NaN where there is nothing to average.

    Attributes:
        tests: How many there were.
        recall: At N, 0 to 1.
        ndcg: At N, 0 to 1.
        mrr: 0 to 1.
        mpr: Percent, 0 is best.
        coverage: 0 to 1.
        novelty: Bits.
    """

    tests: int
    recall: float
    ndcg: float
    mrr: float
    mpr: float
    coverage: float
    novelty: float


class Outcome(NamedTuple):
    """What some tests showed.

    Attributes:
        model: Of the recommender.
        popular: Of "most popular" on the same tests.
        update_us: Mean microseconds of learning a positive.
        top_n_us: Mean microseconds of making a list.
    """

    model: Scores
    popular: Scores
    update_us: float
    top_n_us: float


class Sums:
    """Sums of tuples over all or over the last ones; O(1) amortised for each.

    The sums of a window are made anew whenever it has turned over, so that the rounding of
    subtraction does not pile up.

    Args:
        width: Length of the tuples.
        window: How many of the last tuples count; None for all.
    """

    def __init__(self, width: int, window: int | None = None) -> None:
        self._sums = [0.0] * width
        self._window = window
        self._last: deque[Sequence[float]] = deque()
        self._since = 0
        self.count = 0

    def add(self, values: Sequence[float]) -> None:
        """Counts one tuple in, and one out if the window is full."""
        self._sums = [total + value for total, value in zip(self._sums, values, strict=True)]
        self.count += 1
        if self._window is None:
            return
        self._last.append(values)
        self._since += 1
        if self.count > self._window:
            left = self._last.popleft()
            self._sums = [total - value for total, value in zip(self._sums, left, strict=True)]
            self.count = self._window
        if self._since >= self._window:
            self._sums = [math.fsum(column) for column in zip(*self._last, strict=True)]
            self._since = 0

    def __getitem__(self, column: int) -> float:
        return self._sums[column]

    def mean(self, column: int) -> float:
        """Returns the mean of a column, NaN of nothing."""
        return self._sums[column] / self.count if self.count else math.nan


class Figures:
    """Adds evaluation records up: over all of them, and over a sliding window.

    Records have to come in the order of learning, each once: drop repeats by origin before.

    Args:
        top_n: N of recall and NDCG; of longer lists the first N items count.
        window: How many of the last tests are recent.
    """

    def __init__(self, top_n: int = 10, window: int = 5000) -> None:
        if top_n < 1 or window < 1:
            msg = f"top_n is {top_n} and window {window}, expected at least 1"
            raise ValueError(msg)
        self._top_n = top_n
        self._learned: Counter[str] = Counter()
        self._positives = 0
        self._known: set[str] = set()
        self._model = (_Ranker(None), _Ranker(window))
        self._popular = (_Ranker(None), _Ranker(window))
        self._cost = (Sums(2), Sums(2, window))

    def learn(self, item: str) -> None:
        """Counts a positive that is no test, as of a warm-up: its item is known from now on."""
        self._learned[item] += 1
        self._positives += 1
        self._known.add(item)

    def add(self, record: Evaluation) -> None:
        """Counts a test, then learns its item."""
        for rankers, rank, items in (
            (self._model, record.rank, record.items),
            (self._popular, record.popular_rank, record.popular_items),
        ):
            listed = items[: self._top_n]
            self._known.update(listed)
            values = (*self._of_rank(rank, record.candidates), self._information(listed))
            for ranker in rankers:
                ranker.add(values, listed)
        for cost in self._cost:
            cost.add((record.update_us, record.top_n_us))
        self.learn(record.item)

    @property
    def total(self) -> Outcome:
        """What all tests showed."""
        return self._outcome(0)

    @property
    def recent(self) -> Outcome:
        """What the tests of the window showed."""
        return self._outcome(1)

    def _outcome(self, which: int) -> Outcome:
        return Outcome(
            self._model[which].scores(len(self._known)),
            self._popular[which].scores(len(self._known)),
            self._cost[which].mean(0),
            self._cost[which].mean(1),
        )

    def _of_rank(self, rank: int | None, candidates: int) -> tuple[float, float, float, float]:
        if rank is None:
            return 0.0, 0.0, 0.0, 100.0
        percentile = 100.0 * (rank - 1) / candidates
        if rank > self._top_n:
            return 0.0, 0.0, 1.0 / rank, percentile
        return 1.0, 1.0 / math.log2(rank + 1), 1.0 / rank, percentile

    def _information(self, items: Sequence[str]) -> float:
        every = math.log2(max(self._positives, 1))
        return sum(every - math.log2(max(self._learned[item], 1)) for item in items)


class _Ranker:
    """The tests of one way to rank, all or the last `window`."""

    def __init__(self, window: int | None) -> None:
        self._window = window
        self._sums = Sums(6, window)
        self._lists: deque[Sequence[str]] = deque()
        self._listed: Counter[str] = Counter()

    def add(self, values: tuple[float, ...], items: Sequence[str]) -> None:
        self._sums.add((*values, len(items)))
        self._listed.update(items)
        if self._window is None:
            return
        self._lists.append(items)
        if len(self._lists) > self._window:
            for item in self._lists.popleft():
                self._listed[item] -= 1
                if not self._listed[item]:
                    del self._listed[item]

    def scores(self, known: int) -> Scores:
        sums = self._sums
        return Scores(
            tests=sums.count,
            recall=sums.mean(0),
            ndcg=sums.mean(1),
            mrr=sums.mean(2),
            mpr=sums.mean(3),
            coverage=len(self._listed) / known if known else math.nan,
            novelty=sums[4] / sums[5] if sums[5] else math.nan,
        )


class McNemar:
    """McNemar's test on which of two models hits, over a sliding window; O(1) for each pair.

    With a tests that only the first model hit and b that only the second did, the statistic is
    `sign(a - b) (a - b)^2 / (a + b)`, which without its sign is a chi-square of one degree of
    freedom where neither is better (Gama et al. 2013; on hits of recommenders Vinagre et al.
    2014). Looked at again and again it is a sign, not a proof: nothing corrects for that.

    Args:
        window: How many of the last pairs count.
    """

    def __init__(self, window: int = 5000) -> None:
        self._sums = Sums(2, window)

    def add(self, first: bool, second: bool) -> None:
        """Counts the same test of both models: whether each had the item in its top N."""
        self._sums.add((float(first > second), float(second > first)))

    @property
    def statistic(self) -> float:
        """Above 0 where the first model is ahead, below 0 where the second is."""
        first, second = self._sums[0], self._sums[1]
        if first == second:
            return 0.0
        return math.copysign((first - second) ** 2 / (first + second), first - second)

    @property
    def better(self) -> int:
        """1 if the first model is better at 99 %, -1 if the second is, else 0."""
        return verdict(self.statistic)


def verdict(statistic: float) -> int:
    """Returns 1 or -1 as `McNemar.better` does, 0 where neither is better at 99 %."""
    if abs(statistic) <= CHI_SQUARE_99:
        return 0
    return 1 if statistic > 0 else -1
