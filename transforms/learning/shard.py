"""What a cell does with a batch: test, learn, list. No Beam."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from transforms.elements import RatingBatch
from transforms.formats.records import Evaluation, Rating, Recommendation, ScoredItem
from transforms.recommenders.ranking import count_candidates, rank
from transforms.recommenders.recommender import POPULAR, Candidates, Recommender


class Standing(NamedTuple):
    """How things stood in one cell just before it learned a rating.

    Attributes:
        candidates: All that the user could have been shown.
        items: The list that the user would have been shown.
        popular_items: The most popular of the candidates.
    """

    candidates: Candidates
    items: Sequence[ScoredItem]
    popular_items: Sequence[ScoredItem]


@dataclass
class Learned:
    """What a cell made of a batch.

    Attributes:
        lists: One for each rating, as it stands after learning it, then one for each request.
        standings: One for each rating, if tests were asked for.
        changed: The ratings that changed the recommender.
        update_us: Microseconds of learning one rating, averaged.
        top_n_us: Microseconds of making one list, averaged; 0 if none was made.
    """

    lists: list[Recommendation] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    changed: list[Rating] = field(default_factory=list)
    update_us: float = 0.0
    top_n_us: float = 0.0


def learn(recommender: Recommender, batch: RatingBatch, top_n: int, *, test: bool) -> Learned:
    """Learns a batch, and lists for each of its ratings and requests.

    Args:
        recommender: Learns.
        batch: What to learn, in order.
        top_n: Length of a list; with 0 no list is made for a rating.
        test: Whether to say how things stood before each rating.
    """
    done = Learned()
    size = 0 if test else recommender.minibatch_size(top_n)
    if size:
        learning, listing = _learn_in_minibatches(recommender, batch.ratings, top_n, size, done)
    else:
        learning, listing = _learn_one_by_one(recommender, batch.ratings, top_n, test, done)
    start = time.perf_counter()
    for user, timestamp, origin, context in batch.requests:
        best = recommender.recommend(user, top_n, context)
        fallback = "" if recommender.knows(user) else POPULAR
        done.lists.append(Recommendation(user, best, timestamp, origin, fallback))
    listing += time.perf_counter() - start
    done.update_us = learning / max(1, len(batch.ratings)) * 1e6
    done.top_n_us = listing / max(1, len(done.lists)) * 1e6
    return done


def _learn_one_by_one(
    recommender: Recommender, ratings: Sequence[Rating], top_n: int, test: bool, done: Learned
) -> tuple[float, float]:
    """Returns the seconds that learning took, and those that listing took."""
    clock = time.perf_counter
    learning = listing = 0.0
    for rating in ratings:
        context = rating.features.context if rating.features else ()
        if test:
            done.standings.append(stand(recommender, rating, top_n, context))
        start = clock()
        if recommender.update(rating):
            done.changed.append(rating)
        learned = clock()
        learning += learned - start
        if top_n:
            best = recommender.recommend(rating.user, top_n, context)
            listing += clock() - learned
            done.lists.append(Recommendation(rating.user, best, rating.timestamp, rating.origin))
    return learning, listing


def _learn_in_minibatches(
    recommender: Recommender, ratings: Sequence[Rating], top_n: int, size: int, done: Learned
) -> tuple[float, float]:
    """Does the same where the recommender can learn many together."""
    clock = time.perf_counter
    learning = listing = 0.0
    for first in range(0, len(ratings), size):
        start = clock()
        at = first
        for part in recommender.learn_batches(ratings[first : first + size], top_n):
            done.changed += part.changed
            listed = clock()
            learning += listed - start
            if top_n:
                lists = recommender.top_n_after_each(part.trace, top_n)
                listed_ratings = ratings[at : at + part.learned]
                done.lists += [
                    Recommendation(rating.user, best, rating.timestamp, rating.origin)
                    for rating, best in zip(listed_ratings, lists, strict=True)
                ]
            at += part.learned
            start = clock()
            listing += start - listed
    return learning, listing


def stand(
    recommender: Recommender, rating: Rating, top_n: int, context: Sequence[float]
) -> Standing:
    """Returns how things stand for a rating that was not learned yet."""
    candidates = recommender.candidates(rating.user, rating.item, context)
    return Standing(
        candidates,
        recommender.best(candidates.scores, top_n),
        recommender.best(candidates.popularity, top_n),
    )


def merge_items(parts: Sequence[Sequence[ScoredItem]], top_n: int) -> list[ScoredItem]:
    """Returns the best of several lists, best first; of equals the one of the earlier list."""
    together = [item for part in parts for item in part]
    return sorted(together, key=lambda item: -item.score)[:top_n]


def merge_lists(parts: Sequence[Recommendation], top_n: int) -> Recommendation:
    """Returns the list of a user whose items are spread over several cells of a row."""
    return parts[0]._replace(items=merge_items([part.items for part in parts], top_n))


def evaluate(
    rating: Rating,
    standings: Sequence[Standing],
    model: str,
    top_n: int,
    update_us: float,
    top_n_us: float,
) -> Evaluation:
    """Returns what a rating showed of the recommender, before it was learned.

    Args:
        rating: What the user chose.
        standings: Of each cell of the user's row.
        model: The recommender's name.
        top_n: Length of the lists.
        update_us: Microseconds of learning the rating.
        top_n_us: Microseconds of making one list.
    """
    scores = [standing.candidates.scores for standing in standings]
    popularity = [standing.candidates.popularity for standing in standings]
    places = [standing.candidates.item for standing in standings]
    part = max(range(len(places)), key=places.__getitem__)
    return Evaluation(
        rating.origin,
        rating.user,
        rating.item,
        rank(scores, part, places[part]),
        count_candidates(scores),
        model,
        rating.timestamp,
        [item for item, _ in merge_items([one.items for one in standings], top_n)],
        rank(popularity, part, places[part]),
        [item for item, _ in merge_items([one.popular_items for one in standings], top_n)],
        round(update_us, 3),
        round(top_n_us, 3),
    )
