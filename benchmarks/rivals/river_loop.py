"""River without any input or output: `python -m benchmarks.rivals.river_loop FILE COUNT`.

Prints ratings a second. Of River's recommenders, BiasedMF is the nearest to FluRS's MF. It
learns a number rather than that an item is liked, so it gets the number; `rank` wants the
candidates as a set and predicts them one by one.
"""

from __future__ import annotations

import itertools
import sys
import time

from river import optim, reco

from benchmarks.rivals.flurs_loop import FACTORS, ITEMS, MIN_RATING, TOP_N, USERS
from benchmarks.rivals.ratings_file import read_ratings


def main(path: str, count: int) -> float:
    """Returns ratings a second."""
    ratings = read_ratings(path, count)
    model = reco.BiasedMF(
        n_factors=FACTORS,
        latent_optimizer=optim.SGD(0.05),
        bias_optimizer=optim.SGD(0.05),
        l2_latent=0.01,
        seed=0,
    )
    free = [set(range(ITEMS)) for _ in range(USERS)]
    start = time.perf_counter()
    for user, item, value in ratings:
        if value >= MIN_RATING:
            model.learn_one(user, item, value)
            free[user].discard(item)
            list(itertools.islice(model.rank(user, free[user]), TOP_N))
    return len(ratings) / (time.perf_counter() - start)


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))
