from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from tests.support import movielens_like, same_arrays
from tests.transforms.recommenders import contract
from tests.transforms.recommenders.contract import RecommenderContract
from tests.transforms.recommenders.featured import featured
from transforms.formats.records import Features, Rating
from transforms.learning.shard import learn
from transforms.recommenders.memory.cooccurrence_rows import NO_COUNTS
from transforms.recommenders.memory.cooccurrence_sparse import SparseCounts
from transforms.recommenders.memory.item_columns import ItemColumns
from transforms.recommenders.models.itemknn import ItemKNN
from transforms.recommenders.models.itemknn_config import ItemKNNConfig
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


class TestItemKNN(RecommenderContract):
    newcomers_by_positives = False
    spec = RecommenderSpec("itemknn", {"history": 8}, repeats="never")
    other_spec = RecommenderSpec("itemknn", {"history": 9}, repeats="never")


class TestItemKNNWithFeatures(TestItemKNN):
    spec = RecommenderSpec("itemknn", {"history": 8, "feature_weight": 2.0}, repeats="never")

    @pytest.fixture(autouse=True)
    def ratings_with_features(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contract, "movielens_like", featured)


class TestItemKNNWithFewNeighbors(RecommenderContract):
    newcomers_by_positives = False
    spec = RecommenderSpec("itemknn", {"neighbors": 10}, repeats="never")
    other_spec = RecommenderSpec("itemknn", {"neighbors": 11}, repeats="never")


def _learned(ratings: list[Rating], **hyperparameters: float) -> Recommender:
    recommender = RecommenderSpec("itemknn", hyperparameters, repeats="allow").build()
    for rating in ratings:
        recommender.update(rating)
    return recommender


def _clicks(*pairs: str) -> list[Rating]:
    return [Rating(pair[0], item, 1.0, 0.0) for pair in pairs for item in pair[1:]]


class _Plain:
    """The docstring's equations in plain Python."""

    def __init__(self, config: ItemKNNConfig, *, repeats: bool) -> None:
        self.config = config
        self.repeats = repeats
        self.counts: dict[tuple[str, str], float] = defaultdict(float)
        self.chosen: dict[str, float] = defaultdict(float)
        self.recent: dict[str, float] = defaultdict(float)
        self.starts: dict[str, float] = defaultdict(float)
        self.degrees: dict[str, float] = defaultdict(float)
        self.left: dict[Any, float] = defaultdict(float)
        self.same: dict[Any, float] = defaultdict(float)
        self.there: dict[int, float] = defaultdict(float)
        self.returns: dict[int, float] = defaultdict(float)
        self.streaks: dict[str, int] = defaultdict(int)
        self.histories: dict[str, list[tuple[str, float]]] = defaultdict(list)
        self.followed: dict[tuple[str, str], float] = defaultdict(float)
        self.met: dict[tuple[str, str], int] = {}
        self.credit = {length: [0.0] * 8 for length in range(1, 5)}
        self.all_credit = [3.5] * 8
        self.utilities = [0.0] * 4
        self.noise = [[0.0] * 4 for _ in range(4)]
        self.leader = 1
        self.leaders: set[int] = set()
        self.positives = 0

    def ages(self, user: str, factor: float = 1.0) -> list[tuple[str, float]]:
        weighted, pauses, after = [], 0, None
        for age, (item, time) in enumerate(self.histories[user]):
            pauses += after is not None and after - time > 600
            after = time
            recency = 0.5 ** (age / (factor * self.config.half_life))
            if recency >= 0.01:
                weighted.append((item, recency * 0.5**pauses))
        return weighted

    def prior(self, item: str) -> float:
        total, recent = sum(self.chosen.values()), sum(self.recent.values())
        return 0.01 * self.chosen[item] / total + 0.1 * self.recent[item] / recent

    def cosine(self, user: str, item: str, factor: float) -> float:
        score, shrinkage = self.prior(item), self.config.shrinkage
        length = len(self.histories[user])
        if length <= 6:
            score += 0.5**length * self.starts[item] / sum(self.starts.values())
        for other, weight in self.ages(user, factor):
            norm = ((self.chosen[item] + shrinkage) * (self.chosen[other] + shrinkage)) ** 0.5
            score += weight * self.counts[other, item] / norm
        return score

    def similar(self, user: str, item: str, factor: float) -> float:
        """Returns the probability by the counts with a history that halves so fast."""
        shrinkage = self.config.shrinkage
        shares = [
            (other, weight / (self.degrees[other] + shrinkage))
            for other, weight in self.ages(user, factor)
        ]
        mass = sum(share * self.degrees[other] for other, share in shares)
        return sum(share * self.counts[other, item] for other, share in shares) / (mass or 1.0)

    def next_to(self, one: str, other: str) -> float:
        return self.followed[one, other] + self.followed[other, one]

    def bridges(self, newest: str) -> tuple[list[tuple[str, float]], float]:
        """Returns items next to the newest with their shares, and the sum of their other steps."""
        near = [one for one in self.chosen if self.next_to(newest, one)]
        near.sort(key=lambda one: (-self.next_to(newest, one), self.met[newest, one]))
        shares, mass = [], 0.0
        for one in near[:6]:
            total = sum(self.next_to(one, other) for other in self.chosen)
            share = self.next_to(newest, one) / total
            shares.append((one, share))
            mass += share * (total - self.next_to(newest, one))
        return shares, mass

    def parts(self, user: str, item: str, *, repeats: bool) -> tuple[float, list[float]]:
        """Returns p, and the weighted probability by each expert."""
        history = [one for one, _ in self.histories[user]]
        newest, length = history[0], min(len(history), 4)
        context = self.streaks[user], length
        of_all = (self.same[context] + 0.4) / (self.left[context] + 2)
        stay = (self.same[newest] + 10 * of_all) / (self.left[newest] + 10)
        weights = [
            own + 50 * of / sum(self.all_credit)
            for own, of in zip(self.credit[length], self.all_credit, strict=True)
        ]
        followed = sum(self.followed[newest, one] for one in self.chosen)
        preceded = sum(self.followed[one, newest] for one in self.chosen)
        bridges, bridged = self.bridges(newest)
        if not any(self.degrees[one] for one in history):
            weights[0] = weights[1] = 0.0
        if len(history) == 1 or not repeats:
            weights[4] = 0.0
        for expert, says in enumerate((followed, preceded, bridged), start=5):
            if not says:
                weights[expert] = 0.0
        q = [(1 + self.returns[g]) / (5 + self.there[g]) for g in range(len(history))]
        place = history.index(item) if item in history else 0
        values = [
            self.similar(user, item, 1 / 3),
            self.similar(user, item, 3.0),
            self.chosen[item] / sum(self.chosen.values()),
            self.recent[item] / sum(self.recent.values()),
            q[place] / sum(q[1:]) if place else 0.0,
            self.followed[newest, item] / (followed or 1.0),
            self.followed[item, newest] / (preceded or 1.0),
            sum(u * self.next_to(one, item) for one, u in bridges) / (bridged or 1.0),
        ]
        scale = sum(weights)
        return stay, [w / scale * value for w, value in zip(weights, values, strict=True)]

    def score(self, user: str, item: str, setting: int) -> float:
        if setting < 3:
            return self.cosine(user, item, (1 / 3, 1.0, 3.0)[setting])
        return sum(self.parts(user, item, repeats=False)[1])

    def test(self, user: str, item: str) -> None:
        """Follows the setting that ranks the chosen item highest."""
        history = {one for one, _ in self.histories[user]}
        due = self.positives < 512 or self.positives * 0.6180339887498949 % 1 < 1 / 8
        if not due or not history or item in history or not self.chosen[item]:
            return
        utilities = []
        for setting in range(4):
            chosen = self.score(user, item, setting) * (1 + 1e-9)
            others = [one for one in self.chosen if self.chosen[one] and one not in history]
            rank = sum(self.score(user, one, setting) > chosen for one in others)
            utilities.append(10 / (10 + rank))
        for one in range(4):
            self.utilities[one] = self.utilities[one] * 0.5**0.001 + utilities[one]
            for other in range(4):
                difference = utilities[one] - utilities[other]
                self.noise[one][other] = self.noise[one][other] * 0.5**0.001 + difference**2
        best = max(range(4), key=self.utilities.__getitem__)
        ahead = self.utilities[best] - self.utilities[self.leader]
        if ahead > 2.5 * self.noise[best][self.leader] ** 0.5:
            self.leader = best
        self.leaders.add(self.leader)

    def learn(self, rating: Rating) -> None:
        user, item, history = rating.user, rating.item, self.histories[rating.user]
        if self.config.tune == "auto" and not self.repeats:
            self.test(user, item)
        if history and (self.repeats or self.config.tune == "auto"):
            self.learn_habits(user, item, rating.weight)
        self.positives += 1
        others = [other for other, _ in history if other != item]
        for gap, other in enumerate(others):
            change = rating.weight * (1 + gap) ** -self.config.gap_power
            for pair in ((rating.item, other), (other, rating.item)):
                self.counts[pair] += change
                self.degrees[pair[0]] += change
        for one in self.recent:
            self.recent[one] *= 0.5**0.001
        self.chosen[item] += rating.weight
        self.recent[item] += rating.weight
        if not history:
            for one in self.starts:
                self.starts[one] *= 0.5**0.001
            self.starts[item] += rating.weight
        kept = [pair for pair in history if pair[0] != item]
        self.histories[user] = [(item, rating.timestamp), *kept][: self.config.history]

    def learn_habits(self, user: str, item: str, weight: float) -> None:
        history = [one for one, _ in self.histories[user]]
        length = min(len(history), 4)
        _, parts = self.parts(user, item, repeats=True)
        for key in (history[0], (self.streaks[user], length)):
            self.left[key] += 1
            self.same[key] += item == history[0]
        self.streaks[user] = min(self.streaks[user] + 1, 2) if item == history[0] else 0
        if item == history[0]:
            return
        if self.chosen[item]:
            for credit, more in ((self.credit[length], 0.0), (self.all_credit, 0.001)):
                credit[:] = [
                    0.999 * old + part / sum(parts) + more
                    for old, part in zip(credit, parts, strict=True)
                ]
        self.followed[history[0], item] += weight
        for pair in ((history[0], item), (item, history[0])):
            self.met.setdefault(pair, len(self.met))
        for place in range(1, len(history)):
            self.there[place] += 1
            self.returns[place] += history[place] == item

    def scores(self, user: str) -> dict[str, float]:
        if not self.repeats:
            return {item: self.score(user, item, self.leader) for item in self.chosen}
        newest = self.histories[user][0][0]
        stay = self.parts(user, newest, repeats=True)[0]
        of = {
            item: (1 - stay) * sum(self.parts(user, item, repeats=True)[1]) for item in self.chosen
        }
        return {**of, newest: stay}


def _weighted(count: int) -> list[Rating]:
    """Ratings in sessions, with weights, a third of them the same item or an earlier one again."""
    ratings = movielens_like(count, users=25, items=40)
    random = np.random.default_rng(3)
    chosen: dict[str, list[str]] = defaultdict(list)
    made = []
    for number, rating in enumerate(ratings):
        item, mine = rating.item, chosen[rating.user]
        if mine and random.random() < 0.4:
            item = mine[-int(random.integers(1, min(4, len(mine)) + 1))]
        mine.append(item)
        weight = float(random.choice([0.25, 1.0, 1.0, 2.0]))
        made.append(rating._replace(item=item, weight=weight, timestamp=1e9 + 100.0 * number))
    return made


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {},
        {"history": 3},
        {"gap_power": 0.0, "half_life": 0.4},
        {"shrinkage": 0.5, "half_life": 1.0},
        {"tune": "off"},
    ],
)
@pytest.mark.parametrize("neighbors", [2000, 35])
@pytest.mark.parametrize("repeats", ["never", "allow"])
def test_scores_are_those_of_the_equations(
    hyperparameters: dict[str, Any], neighbors: int, repeats: str
) -> None:
    spec = RecommenderSpec("itemknn", {"neighbors": neighbors, **hyperparameters}, repeats=repeats)
    recommender = spec.build()
    plain = _Plain(ItemKNNConfig(**hyperparameters), repeats=repeats == "allow")
    for rating in _weighted(400):
        recommender.update(rating)
        plain.learn(rating)
    for user in recommender.users.ids[:10]:
        scores = recommender.model.item_scores(recommender.users.get(user) or 0)
        expected = plain.scores(user)
        assert dict(zip(recommender.items.ids, scores, strict=True)) == pytest.approx(
            expected, rel=1e-5
        )
        if repeats == "allow":
            assert 0.5 < scores.sum() <= 1.0


def _cosines(vectors: dict[str, np.ndarray], user: str, plain: _Plain) -> dict[str, float]:
    """Of a user's profile with each item; where there are as many items as just doubled."""
    every = np.array(list(vectors.values()))
    spread = every.std(axis=0)
    units = {item: (vector - every.mean(axis=0)) / spread for item, vector in vectors.items()}
    units = {item: unit / np.linalg.norm(unit) for item, unit in units.items()}
    ages = enumerate(item for item, _ in plain.histories[user])
    profile = sum(0.5 ** (age / 10) * units[item] for age, item in ages)
    return {item: float(unit @ profile / np.linalg.norm(profile)) for item, unit in units.items()}


@pytest.mark.parametrize("repeats", ["never", "allow"])
def test_features_change_scores_as_the_equation_says(repeats: str) -> None:
    recommender = RecommenderSpec("itemknn", repeats=repeats).build()
    plain = _Plain(ItemKNNConfig(), repeats=repeats == "allow")
    random = np.random.default_rng(4)
    vectors: dict[str, np.ndarray] = {}
    for rating in _weighted(400):
        number = int(rating.item)
        item = str(number % 32)
        vectors.setdefault(item, random.normal(size=4))
        rated = rating._replace(item=item, features=Features(item=tuple(vectors[item])))
        recommender.update(rated)
        plain.learn(rated)
    assert len(vectors) == 32
    for user in recommender.users.ids[:10]:
        scores = recommender.model.item_scores(recommender.users.get(user) or 0)
        cosines = _cosines(vectors, user, plain)
        for item, score in zip(recommender.items.ids, scores, strict=True):
            change = 0.7 * cosines[item] * 20 / (20 + plain.chosen[item])
            expected = plain.scores(user)[item]
            expected = expected * (1 + change) if change > 0 else expected / (1 - change)
            assert score == pytest.approx(expected, rel=1e-5)


def test_features_that_come_amid_a_minibatch_are_as_one_by_one() -> None:
    ratings = [
        # At first none has any, at last not all.
        rating if number < 150 or (number % 5 == 0 and number > 300) else with_features
        for number, (rating, with_features) in enumerate(
            zip(movielens_like(500), featured(500), strict=True)
        )
    ]
    together, plain = (RecommenderSpec("itemknn", repeats="never").build() for _ in range(2))
    made = learn(together, ratings, 10).recommendations
    for rating, one in zip(ratings, made, strict=True):
        plain.update(rating)
        assert one.items == plain.recommend(rating.user, 10)
    assert together.minibatch_size(10) == 0
    assert same_arrays(together.state_dict(), plain.state_dict())


def test_a_new_item_comes_by_its_features() -> None:
    random = np.random.default_rng(5)
    clicks = []
    for number in range(3000):
        side = int(random.integers(2))
        item = f"{side}-{number // 30}" if random.random() < 0.1 else f"{side}-{random.integers(9)}"
        of_item = Features(item=tuple(np.eye(2)[side].tolist()))
        clicks.append(Rating(f"{side}-{number % 40}", item, 1.0, 0.0, features=of_item))
    clicks.append(Rating("first", "0-new", 1.0, 0.0, features=Features(item=(1.0, 0.0))))
    with_features, without = (_learned(clicks, feature_weight=weight) for weight in (0.7, 0.0))
    for user, better in (("0-7", True), ("1-7", False)):
        place, before = (
            [item for item, _ in one.recommend(user, 10_000)].index("0-new")
            for one in (with_features, without)
        )
        assert (place < before) == better
    assert not any("features" in name for name in without.state_dict())


def test_a_long_pause_ends_a_session() -> None:
    clicks = [Rating("u", item, 1.0, time) for item, time in (("a", 0.0), ("b", 10.0))]
    clicks += [Rating("u", "c", 1.0, 2000.0), Rating("u", "d", 1.0, 2010.0)]
    for gap, others in ((0.0, {"a", "b", "c"}), (1800.0, {"c"})):
        recommender = RecommenderSpec("itemknn", {"session_gap": gap}, repeats="allow").build()
        for click in clicks:
            recommender.update(click)
        rows = recommender.state_dict()
        ends = rows["model.counts.ends"]
        row = rows["model.counts.ids"][ends[2] : ends[3]].tolist()
        assert {recommender.items.ids[item] for item in row} == others


def test_a_newcomer_gets_what_is_popular_lately() -> None:
    ratings = [Rating(f"u{number}", "old", 1.0, 0.0) for number in range(60)]
    ratings += [Rating(f"w{number}", "filler", 1.0, 0.0) for number in range(3000)]
    ratings += [Rating(f"v{number}", "new", 1.0, 0.0) for number in range(50)]
    recommender = _learned(ratings)
    assert [item for item, _ in recommender.recommend("nobody", 3)] == ["filler", "new", "old"]


def test_a_newcomer_gets_what_histories_begin_with() -> None:
    pairs = [f"{user}axyz"[:5] for user in "12345"] + ["6bxyz", "7bxzy"]
    recommender = _learned(_clicks(*pairs))
    # All but b are chosen more often; who begins with b goes on with them.
    assert [item for item, _ in recommender.recommend("nobody", 2)] == ["a", "b"]


def test_what_histories_begin_with_fades() -> None:
    random = np.random.default_rng(1)
    ratings = [Rating(f"u{number}", "old", 1.0, 0.0) for number in range(3000)]
    ratings += [Rating(f"v{number}", str(random.integers(400)), 1.0, 0.0) for number in range(9000)]
    ratings += [Rating(f"w{number}", "new", 1.0, 0.0) for number in range(300)]
    recommender = RecommenderSpec("itemknn", repeats="never").build()
    recommender.learn_all(ratings)
    assert [item for item, _ in recommender.recommend("nobody", 1)] == ["new"]
    one_by_one = _learned(ratings)
    saved, alone = recommender.state_dict(), one_by_one.state_dict()
    assert all(np.array_equal(saved[name], alone[name]) for name in saved if "starts" in name)
    # In units of the last whole half-life, 300 histories ago.
    expected = 1000 / np.log(2) * 2**0.3
    assert saved["model.starts"].sum() == pytest.approx(expected, rel=0.01)


def test_what_is_chosen_soon_after_goes_together_more() -> None:
    recommender = _learned(_clicks("1abcd", "2abcd", "3a"))
    assert [item for item, _ in recommender.recommend("3", 4)] == ["b", "c", "d", "a"]


def test_the_last_items_count_most() -> None:
    pairs = ["1ax", "2by", "3ax", "4by"]
    for history, first in (("5ab", "y"), ("5ba", "x")):
        recommender = _learned(_clicks(*pairs, history))
        listed = [item for item, _ in recommender.recommend("5", 9) if item in "xy"]
        assert listed[0] == first


def test_an_item_that_is_chosen_again_becomes_the_newest() -> None:
    pairs = ["1ax", "2by", "3ax", "4by"]
    recommender = _learned(_clicks(*pairs, "5aba"))
    listed = [item for item, _ in recommender.recommend("5", 9) if item in "xy"]
    assert listed == ["x", "y"]


def test_what_has_no_similarity_comes_by_popularity() -> None:
    recommender = _learned(_clicks("1x", "2y", "3y", "4z", "5z", "6z", "7w"))
    assert [item for item, _ in recommender.recommend("7", 9) if item != "w"] == ["z", "y", "x"]


def test_beyond_the_bound_rows_keep_their_heaviest_entries() -> None:
    columns = ItemColumns()
    columns.load(np.ones(20, dtype=np.bool))
    counts = SparseCounts(3, columns, NO_COUNTS)
    counts.make_room()
    for item in range(1, 20):
        if counts.entries.sizes[0] == counts.entries.room[0]:
            counts.cut_or_widen(counts.entries, 0)
        counts.entries.append(0, item, 9.0 if item < 3 else 1.0 + item / 100)
    rows = counts.rows().listed
    kept = rows.ids[: rows.ends[0]].tolist()
    assert len(kept) <= 6
    assert kept[:2] == [1, 2]
    assert kept[-1] == 19


def test_memory_is_bounded_by_neighbors() -> None:
    recommender = _learned(movielens_like(5000, users=50, items=1000), neighbors=15)
    ends = recommender.state_dict()["model.counts.ends"]
    assert np.diff(ends, prepend=0).max() <= 30


def test_a_square_matrix_and_rows_that_have_room_hold_the_same() -> None:
    ratings = movielens_like(2000)
    dense = _learned(ratings).state_dict()
    sparse = _learned(ratings, neighbors=100).state_dict()
    whole = np.zeros((2, 120, 120), dtype=np.float32)
    for which, arrays in enumerate((dense, sparse)):
        sizes = np.diff(arrays["model.counts.ends"], prepend=0)
        row = np.repeat(np.arange(len(sizes)), sizes)
        whole[which, row, arrays["model.counts.ids"]] = arrays["model.counts.weights"]
    assert whole[0].any()
    assert np.array_equal(whole[0], whole[1])


@pytest.mark.parametrize("neighbors", [2000, 100, 15])
def test_forgetting_is_a_selection(neighbors: int) -> None:
    recommender = _learned(movielens_like(2000), neighbors=neighbors)
    model = recommender.model
    assert isinstance(model, ItemKNN)
    everything = model.state_dict()
    model.keep_users(np.arange(model.n_user))
    model.keep_items(np.arange(model.n_item))
    kept_all = model.state_dict()
    # Sums are added up anew, in another order.
    assert kept_all["totals"] == pytest.approx(everything["totals"])
    kept_all["totals"] = everything["totals"]
    assert same_arrays(everything, kept_all)
    items, users = np.arange(0, model.n_item, 2), np.arange(1, model.n_user, 3)
    model.keep_items(items)
    model.keep_users(users)
    assert model.n_item == len(items)
    assert model.n_user == len(users)
    assert np.array_equal(model.state_dict()["chosen"], everything["chosen"][items])
    ends = everything["histories.ends"]
    first = everything["histories.ids"][ends[users[0] - 1] : ends[users[0]]]
    kept = model.state_dict()["histories.ids"][: model.state_dict()["histories.ends"][0]]
    assert (kept * 2).tolist() == [item for item in first.tolist() if item % 2 == 0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"history": 0}, "history is 0"),
        ({"half_life": 0.0}, "half_life is 0.0"),
        ({"gap_power": -1.0}, "gap_power is -1.0"),
        ({"shrinkage": float("nan")}, "shrinkage is nan"),
        ({"neighbors": 0}, "neighbors is 0"),
        ({"feature_weight": -1.0}, "feature_weight is -1.0"),
    ],
)
def test_hyperparameters_are_checked(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("itemknn", values, repeats="never")
