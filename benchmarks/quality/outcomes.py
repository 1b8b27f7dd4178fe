"""What a model showed in the tests of a stream, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.evaluation.prequential import McNemar, Scores

RESAMPLES: Final = 1000
_PERCENTILES: Final = (2.5, 97.5)


class Costs(NamedTuple):
    """What learning and listing took, in one thread unless a library takes more.

    Attributes:
        training_seconds: All learning, of every rating.
        update_us: Microseconds of learning one positive.
        top_n_us: Microseconds of making one list.
        megabytes: Size of the state at the end, in units of 10^6 bytes; None if it is not known.
    """

    training_seconds: float
    update_us: float
    top_n_us: float
    megabytes: float | None = None


@dataclass(frozen=True)
class Outcome:
    """The tests of one model.

    Attributes:
        name: Of the model.
        top_n: Length of its lists.
        tests: Numbers of the stream's tests that it took, rising, shape (n,).
        ranks: The place of the right item in each, from 1; 0 for a miss, shape (n,).
        repeats: Whether the list could name items that the user had, shape (n,).
        scores: All figures. Of a model that gives lists alone, without the places behind them,
            `mrr` is that of the lists, and `mpr` means nothing.
        lists_only: Whether it is such a model.
        costs: Of learning and listing.
    """

    name: str
    top_n: int
    tests: NDArray[np.int64]
    ranks: NDArray[np.int64]
    repeats: NDArray[np.bool]
    scores: Scores
    lists_only: bool
    costs: Costs

    @property
    def hits(self) -> NDArray[np.bool]:
        """Whether the right item was in each list, shape (n,)."""
        return (self.ranks >= 1) & (self.ranks <= self.top_n)

    @property
    def reciprocals(self) -> NDArray[np.float64]:
        """One over its place where it was, else 0, whose mean is MRR@N, shape (n,)."""
        return np.where(self.hits, 1 / np.maximum(self.ranks, 1), 0.0)

    @property
    def gains(self) -> NDArray[np.float64]:
        """The terms of NDCG@N, shape (n,)."""
        return np.where(self.hits, 1 / np.log2(np.maximum(self.ranks, 1) + 1), 0.0)


def intervals(
    values: NDArray[np.float64], users: NDArray[np.int64], seed: int = 0
) -> NDArray[np.float64]:
    """Returns 95 % confidence intervals of means, by the percentile bootstrap over users.

    The tests of one user, or clicks of one session, depend on each other, so whole users are
    drawn with replacement: the cluster bootstrap (Davison and Hinkley, Bootstrap Methods and
    their Application, 1997, section 3.8). Equal users and seeds draw the same users, so the
    interval of a difference of two models is that of a paired comparison.

    Args:
        values: One row for each test, shape (n, k).
        users: The number of each test's user, shape (n,).
        seed: Of the draws.

    Returns:
        The lower and the upper ends, shape (2, k); NaN without a test.
    """
    if not len(values):
        return np.full((2, values.shape[1]), np.nan)
    _, numbers = np.unique(users, return_inverse=True)
    count = int(numbers.max()) + 1
    sizes = np.bincount(numbers)
    sums = np.stack([np.bincount(numbers, column) for column in values.T], axis=1)
    draws = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, values.shape[1]))
    for mean in means:
        times = np.bincount(draws.integers(count, size=count), minlength=count)
        mean[:] = times @ sums / (times @ sizes)
    ends: NDArray[np.float64] = np.percentile(means, _PERCENTILES, axis=0)
    return ends


class Comparison(NamedTuple):
    """A model beside another on the tests that both took.

    Attributes:
        recall_difference: Its recall less the other's.
        interval: 95 % confidence interval of the difference, over users.
        statistic: McNemar's, above 0 where the model hits more; it takes tests to be independent.
        better: 1 or -1 if it is better or worse at the 99 % level by McNemar's test, else 0.
    """

    recall_difference: float
    interval: tuple[float, float]
    statistic: float
    better: int


def compare(one: Outcome, other: Outcome, users: NDArray[np.int64]) -> Comparison:
    """Compares two models.

    Args:
        one: The model.
        other: What it is compared with.
        users: The number of the user of each of the stream's tests.
    """
    shared, of_one, of_other = np.intersect1d(
        one.tests, other.tests, assume_unique=True, return_indices=True
    )
    hits, base = one.hits[of_one], other.hits[of_other]
    difference = hits.astype(np.float64) - base
    low, high = intervals(difference[:, np.newaxis], users[shared])[:, 0].tolist()
    test = McNemar(max(1, len(shared)))
    for first, second in zip(hits.tolist(), base.tolist(), strict=True):
        test.add(first, second)
    mean = float(difference.mean()) if len(shared) else float("nan")
    return Comparison(mean, (low, high), test.statistic, test.better)
