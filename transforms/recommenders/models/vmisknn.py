"""Nearest neighbors among sessions: VMIS-kNN, learned click by click."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.model import Model
from transforms.recommenders.numerics import session_kernels as kernels
from transforms.recommenders.numerics.ragged_kernels import remove
from transforms.recommenders.validation import at_least, at_most

_PRIOR: Final = 1e-9
"""Weight of the share of sessions that have an item; it orders what no neighbor has."""


@dataclass(frozen=True)
class VMISKNNConfig:
    """Hyperparameters of `VMISKNN`, after the paper; what each is stands in its metadata."""

    m: int = field(
        default=500, metadata={"help": "most recent sessions among which neighbors are looked for"}
    )
    k: int = field(default=100, metadata={"help": "number of neighbor sessions"})
    session_length: int = field(
        default=50, metadata={"help": "maximum length of a session, in different items"}
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        for name in ("m", "k", "session_length"):
            at_least(name, getattr(self, name), 1)
            at_most(name, getattr(self, name), 10_000)


class VMISKNN(Model):
    r"""Vector-multiplication-indexed session kNN, with a user for a session.

    A session s is its last `session_length` different items in the order in which each was
    clicked last, pos(i) from 1 for the oldest to |s| for the newest. The sample is the `m`
    sessions whose last click is the most recent of all that share an item with s; s itself is
    none of them. The neighbors are the `k` of the sample that are most similar to s, the more
    recent of equals:

        r(n) = sum over the items i of both of pos(i) / |s|
        score(j) = sum over the neighbors n with j of lambda(n) r(n) log(|H| / h(j))

    with lambda(n) = max(0, 1 - 0.1 x), where the newest item of both is the x-th of s from its
    end; |H| sessions are known, and h(j) of them have j. The paper indexes past sessions once a
    day; here each click is learned at once, so a neighbor may still be going on. An item of s
    itself is scored like any other. Items that no neighbor has come in the order of h.

    For each item the m + 1 latest sessions are kept, so a sample is exact unless sessions are
    evicted or outgrow `session_length`: the older sessions of an item are not brought back then.

    Cost: a click moves the session in the index of each of its items; a list merges as many
    rows of the index, m steps, and adds up k sessions. Memory: 4 bytes for each item of a
    session and for each session of an item, and up to four times that as rows grow. Sessions
    are forgotten only by `--max_users`.

    References:
        B. Kersbergen, O. Sprangers, S. Schelter. Serenade: Low-Latency Session-Based
        Recommendation in e-Commerce at Scale. SIGMOD 2022. VS-kNN: M. Ludewig, D. Jannach.
        Evaluation of Session-based Recommendation Algorithms. UMUAI 28, 2018.
    """

    def __init__(self, config: VMISKNNConfig, seed: int) -> None:
        del seed  # nothing is drawn
        self.config = config
        self.n_user = self.n_item = 0
        # Items of each session, the newest last; sessions of each item, the latest last.
        self._sessions = RaggedRows()
        self._index = RaggedRows()
        # The number of each session's last click.
        self._latest = GrowableRows(dtype=np.int64)
        self._clicks = 0
        # Sessions that have each item, and that have any.
        self._counts = GrowableRows(dtype=np.int64)
        self._log_counts = GrowableRows()
        self._total = 0
        self._sample = np.zeros(config.m, dtype=np.int32)
        self._similarities = np.zeros(config.m)
        self._matches = np.zeros(config.m, dtype=np.int32)

    def add_user(self) -> None:
        """Adds the session with index `n_user`."""
        self._sessions.add_row()
        self._latest.add()
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._index.add_row()
        self._counts.add()
        self._log_counts.add()
        self.n_item += 1

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one click."""
        sessions, index = self._sessions, self._index
        size, longest = int(sessions.sizes[user]), self.config.session_length
        if size == sessions.room[user] and size < longest:
            sessions.widen(user, longest)
        self._total += not size
        is_new, dropped = kernels.click(
            sessions.ids, sessions.starts, sessions.sizes, longest, user, item
        )
        if is_new:
            self._count(item, 1)
        if dropped >= 0:
            self._count(dropped, -1)
            remove(index.ids, index.starts, index.sizes, dropped, user)
        self._latest.rows[user] = self._clicks
        self._clicks += 1
        self._touch(user)

    def _count(self, item: int, change: int) -> None:
        count = int(self._counts.rows[item]) + change
        self._counts.rows[item] = count
        self._log_counts.rows[item] = math.log(count) if count else 0.0

    def _touch(self, user: int) -> None:
        index, items, most = self._index, self._sessions.row(user), self.config.m + 1
        while True:
            full = kernels.touch(
                index.ids, index.starts, index.sizes, index.room, most, items, user
            )
            if full < 0:
                return
            index.widen(full, most)

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns what the session's neighbors say of each item, and a trace of popularity."""
        scores = self._counts.used() * (_PRIOR / max(1, self._total))
        sessions, index, sample = self._sessions, self._index, self._sample
        count = kernels.sample(
            index.ids,
            index.starts,
            index.sizes,
            self._latest.rows,
            sessions.row(user),
            user,
            sample,
            self._similarities,
            self._matches,
        )
        if count:
            kernels.add_neighbors(
                sessions.ids,
                sessions.starts,
                sessions.sizes,
                sample[:count],
                self._similarities[:count],
                self._matches[:count],
                self.config.k,
                self._log_counts.rows,
                math.log(self._total),
                scores,
            )
        return np.asarray(scores)

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all sessions but these."""
        self._index.renumber(kept, self.n_user)
        self._sessions.keep(kept)
        self._latest.keep(kept)
        self.n_user = len(kept)
        self._count_all()

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these, from sessions, too."""
        self._sessions.renumber(kept, self.n_item)
        self._index.keep(kept)
        self.n_item = len(kept)
        self._count_all()

    def _count_all(self) -> None:
        ends, ids, _ = self._sessions.packed()
        counts = np.bincount(ids, minlength=self.n_item)
        self._counts.load(counts)
        # As `learn` has it: numpy's logarithm may differ in the last bit.
        self._log_counts.load(np.array([math.log(count or 1) for count in counts.tolist()]))
        self._total = int(np.count_nonzero(np.diff(ends, prepend=0)))

    def state_dict(self) -> Arrays:
        """Returns sessions and index as rows end to end, and the numbers of clicks."""
        session_ends, session_ids, _ = self._sessions.packed()
        index_ends, index_ids, _ = self._index.packed()
        return {
            "sessions.ends": session_ends,
            "sessions.ids": session_ids,
            "index.ends": index_ends,
            "index.ids": index_ids,
            "latest": self._latest.used().copy(),
            "clicks": np.array([self._clicks]),
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged, or a row is longer than the
                hyperparameters allow.
        """
        session_ends, session_ids = arrays.rows("sessions", n_user, n_item)
        index_ends, index_ids = arrays.rows("index", n_item, n_user)
        latest = arrays.counts("latest", (n_user,))
        clicks = arrays.count("clicks")
        for name, ends, most in (
            ("sessions.ends", session_ends, self.config.session_length),
            ("index.ends", index_ends, self.config.m + 1),
        ):
            fits = np.diff(ends, prepend=0).max(initial=0) <= most
            arrays.require(fits, name, f"has a row of more than {most} entries")
        before = latest.max(initial=0) < max(1, clicks)
        arrays.require(before, "latest", "has a click after the last one")
        row = np.repeat(np.arange(n_item), np.diff(index_ends, prepend=0))
        ascends = (np.diff(latest[index_ids]) > 0) | (np.diff(row) > 0)
        arrays.require(ascends.all(), "index.ids", "is not in the order of the last clicks")
        self._sessions.load(session_ends, session_ids)
        self._index.load(index_ends, index_ids)
        self._latest.load(latest)
        self._clicks = clicks
        self.n_user, self.n_item = n_user, n_item
        self._count_all()
