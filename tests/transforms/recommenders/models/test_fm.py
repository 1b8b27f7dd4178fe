from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.recommender import FMRecommender

from tests.support import features_of, movielens_like, same_arrays
from tests.transforms.recommenders import contract
from tests.transforms.recommenders.contract import RecommenderContract
from tests.transforms.recommenders.featured import CONTEXT, ITEM, USER, featured
from transforms.formats.records import Features, Rating
from transforms.recommenders.memory.factor_matrix import FLURS_SCALE, FactorMatrix
from transforms.recommenders.models.fm import FM, FMConfig
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

SEED = 11
FLURS = {"learn_rate": 0.004, "l2_reg_V": 16.0, "l2_reg_w": 8.0, "l2_reg_w0": 2.0}
"""FluRS's defaults, but for the scale of new factors."""

BOLD = {"learn_rate": 0.008, "l2_reg_V": 0.5, "l2_reg_w": 0.1, "l2_reg_w0": 0.1}
"""Hyperparameters under which much changes."""


class TestFM(RecommenderContract):
    spec = RecommenderSpec("fm", {"k": 8}, seed=3, repeats="never")
    other_spec = RecommenderSpec("fm", {"k": 9}, seed=3, repeats="never")


class TestFMWithFeatures(TestFM):
    spec = RecommenderSpec("fm", {"k": 8, **BOLD}, seed=3, repeats="never")

    @pytest.fixture(autouse=True)
    def ratings_with_features(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contract, "movielens_like", featured)


def _initial(name: int, n: int) -> np.ndarray:
    matrix = FactorMatrix(FMConfig().k, SEED, name, FLURS_SCALE)
    for _ in range(n):
        matrix.add()
    return matrix.used()


def _vector(values: Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=float)


class _Flurs:
    """FluRS's own recommender in a plain loop, from the initial factors that ours draws."""

    def __init__(self, features: int, hyperparameters: dict[str, float]) -> None:
        self.model = FMRecommender(p=features, **hyperparameters)
        self.model.initialize(use_index=True)
        self.model.V[:] = self.model.prev_V[:] = _initial(2, features)

    def register(self, rating: Rating, user: int, item: int) -> tuple[User, Item]:
        said = rating.features or Features()
        actors = User(user, _vector(said.user)), Item(item, _vector(said.item))
        if self.model.is_new_user(user):
            self.model.register(actors[0])
            self._set(user, _initial(0, user + 1)[user])
        if self.model.is_new_item(item):
            self.model.register(actors[1])
            self._set(self.model.n_user + item, _initial(1, item + 1)[item])
        return actors

    def _set(self, row: int, factors: np.ndarray) -> None:
        self.model.V[row] = self.model.prev_V[row] = factors

    def update(self, user: User, item: Item, context: Sequence[float] = ()) -> None:
        self.model.update(Event(user, item, 1.0, _vector(context)))


def _ours(hyperparameters: dict[str, float]) -> Recommender:
    with_scale = {**hyperparameters, "init_scale": FLURS_SCALE}
    return RecommenderSpec("fm", with_scale, seed=SEED, repeats="never").build()


def _same_lists(
    ours: Recommender, theirs: _Flurs, rating: Rating, user: User, context: Sequence[float] = ()
) -> None:
    known = {ours.items.get(item) for item in ours.seen_items(rating.user)}
    free = np.array([i for i in range(len(ours.items)) if i not in known], dtype=int)
    if len(free):
        best, scores = theirs.model.recommend(user, free, _vector(context))
        listed = ours.recommend(rating.user, 10, context)
        assert [one.score for one in listed] == pytest.approx((1 - scores[:10]).tolist(), abs=1e-9)
        assert [one.item for one in listed] == [ours.items.ids[i] for i in best[:10]]


@pytest.mark.parametrize("hyperparameters", [FLURS, BOLD])
@pytest.mark.parametrize("with_items", [False, True])
def test_lists_are_those_of_flurs_as_users_and_items_come(
    hyperparameters: dict[str, float], with_items: bool
) -> None:
    ours = _ours(hyperparameters)
    theirs = _Flurs(ITEM * with_items, hyperparameters)
    for full in featured(800, users=40, items=80):
        of_item = Features(item=features_of(full).item) if with_items else None
        rating = full._replace(features=of_item)
        ours.update(rating)
        user, item = ours.users.get(rating.user), ours.items.get(rating.item)
        assert user is not None
        assert item is not None
        actors = theirs.register(rating, user, item)
        theirs.update(*actors)
        _same_lists(ours, theirs, rating, actors[0])


@pytest.mark.parametrize("hyperparameters", [FLURS, BOLD])
def test_with_all_features_lists_are_those_of_flurs_that_knows_everybody_beforehand(
    hyperparameters: dict[str, float],
) -> None:
    ours = _ours(hyperparameters)
    theirs = _Flurs(USER + ITEM + CONTEXT, hyperparameters)
    ratings = featured(800, users=40, items=80)
    users = {name: i for i, name in enumerate(dict.fromkeys(r.user for r in ratings))}
    items = {name: i for i, name in enumerate(dict.fromkeys(r.item for r in ratings))}
    for rating in ratings:
        theirs.register(rating, users[rating.user], items[rating.item])
    p, q, f = _initial(0, len(users)), _initial(1, len(items)), _initial(2, USER + ITEM + CONTEXT)
    of_user, context, of_item = np.split(f, [USER, USER + CONTEXT])
    theirs.model.V[:] = theirs.model.prev_V[:] = np.concatenate([p, of_user, context, q, of_item])
    for rating in ratings:
        ours.update(rating)
        actors = theirs.register(rating, users[rating.user], items[rating.item])
        day = features_of(rating).context
        theirs.update(*actors, day)
        _same_lists(ours, theirs, rating, actors[0], day)


def test_context_changes_the_list() -> None:
    recommender = RecommenderSpec("fm", BOLD, seed=SEED, repeats="never").build()
    for rating in featured(800):
        recommender.update(rating)
    lists = {tuple(recommender.recommend("1", 10, day)) for day in np.eye(CONTEXT).tolist()}
    assert len(lists) == CONTEXT


def test_what_a_rating_does_not_say_is_what_was_said_last() -> None:
    whole, sparing = (
        RecommenderSpec("fm", BOLD, seed=SEED, repeats="never").build() for _ in range(2)
    )
    said: set[str] = set()
    for rating in featured(500):
        user, item, context = features_of(rating)
        whole.update(rating)
        user_again, item_again = "u" + rating.user in said, "i" + rating.item in said
        said |= {"u" + rating.user, "i" + rating.item}
        features = Features(() if user_again else user, () if item_again else item, context)
        sparing.update(rating._replace(features=features))
    assert same_arrays(whole.state_dict(), sparing.state_dict())


def test_features_may_come_late_and_be_of_another_length() -> None:
    recommender = RecommenderSpec("fm", BOLD, seed=SEED, repeats="never").build()
    for rating in movielens_like(100):
        recommender.update(rating)
    for rating in featured(100, seed=2):
        recommender.update(rating)
    for rating in featured(100, seed=3):
        user, item, context = features_of(rating)
        recommender.update(rating._replace(features=Features(user[1:], (*item, 1.0), context)))
    scores = recommender.model.item_scores(0)
    assert np.isfinite(scores).all()
    assert recommender.state_dict()["model.weights.w"].shape == (USER + ITEM + CONTEXT,)


def test_features_find_what_is_liked() -> None:
    # Users with the feature like items with theirs; of new items the right ones come first.
    recommender = RecommenderSpec(
        "fm", {**BOLD, "learn_rate": 0.05}, seed=SEED, repeats="never"
    ).build()
    random = np.random.default_rng(5)
    for number in range(4000):
        side = int(random.integers(2))
        sides = tuple(np.eye(2)[side].tolist())
        item = f"{side}-{number // 20}"
        recommender.update(
            Rating(f"{side}-{random.integers(50)}", item, 5.0, 0.0, "", Features(sides, sides))
        )
    for prefix in "01":
        listed = recommender.recommend(f"{prefix}-7", 20)
        assert sum(one.item.startswith(prefix) for one in listed) >= 18


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"k": 0}, "k is 0"),
        ({"l2_reg_w": -0.1}, r"l2_reg_w is -0.1, expected at least 0"),
        ({"l2_reg_V": float("inf")}, "l2_reg_V is inf"),
        ({"learn_rate": 0.1, "l2_reg_V": 16.0}, r"l2_reg_V is 16.0, expected below 1 / learn_rate"),
        ({"learn_rate": 0.0}, "learn_rate is 0.0"),
        ({"init_scale": 1.0}, "init_scale is 1.0"),
    ],
)
def test_hyperparameters_are_checked(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("fm", values, repeats="never")


def test_a_new_model_scores_nothing() -> None:
    model = FM(FMConfig(), 0)
    model.add_user()
    assert model.item_scores(0).tolist() == []
