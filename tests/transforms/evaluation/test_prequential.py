from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.evaluator import Evaluator
from flurs.recommender import MFRecommender
from flurs.utils import metric
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from tests.support import movielens_like
from transforms.evaluation.prequential import CHI_SQUARE_99, Figures, McNemar, Scores, Sums, verdict
from transforms.formats.records import Evaluation

ITEMS = [f"i{number}" for number in range(12)]


def record(
    rank: int | None,
    candidates: int = 20,
    items: tuple[str, ...] = (),
    item: str = "i0",
    popular_rank: int | None = None,
    popular_items: tuple[str, ...] = (),
) -> Evaluation:
    return Evaluation(
        *("o", "u", item, rank, candidates, "mf", 0.0, list(items)),
        *(popular_rank, list(popular_items), 2.0, 4.0),
    )


@st.composite
def records(draw: st.DrawFn) -> list[Evaluation]:
    made = []
    for _ in range(draw(st.integers(0, 30))):
        candidates = draw(st.integers(0, 12))
        ranks = st.none() | st.integers(1, candidates) if candidates else st.none()
        lists = st.lists(st.sampled_from(ITEMS), max_size=5, unique=True).map(tuple)
        item = draw(st.sampled_from(ITEMS))
        made.append(record(draw(ranks), candidates, draw(lists), item, draw(ranks), draw(lists)))
    return made


def by_definition(tests: list[Evaluation], first: int, top_n: int) -> Scores:
    """The model's figures of all tests from number `first` on, each formula written out."""
    counted = tests[first:]
    known = {test.item for test in tests}
    for test in tests:
        known |= set(test.items[:top_n]) | set(test.popular_items[:top_n])
    bits = []
    for number, test in enumerate(tests):
        learned = Counter(before.item for before in tests[:number])
        for item in test.items[:top_n] if number >= first else ():
            bits.append(-math.log2(max(learned[item], 1) / max(number, 1)))
    ranks = [test.rank or math.inf for test in counted]
    listed = {item for test in counted for item in test.items[:top_n]}
    percentiles = [
        100 * (test.rank - 1) / test.candidates if test.rank else 100.0 for test in counted
    ]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values) if values else math.nan

    return Scores(
        len(counted),
        mean([float(rank <= top_n) for rank in ranks]),
        mean([1 / math.log2(1 + rank) if rank <= top_n else 0.0 for rank in ranks]),
        mean([1 / rank for rank in ranks]),
        mean(percentiles),
        len(listed) / len(known) if known else math.nan,
        mean(bits),
    )


@settings(deadline=None)
@given(records(), st.integers(1, 6), st.integers(1, 8))
def test_figures_are_their_definitions_over_all_and_over_the_window(
    tests: list[Evaluation], top_n: int, window: int
) -> None:
    figures = Figures(top_n, window)
    for one in tests:
        figures.add(one)
    swapped = [
        one._replace(
            rank=one.popular_rank,
            popular_rank=one.rank,
            items=one.popular_items,
            popular_items=one.items,
        )
        for one in tests
    ]
    first = max(len(tests) - window, 0)
    for outcome, start in ((figures.total, 0), (figures.recent, first)):
        assert outcome.model == pytest.approx(by_definition(tests, start, top_n), nan_ok=True)
        assert outcome.popular == pytest.approx(by_definition(swapped, start, top_n), nan_ok=True)


def test_a_miss_counts_as_the_worst_of_each() -> None:
    figures = Figures()
    figures.add(record(None))
    figures.add(record(None, candidates=0))
    assert figures.total.model[:5] == (2, 0.0, 0.0, 0.0, 100.0)
    assert math.isnan(figures.total.model.novelty)


def test_nothing_tested_has_no_figures() -> None:
    outcome = Figures().recent
    assert outcome.model.tests == 0
    assert all(math.isnan(value) for value in outcome.model[1:])
    assert math.isnan(outcome.update_us)


def test_a_warm_up_is_learned_and_not_tested() -> None:
    figures = Figures(top_n=1)
    for item in ("i1", "i1", "i1", "i2"):
        figures.learn(item)
    figures.add(record(1, items=("i2",), item="i2"))
    assert figures.total.model.tests == 1
    assert figures.total.model.coverage == 1 / 2
    assert figures.total.model.novelty == -math.log2(1 / 4)


def test_costs_are_means() -> None:
    figures = Figures(window=1)
    figures.add(record(1)._replace(update_us=8.0))
    figures.add(record(1))
    assert (figures.total.update_us, figures.total.top_n_us) == (5.0, 4.0)
    assert figures.recent.update_us == 2.0


@pytest.mark.parametrize(("top_n", "window"), [(0, 5), (5, 0)])
def test_senseless_sizes_are_refused(top_n: int, window: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        Figures(top_n, window)


def test_a_windows_sums_are_exact_again_after_it_has_turned_over() -> None:
    sums = Sums(1, window=4)
    for _ in range(1000):
        for value in (1e17, 0.1, 0.2, 0.3):
            sums.add((value,))
    for _ in range(8):
        sums.add((0.1,))
    assert sums.mean(0) == 0.1


class _Remembering(MFRecommender):
    def recommend(self, user: Any, candidates: Any) -> Any:
        self.last = super().recommend(user, candidates)
        return self.last


@pytest.mark.parametrize("top_n", [1, 5, 10])
def test_figures_agree_with_flurs_on_the_ranks_of_its_evaluator(top_n: int) -> None:
    np.random.seed(1)
    flurs = _Remembering(k=8)
    flurs.initialize()
    evaluator = Evaluator(flurs, repeat=False)
    events = _events()
    figures = Figures(top_n)
    theirs = []
    for event in events:
        # FluRS makes the item a candidate even where it is new, so nothing is a miss here.
        [(_, position, _, _)] = evaluator.evaluate([event])
        ranked = flurs.last[0]
        figures.add(record(int(position) + 1, len(ranked), tuple(map(str, ranked[:top_n]))))
        truth = np.array([event.item.index])
        theirs.append(
            [
                metric.recall(truth, ranked, top_n),
                metric.ndcg(truth, ranked, top_n),
                metric.reciprocal_rank(truth, ranked),
                metric.mpr(truth, ranked),
            ]
        )
    assert figures.total.model[1:5] == pytest.approx(np.mean(theirs, axis=0), rel=1e-12)
    assert 0 < figures.total.model.recall < 1


def _events() -> list[Any]:
    users: dict[str, Any] = {}
    items: dict[str, Any] = {}
    seen = set()
    events = []
    for rating in movielens_like(600, users=30, items=80):
        if (rating.user, rating.item) not in seen:
            seen.add((rating.user, rating.item))
            user = users.setdefault(rating.user, User(len(users)))
            events.append(Event(user, items.setdefault(rating.item, Item(len(items)))))
    return events


HITS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


@settings(deadline=None)
@given(HITS, st.integers(1, 10))
def test_mcnemar_counts_the_windows_discordant_pairs(
    pairs: list[tuple[bool, bool]], window: int
) -> None:
    test, mirrored = McNemar(window), McNemar(window)
    for first, second in pairs:
        test.add(first, second)
        mirrored.add(second, first)
    a = pairs[-window:].count((True, False))
    b = pairs[-window:].count((False, True))
    signed = math.copysign((a - b) ** 2 / (a + b), a - b) if a + b else 0.0
    assert test.statistic == pytest.approx(signed)
    assert mirrored.statistic == -test.statistic


def test_who_is_better_at_99_percent() -> None:
    assert pytest.approx(chi2.ppf(0.99, 1), rel=1e-12) == CHI_SQUARE_99
    test = McNemar(window=50)
    for _ in range(6):
        test.add(True, False)
    assert test.better == 0
    test.add(True, False)
    assert (test.statistic, test.better) == (7.0, 1)
    for _ in range(50):
        test.add(False, True)
    assert test.better == -1
    for _ in range(50):
        test.add(True, True)
    assert (test.statistic, test.better) == (0.0, 0)
    assert [verdict(value) for value in (-7.0, -6.6, 6.6, 7.0)] == [-1, 0, 0, 1]
