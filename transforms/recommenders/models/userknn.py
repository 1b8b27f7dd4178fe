"""Incremental nearest neighbors among users: FluRS's UserKNN without its loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders import validation
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.eviction import renumbered
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.model import Model
from transforms.recommenders.numerics.ragged_kernels import find

_NOISE: Final = 1e-9
"""A sum of squares below this is zero but for rounding."""

_LARGEST_RATING: Final = 1e6
"""A rating beyond counts as this, so that sums of products stay finite."""


@dataclass(frozen=True)
class UserKNNConfig:
    """Hyperparameters of `UserKNN`, under FluRS's names; what each is stands in its metadata."""

    k: int = field(default=5, metadata={"help": "number of nearest neighbors"})

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        validation.at_least("k", self.k, 1)
        validation.at_most("k", self.k, 10_000)


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
    date, the new item counts as shared while the mean moves, and an item that a neighbor has
    not rated counts as rated 0. Where C or D is negative, zero, or zero but for rounding, FluRS
    gets NaN, which makes the nearest neighbor of all, or any number; here such a similarity is
    0, that is unknown. The mean of a user who rates their only item anew is the new rating,
    where FluRS divides by zero. Of equal neighbors the one that came first counts. FluRS means
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
        # Ratings of a user by item and of an item by user, in the order of arrival.
        self._of_user = RaggedRows(np.float64)
        self._of_item = RaggedRows(np.float64)
        self._rows: list[_Row] = []
        self._means = GrowableRows()
        self._counts = GrowableRows()

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._of_user.add_row()
        self._rows.append(_new_row())
        self._means.add()
        self._counts.add()
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._of_item.add_row()
        self.n_item += 1

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one rating, by its value."""
        value = min(max(rating.rating, -_LARGEST_RATING), _LARGEST_RATING)
        if value == 0.0:
            return
        before = _put(self._of_user, user, item, value)
        _put(self._of_item, item, user, value)
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
        items, own = self._of_user.row(user), self._of_user.row_values(user)
        users = np.concatenate([self._of_item.row(one) for one in items.tolist()])
        values = np.concatenate([self._of_item.row_values(one) for one in items.tolist()])
        repeated = np.repeat(own, self._of_item.sizes[items])
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
        ids, values = self._of_item.row(item), self._of_item.row_values(item)
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

    def neighbors(self, user: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
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
        users, s = self.neighbors(user)
        mean = float(self._means.rows[user])
        total = float(s.sum())
        if total == 0.0:
            return np.full(self.n_item, abs(mean))
        weights = s / total
        scores = np.full(self.n_item, mean - float(weights @ self._means.rows[users]))
        for neighbor, weight in zip(users.tolist(), weights.tolist(), strict=True):
            rated = self._of_user.row(neighbor)
            scores[rated] += weight * self._of_user.row_values(neighbor)
        return np.asarray(np.abs(scores, out=scores))

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these; what they did to the others' similarities stays."""
        n = self.n_user
        self._of_user.keep(kept)
        self._of_item.renumber(kept, n)
        self._rows = [self._rows[user] for user in kept.tolist()]
        for row in self._rows:
            numbers = renumbered(row.ids, kept, n)
            there = numbers >= 0
            row.ids, row.sums = numbers[there], row.sums[:, there]
        self._means.keep(kept)
        self._counts.keep(kept)
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these; what they did to means and similarities stays."""
        self._of_item.keep(kept)
        self._of_user.renumber(kept, self.n_item)
        self.n_item = len(kept)

    def state_dict(self) -> Arrays:
        """Returns ratings and sums, those of each user end to end, and means and counts."""
        rated_ends, rated_ids, rated_values = self._of_user.packed()
        return {
            "means": self._means.used().copy(),
            "counts": self._counts.used().copy(),
            "rated.ends": rated_ends,
            "rated.ids": rated_ids,
            "rated.values": rated_values,
            "shared.ends": np.cumsum([len(row.ids) for row in self._rows], dtype=np.int64),
            "shared.ids": np.concatenate([np.zeros(0, np.int32), *(row.ids for row in self._rows)]),
            "shared.sums": np.concatenate(
                [np.zeros((3, 0)), *(row.sums for row in self._rows)], axis=1
            ),
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged, or of another model.
        """
        self._means.load(arrays.finite("means", (n_user,)))
        self._counts.load(arrays.counts("counts", (n_user,), np.float64))
        rated_ends, items = arrays.rows("rated", n_user, n_item)
        values = arrays.finite("rated.values", (len(items),))
        self._of_user.load(rated_ends, items, values)
        users = np.repeat(np.arange(n_user, dtype=np.int32), np.diff(rated_ends, prepend=0))
        # Users ascend among the raters of an item, as after `keep_users`.
        order = np.argsort(items, kind="stable")
        rater_ends = np.cumsum(np.bincount(items, minlength=n_item), dtype=np.int64)
        self._of_item.load(rater_ends, users[order], values[order])
        shared_ends, shared = arrays.rows("shared", n_user, n_user, ascending=True)
        sums = arrays.finite("shared.sums", (3, len(shared)))
        parts = [slice(start, end) for start, end in itertools.pairwise([0, *shared_ends.tolist()])]
        self._rows = [_Row(shared[part].copy(), sums[:, part].copy()) for part in parts]
        self.n_user, self.n_item = n_user, n_item


def _put(ratings: RaggedRows, row: int, index: int, value: float) -> float:
    """Sets a rating; returns what it was before, 0 if there was none."""
    place = find(ratings.ids, ratings.starts[row], ratings.sizes[row], index)
    if place < 0:
        ratings.append(row, index, value)
        return 0.0
    before = float(ratings.values[place])
    ratings.values[place] = value
    return before
