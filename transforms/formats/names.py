"""The usual names of a rating's fields, in JSON keys, Avro fields and column headers alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

USUAL_NAMES: Final = {
    "user": (
        *("user", "user_id", "customer", "customer_id", "member", "member_id"),
        *("account", "account_id", "client_id", "visitor", "visitor_id"),
        *("profile_id", "uid"),
    ),
    "item": (
        *("item", "item_id", "movie", "movie_id", "product", "product_id", "sku"),
        *("article", "article_id", "asin", "track", "track_id", "song", "song_id"),
        *("video", "video_id", "book", "book_id", "content_id"),
    ),
    "rating": ("rating", "stars", "rating_value", "user_rating"),
    "timestamp": (
        *("timestamp", "ts", "time", "event_time", "event_timestamp", "datetime"),
        *("ts_ms", "timestamp_ms", "event_time_ms", "created_at", "occurred_at", "date"),
    ),
    "event": ("event", "event_type", "event_name", "action", "type"),
    "user_features": ("user_features",),
    "item_features": ("item_features",),
    "context": ("context",),
}
"""For each field, best first. They are compared without case, underscores, hyphens and spaces."""

FIELDS: Final = tuple(USUAL_NAMES)


def _plain(name: str) -> str:
    # RecBole's headers have a type behind the name, as in `user_id:token`.
    bare = name.split(":", maxsplit=1)[0]
    return bare.replace("_", "").replace("-", "").replace(" ", "").lower()


_RANKS: Final = {
    _plain(name): (field, rank)
    for field, names in USUAL_NAMES.items()
    for rank, name in enumerate(names)
}
_EXACT_ONLY: Final = frozenset({"user_features", "item_features", "context"})


def by_usual_name(names: Sequence[str]) -> dict[str, list[str]]:
    """Returns, for each field, those of `names` that usually mean it, the best first.

    The blog post's own names (`user`, `item`, `rating`, `timestamp`) come before all others.
    """
    ranked: dict[str, list[tuple[bool, int, str]]] = {field: [] for field in FIELDS}
    for name in names:
        field, rank = _RANKS.get(_plain(name), ("", 0))
        if field and (name == field or field not in _EXACT_ONLY):
            ranked[field].append((name != field, rank, name))
    return {
        field: [name for *_, name in sorted(found, key=lambda one: one[:2])]
        for field, found in ranked.items()
    }
