"""A synthetic sample of ratings: nobody's, made up by this program.

`python -m beam_pipeline.sample` prints what `data/sample_ratings.csv` holds. Each of 150 users
has a favourite genre out of six and mostly rates its items, the good ones highly; a few items
of each genre are known to everybody. So a list is easily judged by eye.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

PATH: Final = Path(__file__).parent / "data" / "sample_ratings.csv"

_GENRES: Final = ("comedy", "drama", "horror", "musical", "scifi", "western")
_ITEMS: Final = 40
_USERS: Final = 150
_RATINGS: Final = 5000
_START: Final = 1_700_000_000
_FAVOURITE_SHARE: Final = 0.8


def lines() -> Iterator[str]:
    """Yields the header and the ratings, in the order of their time."""
    random = np.random.default_rng(20190114)
    favourite = random.integers(len(_GENRES), size=_USERS)
    weights = 1 / np.arange(2, _ITEMS + 2)
    weights /= weights.sum()
    seen: set[tuple[int, int, int]] = set()
    time = _START
    yield "user,item,rating,timestamp"
    while len(seen) < _RATINGS:
        user = int(random.integers(_USERS))
        at_home = random.random() < _FAVOURITE_SHARE
        genre = int(favourite[user] if at_home else random.integers(len(_GENRES)))
        item = int(random.choice(_ITEMS, p=weights if not at_home else None))
        if (user, genre, item) in seen:
            continue
        seen.add((user, genre, item))
        liking = 3.6 if genre == favourite[user] else 2.2
        rating = int(np.clip(round(random.normal(liking - item / _ITEMS, 0.9)) + 1, 1, 5))
        time += int(random.integers(1, 60))
        yield f"user{user:03},{_GENRES[genre]}{item:02},{rating},{time}"


if __name__ == "__main__":
    sys.stdout.writelines(line + "\n" for line in lines())
