"""Ratings with features, for the tests of the models that use them."""

from __future__ import annotations

import numpy as np

from tests.support import movielens_like
from transforms.formats.records import Features, Rating

USER, ITEM, CONTEXT = 5, 7, 3
"""How long the vectors are."""


def featured(count: int, users: int = 60, items: int = 120, seed: int = 1) -> list[Rating]:
    """As `movielens_like`: users have a number and a group, items classes, contexts a day."""
    random = np.random.default_rng(seed + 1000)
    of_user = random.random((users + 1, USER)) * random.integers(2, size=(users + 1, USER))
    of_item = random.integers(2, size=(items + 1, ITEM)).astype(float)
    days = np.eye(CONTEXT)[random.integers(CONTEXT, size=count)]
    return [
        rating._replace(
            features=Features(
                tuple(of_user[int(rating.user)].tolist()),
                tuple(of_item[int(rating.item)].tolist()),
                tuple(day),
            )
        )
        for rating, day in zip(
            movielens_like(count, users, items, seed), days.tolist(), strict=True
        )
    ]
