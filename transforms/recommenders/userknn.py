"""Incremental nearest neighbours among users: FluRS's UserKNN without its loops."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders import checks
from transforms.recommenders.forgetting import renumbered
from transforms.recommenders.growing import GrowingRows, saved
from transforms.recommenders.model import Arrays, Model

_NOISE: Final = 1e-9
"""A sum of squares below this is zero but for rounding."""


@dataclass(frozen=True)
class UserKNNConfig:
    """Hyperparameters of `UserKNN`, under FluRS's names; what each is stands in its metadata."""

    k: int = field(default=5, metadata={"help": "number of nearest neighbours"})

    def __post_init__(self) -> None:
        """Raises ValueError for a value that can not work."""
        checks.at_least("k", self.k, 1)


class _Ratings:
    """Ratings by index, of a user by item or of an item by user, in the order of arrival."""

    def __init__(self) -> None:
        self.ids = array("i")
        self.values = array("d")

    def put(self, index: int, value: float) -> float:
        """Sets a rating; returns what it was before, 0 if there was none."""
        try:
            place = self.ids.index(index)
        except ValueError:
            self.ids.append(index)
            self.values.append(value)
            return 0.0
        before = self.values[place]
        self.values[place] = value
        return before

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Returns views, which have to be gone before the next `put`."""
        return np.frombuffer(self.ids, np.int32), np.frombuffer(self.values)

    def load(self, ids: NDArray[np.int32], values: NDArray[np.float64]) -> None:
        self.ids, self.values = array("i", ids.tobytes()), array("d", values.tobytes())

    def keep(self, kept: NDArray[np.intp], n: int) -> None:
        ids, values = self.arrays()
        numbers = renumbered(ids, kept, n)
        there = numbers >= 0
        self.load(numbers[there], values[there])


class _Row:
    """What a user's similarities are made from: B, C and D for the users of `ids`, ascending."""

    def __init__(self, ids: NDArray[np.int32], sums: NDArray[np.float64]) -> None:
        self.ids = ids
        self.sums = sums

    def widen(self, ids: NDArray[np.int32]) -> None:
        """Makes room for further users; `ids` has those that there are, too."""
        if len(ids) > len(self.ids):
            sums = np.zeros((3, len(ids)))
            sums[:, np.searchsorted(ids, self.ids)] = self.sums
            self.ids, self.sums = ids, sums

    def similarities(self) -> NDArray[np.float64]:
        b, c, d = self.sums
        s = np.zeros(len(b))
        defined = (c > _NOISE) & (d > _NOISE)
        s[defined] = b[defined] / (np.sqrt(c[defined]) * np.sqrt(d[defined]))
        return s


def _new_row() -> _Row:
    return _Row(np.zeros(0, dtype=np.int32), np.zeros((3, 0)))


class UserKNN(Model):
    r"""Incremental collaborative filtering by the users that are most alike.

    When user a rates item i with r_ai, their mean m_a becomes m_a + d, and for every other user
    y, with C_ay the items that both have rated, i among them if y has:

        S_ay = B_ay / (sqrt(C_ay) sqrt(D_ay))
        B_ay += (r_ai - m_a)(r_yi - m_y) [y has i]  -  d sum over both's items h of (r_yh - m_y)
        C_ay += (r_ai - m_a)^2           [y has i]  +  sum over these of d^2 - 2 d (r_ah - m'_a)
        D_ay += (r_yi - m_y)^2           [y has i]

    with m'_a the mean from before. If a had rated i before, with r', the first terms are
    (r_ai - r')(r_yi - m_y), (r_ai - r')^2 + 2 (r_ai - r')(r_ai - m_a), and 0. The score of an
    item, N being the k users with the highest S_ay, a and those with 0 among them:

        | m_a + sum over N of S_ay (r_yi - m_y) / sum over N of S_ay |,   r_yi = 0 if y has not i

    All of it is as FluRS has it, which departs from the paper: only a's row is brought up to
    date, the new item counts as shared while the mean moves, and an item that a neighbour has
    not rated counts as rated 0. Where C or D is negative, zero, or zero but for rounding, FluRS
    gets NaN, which makes the nearest neighbour of all, or any number; here such a similarity is
    0, that is unknown. The mean of a user who rates their only item anew is the new rating,
    where FluRS divides by zero. Of equal neighbours the one that came first counts. FluRS means
    "not rated" by 0, so a rating of 0 (it takes `--min_rating 0` to get here) is not learned.

    FluRS holds four matrices of users x users and goes through all users and items in Python
    for each rating. Here only what two users share takes place: 28 bytes for each pair that
    shares an item and each direction, which is still quadratic in users where items are
    popular. Learning takes as many steps as there are ratings of the user's items, in numpy.

    References:
        M. Papagelis, I. Rousidis, D. Plexousakis, E. Theoharopoulos. Incremental Collaborative
        Filtering for Highly-Scalable Recommendation Algorithms. ISMIS 2005. FluRS:
        `flurs.recommender.UserKNNRecommender`.
    """

    def __init__(self, config: UserKNNConfig, seed: int) -> None:
        self.config = config
        self.n_user = 0
        self.n_item = 0
        self._of_user: list[_Ratings] = []
        self._of_item: list[_Ratings] = []
        self._rows: list[_Row] = []
        self._means = GrowingRows()
        self._counts = GrowingRows()

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._of_user.append(_Ratings())
        self._rows.append(_new_row())
        self._means.add()
        self._counts.add()
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._of_item.append(_Ratings())
        self.n_item += 1

    def learn(self, user: int, item: int, rating: Rating, known: Sequence[int]) -> None:
        """Learns one rating, by its value."""
        value = rating.rating
        if value == 0.0:
            return
        before = self._of_user[user].put(item, value)
        self._of_item[item].put(user, value)
        mean_before = float(self._means.rows[user])
        mean = self._move_mean(user, value, before, mean_before)
        self._move_sums(user, mean_before, mean)
        self._add_pairs(user, item, before, value, mean)

    def _move_mean(self, user: int, value: float, before: float, mean: float) -> float:
        count = self._counts.rows[user]
        if before == 0.0:
            self._counts.rows[user] = count = count + 1
            mean = value / count + (count - 1) / count * mean
        elif count > 1:
            mean = (value - before) / (count - 1) + mean
        else:
            mean = value
        self._means.rows[user] = mean
        return mean

    def _move_sums(self, user: int, mean_before: float, mean: float) -> None:
        """Makes up for the mean's move in what the user shares with each other user."""
        items, own = self._of_user[user].arrays()
        raters = [self._of_item[one].arrays() for one in items.tolist()]
        users = np.concatenate([ids for ids, _ in raters])
        values = np.concatenate([values for _, values in raters])
        repeated = np.repeat(own, [len(ids) for ids, _ in raters])
        shared = np.bincount(users, minlength=self.n_user)
        shared[user] = 0
        row = self._rows[user]
        there = shared > 0
        there[row.ids] = True
        row.widen(np.flatnonzero(there).astype(np.int32))
        ids, moved = row.ids, mean - mean_before
        number = shared[ids]
        theirs = np.bincount(users, values, self.n_user)[ids] - number * self._means.rows[ids]
        ours = np.bincount(users, repeated, self.n_user)[ids] - number * mean_before
        row.sums[0] -= moved * theirs
        row.sums[1] += number * moved**2 - 2.0 * moved * ours

    def _add_pairs(self, user: int, item: int, before: float, value: float, mean: float) -> None:
        """Adds the rating itself to what the user shares with those who have the item."""
        ids, values = self._of_item[item].arrays()
        others = ids != user
        ids, values = ids[others], values[others]
        row = self._rows[user]
        places = np.searchsorted(row.ids, ids)
        own, theirs = value - mean, values - self._means.rows[ids]
        if before == 0.0:
            row.sums[0, places] += own * theirs
            row.sums[1, places] += own**2
            row.sums[2, places] += theirs**2
        else:
            change = value - before
            row.sums[0, places] += change * theirs
            row.sums[1, places] += change**2 + 2.0 * change * own

    def neighbours(self, user: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Returns the k users most alike, best first, and their similarities.

        Those with a similarity of 0 take places but are not named, as they have no say.
        """
        row = self._rows[user]
        s = row.similarities()
        order = np.argsort(-s, kind="stable")
        positive = int(np.count_nonzero(s > 0))
        negative = int(np.count_nonzero(s < 0))
        zero = self.n_user - positive - negative
        best = order[: min(positive, self.config.k)]
        left = self.config.k - positive - zero
        if left > 0:
            worst = order[len(order) - negative :][:left]
            best = np.concatenate([best, worst])
        return row.ids[best], s[best]

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns how each item would be rated, without its sign."""
        users, s = self.neighbours(user)
        mean = float(self._means.rows[user])
        total = float(s.sum())
        if total == 0.0:
            return np.full(self.n_item, abs(mean))
        weights = s / total
        scores = np.full(self.n_item, mean - float(weights @ self._means.rows[users]))
        for neighbour, weight in zip(users.tolist(), weights.tolist(), strict=True):
            items, values = self._of_user[neighbour].arrays()
            scores[items] += weight * values
        return np.asarray(np.abs(scores, out=scores))

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Forgets all users but these; what they did to the others' similarities stays."""
        n = self.n_user
        self._of_user = [self._of_user[user] for user in kept.tolist()]
        for ratings in self._of_item:
            ratings.keep(kept, n)
        self._rows = [self._rows[user] for user in kept.tolist()]
        for row in self._rows:
            numbers = renumbered(row.ids, kept, n)
            there = numbers >= 0
            row.ids, row.sums = numbers[there], row.sums[:, there]
        self._means.keep(kept)
        self._counts.keep(kept)
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Forgets all items but these; what they did to means and similarities stays."""
        n = self.n_item
        self._of_item = [self._of_item[item] for item in kept.tolist()]
        for ratings in self._of_user:
            ratings.keep(kept, n)
        self.n_item = len(kept)

    def state_dict(self) -> Arrays:
        """Returns ratings and sums, those of each user end to end, and means and counts."""
        ratings = [one.arrays() for one in self._of_user]
        return {
            "means": self._means.used(),
            "counts": self._counts.used(),
            "items": np.array([self.n_item]),
            "rated.ends": np.cumsum([len(ids) for ids, _ in ratings], dtype=np.int64),
            "rated.items": np.concatenate([np.zeros(0, np.int32), *(ids for ids, _ in ratings)]),
            "rated.values": np.concatenate([np.zeros(0), *(values for _, values in ratings)]),
            "shared.ends": np.cumsum([len(row.ids) for row in self._rows], dtype=np.int64),
            "shared.users": np.concatenate(
                [np.zeros(0, np.int32), *(row.ids for row in self._rows)]
            ),
            "shared.sums": np.concatenate(
                [np.zeros((3, 0)), *(row.sums for row in self._rows)], axis=1
            ),
        }

    def load_state_dict(self, arrays: Arrays) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: It is of another model.
        """
        self._means.load("means", arrays)
        self._counts.load("counts", arrays)
        self.n_user = self._means.n
        self.n_item = int(saved("items", arrays, (1,))[0])
        self._of_user = [_Ratings() for _ in range(self.n_user)]
        self._of_item = [_Ratings() for _ in range(self.n_item)]
        items = saved("rated.items", arrays, (None,)).astype(np.int32)
        values = saved("rated.values", arrays, (None,)).astype(np.float64)
        for user, part in enumerate(_parts("rated.ends", arrays)):
            self._of_user[user].load(items[part], values[part])
            for item, value in zip(items[part].tolist(), values[part].tolist(), strict=True):
                self._of_item[item].ids.append(user)
                self._of_item[item].values.append(value)
        users = saved("shared.users", arrays, (None,)).astype(np.int32)
        sums = saved("shared.sums", arrays, (3, None)).astype(np.float64)
        parts = _parts("shared.ends", arrays)
        self._rows = [_Row(users[part].copy(), sums[:, part].copy()) for part in parts]


def _parts(name: str, arrays: Arrays) -> list[slice]:
    ends = saved(name, arrays, (None,)).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
