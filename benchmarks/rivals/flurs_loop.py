"""What every rival does with a rating: FluRS's MF, told of all users and items beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from flurs.data.entity import Event, Item, User
from flurs.recommender import MFRecommender

USERS = 943
ITEMS = 1682
FACTORS = 40
MIN_RATING = 3
TOP_N = 10


class FlursLoop:
    """FluRS's recommender, and which items each user does not have yet.

    Args:
        lists: Whether each learned rating is answered by its user's list.
    """

    def __init__(self, lists: bool = True) -> None:
        self._lists = lists
        self._model: Any = MFRecommender(k=FACTORS)
        self._model.initialize()
        for index in range(USERS):
            self._model.register(User(index))
        for index in range(ITEMS):
            self._model.register(Item(index))
        self._free = np.ones((USERS, ITEMS), dtype=bool)

    def learn(self, user: int, item: int) -> None:
        """Learns that a user likes an item; both are indices."""
        self._model.update(Event(User(user), Item(item)))
        self._free[user, item] = False

    def recommend(self, user: int) -> tuple[Any, Any]:
        """Returns the items that the user does not have, best first, and FluRS's scores."""
        found: tuple[Any, Any] = self._model.recommend(User(user), np.flatnonzero(self._free[user]))
        return found

    def handle(self, value: bytes, offset: int | None) -> tuple[bytes, bytes] | None:
        """Learns a rating; returns the key and value of the answer, if there is to be one.

        That is the user's list, or the record itself if it cannot be read.
        """
        try:
            rating = orjson.loads(value)
        except orjson.JSONDecodeError:
            return b"", value
        if rating["rating"] < MIN_RATING:
            return None
        user, item = int(rating["user"]) - 1, int(rating["item"]) - 1
        self.learn(user, item)
        if not self._lists:
            return None
        best, scores = self.recommend(user)
        items = [
            {"item": str(index + 1), "score": 1 - score}
            for index, score in zip(best[:TOP_N].tolist(), scores[:TOP_N].tolist(), strict=True)
        ]
        answer = {
            "user": str(user + 1),
            "items": items,
            "timestamp": rating["timestamp"],
            "origin": f"0-{offset}",
        }
        return str(user + 1).encode(), orjson.dumps(answer)
