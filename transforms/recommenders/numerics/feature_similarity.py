"""Kernels that compare items by their features.

Vectors of length 1 stand in the columns of `units`, shape (features, n_item or more), so that
their products with one vector are summed along rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, HistoryArrays
from transforms.recommenders.numerics.jit import compile_allocating, compile_exact

EVIDENCE: Final = 20.0
"""With so many positives an item's features count half."""

LARGEST: Final = 1e100
"""Farthest from 0 that a feature may be; a sum of squares is still finite."""

_HALF_LIFE: Final = 10.0


@compile_allocating
def moments_of(
    vectors: NDArray[np.float64], known: NDArray[np.bool], moments: NDArray[np.float64]
) -> None:
    """Fills mean and standard deviation of each feature over the items that have any.

    Args:
        vectors: Shape (n_item, features).
        known: Which items have any, shape (n_item,).
        moments: Is filled, shape (2, features).
    """
    moments[:] = 0.0
    count = 0
    for item in range(len(vectors)):
        if known[item]:
            count += 1
            moments[0] += vectors[item]
    moments[0] /= count
    for item in range(len(vectors)):
        if known[item]:
            moments[1] += (vectors[item] - moments[0]) ** 2
    moments[1] = np.sqrt(moments[1] / count)


@compile_exact
def standardize(
    vector: NDArray[np.float64], moments: NDArray[np.float64], unit: NDArray[np.float64]
) -> None:
    """Fills a vector's deviation from the mean, in standard deviations, scaled to length 1."""
    length = 0.0
    for at in range(len(vector)):
        spread = moments[1, at]
        deviation = (vector[at] - moments[0, at]) / spread if spread > 0.0 else 0.0
        unit[at] = min(max(deviation, -LARGEST), LARGEST)
        length += unit[at] * unit[at]
    if length > 0.0:
        unit /= np.sqrt(length)


@compile_exact
def standardize_all(
    vectors: NDArray[np.float64],
    known: NDArray[np.bool],
    moments: NDArray[np.float64],
    units: NDArray[np.float64],
) -> None:
    """Does what `standardize` does for each item that is known; fills the columns of `units`."""
    for item in range(len(vectors)):
        if known[item]:
            standardize(vectors[item], moments, units[:, item])


@compile_exact
def fill_profile(
    units: NDArray[np.float64],
    histories: HistoryArrays,
    user: int,
    profile: NDArray[np.float64],
) -> None:
    """Fills the sum of the vectors of a history, weighted by recency, scaled to length 1."""
    profile[:] = 0.0
    size, start = histories.sizes[user], histories.starts[user]
    for age in range(size):
        item = histories.ids[start + size - 1 - age]
        weight = 0.5 ** (age / _HALF_LIFE)
        for at in range(len(profile)):
            profile[at] += weight * units[at, item]
    length = 0.0
    for at in range(len(profile)):
        length += profile[at] * profile[at]
    if length > 0.0:
        profile /= np.sqrt(length)


@compile_exact
def with_features(score: float, cosine: float, weight: float, chosen: float) -> float:
    """Returns a score as changed by the cosine of an item's features and a user's profile."""
    change = weight * cosine * EVIDENCE / (EVIDENCE + chosen)
    return score * (1.0 + change) if change > 0.0 else score / (1.0 - change)


@compile_allocating
def change_scores(
    units: NDArray[np.float64],
    profile: NDArray[np.float64],
    columns: ColumnArrays,
    weight: float,
    all_listed: bool,
    scores: NDArray[np.float64],
) -> None:
    """Changes the scores of the items that are listed here, see `with_features`.

    Args:
        units: Of all items.
        profile: Of the user.
        columns: Of the items that are listed here.
        weight: See `ItemKNN`.
        all_listed: Whether these are all items.
        scores: By column, shape (n_column,).
    """
    cosines = np.zeros(len(scores))
    for at in range(len(profile)):
        row, factor = units[at], profile[at]
        if factor == 0.0:
            continue
        if all_listed:
            for column in range(len(scores)):
                cosines[column] += factor * row[column]
        else:
            for column in range(len(scores)):
                cosines[column] += factor * row[columns.items[column]]
    for column in range(len(scores)):
        chosen = columns.chosen[column]
        scores[column] = with_features(scores[column], cosines[column], weight, chosen)


@compile_exact
def change_one(
    units: NDArray[np.float64],
    profile: NDArray[np.float64],
    item: int,
    chosen: float,
    weight: float,
    score: float,
) -> float:
    """Returns what `change_scores` makes of one item's score."""
    cosine = 0.0
    for at in range(len(profile)):
        if profile[at] != 0.0:
            cosine += profile[at] * units[at, item]
    return with_features(score, cosine, weight, chosen)
