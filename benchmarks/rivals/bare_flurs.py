"""FluRS without any input or output: `python -m benchmarks.rivals.bare_flurs FILE COUNT`.

Prints ratings a second. The file's ratings are in memory before the clock starts, and what
`recommend` gives is dropped.
"""

from __future__ import annotations

import sys
import time

from benchmarks.rivals.flurs_loop import MIN_RATING, FlursLoop
from benchmarks.rivals.ratings_file import read_ratings


def main(path: str, count: int) -> float:
    """Returns ratings a second."""
    ratings = read_ratings(path, count)
    loop = FlursLoop()
    start = time.perf_counter()
    for user, item, value in ratings:
        if value >= MIN_RATING:
            loop.learn(user, item)
            loop.recommend(user)
    return len(ratings) / (time.perf_counter() - start)


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))
