"""What a model shard does with a batch: learn, and recommend after each update."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from transforms.formats.listed_ratings import (
    ListedRatings,
    TopNColumns,
    joined,
    recommendation_of,
)
from transforms.formats.rating_columns import joined_ratings, kept_ratings
from transforms.formats.records import Rating, Recommendation, Request, ScoredItem, ScoredItems
from transforms.recommenders.recommender import POPULAR, Recommender


class Observer(Protocol):
    """Sees a recommender just before it learns each rating of a weight above 0."""

    def before_update(self, recommender: Recommender, rating: Rating) -> None:
        """Is called for each such rating, in order; must not change the recommender."""


@dataclass
class Learned:
    """What a model shard made of a batch.

    Attributes:
        recommendations: One for each listed rating, as of after learning it, then one for each
            request.
        places: Of each item of each of `recommendations` its place among all items, by which
            those that tie are ordered; empty where item shards do not list what one would.
        changed: The ratings that changed the recommender.
        update_us: Microseconds of learning one rating, averaged.
        top_n_us: Microseconds of making one list, averaged; 0 if none was made.
    """

    recommendations: Sequence[Recommendation] = ()
    places: Sequence[Sequence[int]] = ()
    changed: Sequence[Rating] = ()
    update_us: float = 0.0
    top_n_us: float = 0.0


def learn(
    recommender: Recommender,
    ratings: Sequence[Rating],
    top_n: int,
    *,
    listed: Sequence[int] | None = None,
    requests: Sequence[Request] = (),
    observer: Observer | None = None,
) -> Learned:
    """Learns ratings, and recommends for those that are listed and for each request.

    Args:
        recommender: Learns.
        ratings: What to learn, in order.
        top_n: Length of a list; with 0 no list is made for a rating.
        listed: Indexes of the ratings as of which lists are made; None for all.
        requests: Are answered when all ratings have been learned.
        observer: Sees the recommender before each update that a list follows; ratings are then
            learned one by one.
    """
    done = Learned()
    mask = np.full(len(ratings), listed is None)
    if listed is not None:
        mask[list(listed)] = True
    size = 0 if observer else recommender.minibatch_size(top_n)
    if size:
        learning, listing = _learn_in_minibatches(recommender, ratings, top_n, mask, size, done)
    else:
        learning, listing = _learn_one_by_one(recommender, ratings, top_n, mask, observer, done)
    start = time.perf_counter()
    if requests:
        answers = [_answer(recommender, request, top_n) for request in requests]
        done.recommendations = [*done.recommendations, *answers]
        done.places = [*done.places, *_places(recommender, [one.items for one in answers])]
    listing += time.perf_counter() - start
    done.update_us = learning / max(1, len(ratings)) * 1e6
    done.top_n_us = listing / max(1, len(done.recommendations)) * 1e6
    return done


def _answer(recommender: Recommender, request: Request, top_n: int) -> Recommendation:
    user, timestamp, origin, context, headers = request
    best = recommender.recommend(user, top_n, context)
    fallback = "" if recommender.knows(user) else POPULAR
    return Recommendation(user, best, timestamp, origin, fallback, headers)


def _learn_one_by_one(
    recommender: Recommender,
    ratings: Sequence[Rating],
    top_n: int,
    mask: NDArray[np.bool],
    observer: Observer | None,
    done: Learned,
) -> tuple[float, float]:
    """Returns the seconds that learning took, and those that listing took."""
    clock = time.perf_counter
    learning = listing = 0.0
    recommendations: list[Recommendation] = []
    places: list[Sequence[int]] = []
    changed: list[Rating] = []
    for rating, listed in zip(ratings, mask.tolist(), strict=True):
        context = rating.features.context if rating.features else ()
        if listed and observer and rating.weight > 0:
            observer.before_update(recommender, rating)
        start = clock()
        if recommender.update(rating):
            changed.append(rating)
        learned = clock()
        learning += learned - start
        if listed and top_n:
            best = recommender.recommend(rating.user, top_n, context)
            listing += clock() - learned
            recommendations.append(recommendation_of(rating, best))
            places += _places(recommender, [best])
    done.recommendations, done.places, done.changed = recommendations, places, changed
    return learning, listing


def _learn_in_minibatches(
    recommender: Recommender,
    ratings: Sequence[Rating],
    top_n: int,
    mask: NDArray[np.bool],
    size: int,
    done: Learned,
) -> tuple[float, float]:
    """Does the same where the recommender can learn many together."""
    clock = time.perf_counter
    learning = listing = 0.0
    parts: list[Sequence[ScoredItems]] = []
    followed: list[Sequence[Rating]] = []
    changed: list[Sequence[Rating]] = []
    most = max(size, recommender.minibatch_size(0))
    for first, stop in _minibatches(mask, size, most):
        start = clock()
        at = first
        asked = mask[first:stop] if top_n else None
        for part in recommender.learn_batches(ratings[first:stop], top_n, asked):
            changed.append(part.changed)
            listed = clock()
            within = part.trace.listing_seconds if part.trace else 0.0
            learning += listed - start - within
            if top_n:
                parts.append(recommender.top_n_after_each(part, top_n))
                followed.append(kept_ratings(ratings[at : at + part.learned], part.listed.tolist()))
            at += part.learned
            start = clock()
            listing += start - listed + within
    lists = joined(parts)
    if isinstance(lists, TopNColumns):
        done.recommendations = ListedRatings(joined_ratings(followed), lists)
    else:
        done.recommendations = list(map(recommendation_of, joined_ratings(followed), lists))
    done.changed = joined_ratings(changed)
    done.places = _places(recommender, lists)
    return learning, listing


def _minibatches(mask: NDArray[np.bool], lists: int, most: int) -> Iterator[tuple[int, int]]:
    """Yields starts and stops of parts that have at most so many lists, and ratings."""
    listed = np.flatnonzero(mask)
    start = 0
    while start < len(mask):
        beyond = int(np.searchsorted(listed, start)) + lists
        stop = int(listed[beyond]) if beyond < len(listed) else len(mask)
        stop = min(stop, start + most)
        yield start, stop
        start = stop


def _places(
    recommender: Recommender, lists: Sequence[Sequence[ScoredItem]]
) -> Sequence[Sequence[int]]:
    """Returns what `Learned.places` says of lists that the recommender has just made."""
    return list(map(recommender.places, lists)) if recommender.is_exact_shard else ()


def merge_items(
    parts: Sequence[Sequence[ScoredItem]], top_n: int, places: Sequence[Sequence[int]] = ()
) -> list[ScoredItem]:
    """Returns the best of several lists, best first.

    Args:
        parts: The lists.
        top_n: How many.
        places: Of each item of each list its place among all items: of equals the first comes
            first. Without them it is the one of the earlier list.
    """
    together = [item for part in parts for item in part]
    if not places:
        return sorted(together, key=lambda item: -item.score)[:top_n]
    order = [place for part in places for place in part]
    pairs = sorted(zip(together, order, strict=True), key=lambda pair: (-pair[0].score, pair[1]))
    return [item for item, _ in pairs[:top_n]]


def merge_recommendations(
    parts: Sequence[Recommendation], top_n: int, places: Sequence[Sequence[int]] = ()
) -> Recommendation:
    """Merges the recommendations of item shards into one of all items, see `merge_items`."""
    return parts[0]._replace(items=merge_items([part.items for part in parts], top_n, places))
