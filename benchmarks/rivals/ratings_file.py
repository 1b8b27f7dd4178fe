"""A file of MovieLens 100K's shape, in memory."""

from __future__ import annotations


def read_ratings(path: str, count: int) -> list[tuple[int, int, float]]:
    """Returns the first ratings of a tab-separated file as indices of user and item, and value."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split("\t") for line, _ in zip(file, range(count), strict=False)]
    return [(int(user) - 1, int(item) - 1, float(value)) for user, item, value, _ in rows]
