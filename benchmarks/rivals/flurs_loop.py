"""What every rival does with a rating: FluRS's MF, told of all users and items beforehand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from flurs.data.entity import Event, Item, User
from flurs.recommender import MFRecommender

USERS = 943
ITEMS = 1682
TOP_N = 10


class FlursLoop:
    """FluRS's recommender, and which items each user does not have yet."""

    def __init__(self) -> None:
        self._model: Any = MFRecommender(k=40)
        self._model.initialize()
        for index in range(USERS):
            self._model.register(User(index))
        for index in range(ITEMS):
            self._model.register(Item(index))
        self._free = np.ones((USERS, ITEMS), dtype=bool)

    def handle(self, value: bytes, offset: int) -> tuple[bytes, bytes] | None:
        """Learns a rating; returns the key and value of its list, None if it is rated low."""
        rating = json.loads(value)
        if rating["rating"] < 3:
            return None
        user, item = int(rating["user"]) - 1, int(rating["item"]) - 1
        self._model.update(Event(User(user), Item(item)))
        self._free[user, item] = False
        best, scores = self._model.recommend(User(user), np.flatnonzero(self._free[user]))
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
        return str(user + 1).encode(), json.dumps(answer).encode()
