from __future__ import annotations

from tests.support import movielens_like
from transforms.formats.records import Rating, Recommendation, Request, ScoredItem
from transforms.learning.shard import learn, merge_items, merge_recommendations
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

SPEC = RecommenderSpec("mf", {"k": 4}, seed=3)


def test_a_rating_is_learned_and_then_listed() -> None:
    ratings = movielens_like(200)
    done = learn(SPEC.build(), ratings, 5)
    plain = SPEC.build()
    for rating, found in zip(ratings, done.recommendations, strict=True):
        plain.update(rating)
        best = plain.recommend(rating.user, 5)
        assert found == Recommendation(rating.user, best, rating.timestamp, rating.origin)
    assert done.changed == ratings
    assert done.update_us > 0
    assert done.top_n_us > 0


def test_requests_are_answered_after_the_ratings_and_change_nothing() -> None:
    ratings = movielens_like(100)
    requests = [Request(ratings[0].user, 5.0, "r:1"), Request("nobody", 6.0, "r:2")]
    recommender = SPEC.build()
    known, unknown = learn(recommender, ratings, 3, requests=requests).recommendations[-2:]
    assert known == Recommendation(
        ratings[0].user, recommender.recommend(ratings[0].user, 3), 5.0, "r:1"
    )
    assert unknown.fallback == "popular"
    assert unknown.items == recommender.recommend("nobody", 3)
    assert not recommender.knows("nobody")
    assert learn(recommender, [], 3, requests=requests).changed == []


class _Counting:
    def __init__(self) -> None:
        self.known: list[int] = []

    def before_update(self, recommender: Recommender, rating: Rating) -> None:
        self.known.append(len(recommender.users))


def test_an_observer_sees_the_recommender_before_each_update() -> None:
    ratings = movielens_like(50)
    observer, plain = _Counting(), SPEC.build()
    done = learn(SPEC.build(), ratings, 5, observer=observer)
    assert done.recommendations == learn(SPEC.build(), ratings, 5).recommendations
    expected = []
    for rating in ratings:
        expected.append(len(plain.users))
        plain.update(rating)
    assert observer.known == expected


def test_an_observer_sees_nothing_of_what_is_only_seen_or_not_wanted() -> None:
    ratings = movielens_like(6)
    weights = [1.0, 0.0, -1.0, 0.2, -0.5, 3.0]
    weighed = [one._replace(weight=w) for one, w in zip(ratings, weights, strict=True)]
    observer = _Counting()
    done = learn(SPEC.build(), weighed, 5, observer=observer)
    assert len(observer.known) == 3
    assert len(done.recommendations) == 6


def test_with_top_n_zero_no_rating_is_listed() -> None:
    assert learn(SPEC.build(), movielens_like(9), 0).recommendations == []


def test_lists_are_merged_best_first_and_of_equals_the_earlier_one_wins() -> None:
    first = [ScoredItem("a", 3.0), ScoredItem("b", 1.0)]
    second = [ScoredItem("c", 3.0), ScoredItem("d", 2.0)]
    assert [item for item, _ in merge_items([first, second], 3)] == ["a", "c", "d"]
    parts = [Recommendation("u", items, 1.0, "o", "popular") for items in (first, second)]
    assert merge_recommendations(parts, 1) == Recommendation("u", first[:1], 1.0, "o", "popular")


def test_nothing_to_list_is_an_empty_list() -> None:
    assert merge_items([[], []], 3) == []
    done = learn(SPEC.build(), [], 3, requests=[Request("u")])
    assert done.recommendations == [Recommendation("u", [], 0.0, "", "popular")]
    assert done.top_n_us >= 0
