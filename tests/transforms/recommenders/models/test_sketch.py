from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.recommender import SketchRecommender

from tests.support import features_of, movielens_like
from tests.transforms.recommenders import contract
from tests.transforms.recommenders.contract import RecommenderContract
from tests.transforms.recommenders.featured import CONTEXT, ITEM, USER, featured
from tests.transforms.recommenders.numerics.test_projections import flurs_projection
from transforms.errors import IncompatibleModelError
from transforms.formats.records import Features, Rating
from transforms.recommenders.numerics.projections import PROJECTIONS, RAW, Projection
from transforms.recommenders.registry import RecommenderSpec


class TestSketchWithoutFeatures(RecommenderContract):
    spec = RecommenderSpec("sketch", seed=3, repeats="never")
    other_spec = RecommenderSpec("sketch", {"k": 9}, seed=3, repeats="never")


class WithFeatures(RecommenderContract):
    @pytest.fixture(autouse=True)
    def ratings_with_features(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contract, "movielens_like", featured)


class TestSketch(WithFeatures):
    spec = RecommenderSpec("sketch", seed=3, repeats="never")
    other_spec = RecommenderSpec("sketch", {"proj": "RandomProjection"}, seed=3, repeats="never")


class TestSketchOfTensors(WithFeatures):
    spec = RecommenderSpec(
        "sketch", {"proj": "TensorSketchProjection", "k": 12}, seed=3, repeats="never"
    )
    other_spec = RecommenderSpec(
        "sketch", {"proj": "TensorSketchProjection", "k": 12, "ell": 5}, seed=3, repeats="never"
    )


def _flurs(name: str, k: int, ell: int, seed: int) -> Any:
    theirs = SketchRecommender(p=USER + CONTEXT + ITEM, k=k, ell=ell, proj=name)
    theirs.initialize()
    projection = Projection.empty(name, k)
    projection.grow(USER + CONTEXT + ITEM, seed)
    theirs.proj = flurs_projection(projection)
    return theirs


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("ell", [-1, 8])
def test_scores_are_those_of_flurs(name: str, ell: int) -> None:
    k = 20
    ours = RecommenderSpec(
        "sketch", {"k": k, "ell": ell, "proj": name}, seed=11, repeats="never"
    ).build()
    theirs = _flurs(name, k, ell, 11)
    for number, rating in enumerate(featured(250, users=40, items=80)):
        ours.update(rating)
        of_user, of_item, context = map(np.array, features_of(rating))
        index = ours.items.get(rating.item)
        user, item = User(ours.users.get(rating.user), of_user), Item(index, of_item)
        if theirs.is_new_item(index):
            theirs.register(item)
        theirs.update(Event(user, item, 1.0, context))
        everything = np.arange(len(ours.items))
        expected = 1.0 - theirs.score(user, everything, context)
        got = ours.model.item_scores(user.index, features_of(rating).context)
        # Before there is a vector for each basis the rest are any that the SVD likes.
        if number > 20:
            assert got == pytest.approx(expected, abs=1e-6)
            assert np.ptp(got) > 0.01


def test_what_is_like_what_was_seen_comes_first() -> None:
    recommender = RecommenderSpec("sketch", {"ell": 2, "r": 1}, repeats="never").build()
    often, seldom = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    for number in range(60):
        of_item = seldom if number % 6 == 0 else often
        recommender.update(Rating(f"u{number}", f"i{number}", 5.0, 0.0, "", Features((), of_item)))
    best = recommender.recommend("u59", 49)
    assert {int(one.item[1:]) % 6 == 0 for one in best} == {False}


def test_kinds_of_features_may_come_late() -> None:
    recommender = RecommenderSpec("sketch", {"ell": 4}, repeats="never").build()
    for rating in movielens_like(50):
        recommender.update(rating)
    assert not recommender.model.item_scores(0).any()
    for number, rating in enumerate(featured(150)):
        user, item, context = features_of(rating)
        said = Features(user, item if number > 50 else (), context if number > 100 else ())
        recommender.update(rating._replace(features=said))
    arrays = recommender.state_dict()
    assert arrays["model.b"].shape == (USER + CONTEXT + ITEM, 4)
    assert arrays["model.u"].shape == (USER + CONTEXT + ITEM, 2)
    scores = recommender.model.item_scores(0, (1.0, 0.0, 0.0))
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) > 10


def test_a_late_kind_is_as_one_that_was_zero_so_far() -> None:
    late, early = (RecommenderSpec("sketch", {"ell": 4}, repeats="never").build() for _ in range(2))
    for number, rating in enumerate(featured(300)):
        user, item, context = features_of(rating)
        known = number >= 100
        late.update(rating._replace(features=Features(user, item, context if known else ())))
        zeros = (0.0,) * CONTEXT
        early.update(rating._replace(features=Features(user, item, context if known else zeros)))
    expected = early.model.item_scores(0, (1.0, 0.0, 0.0))
    assert late.model.item_scores(0, (1.0, 0.0, 0.0)) == pytest.approx(expected, abs=1e-6)


def test_the_projection_is_saved_with_the_model() -> None:
    spec = RecommenderSpec("sketch", {"proj": "RandomProjection"}, seed=1, repeats="never")
    recommender = spec.build()
    for rating in featured(100):
        recommender.update(rating)
    other = RecommenderSpec("sketch", {"proj": "RandomProjection"}, seed=2, repeats="never").build()
    other.load_state_dict(recommender.state_dict())
    assert other.recommend("1", 10) == recommender.recommend("1", 10)


def test_another_projection_is_refused() -> None:
    saved = (
        RecommenderSpec("sketch", {"proj": PROJECTIONS[1]}, repeats="never").build().state_dict()
    )
    with pytest.raises(IncompatibleModelError, match="k, ell, r and projection"):
        RecommenderSpec(
            "sketch", {"proj": PROJECTIONS[2]}, repeats="never"
        ).build().load_state_dict(saved)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"k": 0}, "k is 0"),
        ({"ell": 0}, "ell is 0, expected at least 1"),
        ({"r": -2}, "r is -2, expected at least 1"),
        ({"ell": 3, "r": 4}, "r is 4, expected at most ell, 3"),
        ({"proj": "Cooked"}, f"proj is Cooked, expected one of {RAW}, "),
        ({"proj": "RandomProjection", "k": 4, "ell": 5}, "ell is 5, expected at most k, 4"),
    ],
)
def test_hyperparameters_are_checked(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("sketch", values, repeats="never")
