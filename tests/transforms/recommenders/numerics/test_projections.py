from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from flurs.utils import projection as flurs

from transforms.recommenders.numerics.projections import PROJECTIONS, RAW, Projection

K, P = 16, 30


def flurs_projection(ours: Projection) -> Any:
    """FluRS's own projection, with the matrices that ours drew."""
    k, p = ours.k, ours.matrices.shape[2]
    theirs = getattr(flurs, ours.name)(k, p)
    if ours.name == "RandomProjection":
        theirs.R = scipy.sparse.csr_matrix(ours.matrices[0])
    elif ours.name == "RandomMaclaurinProjection":
        theirs.W1, theirs.W2 = ours.matrices
    elif ours.name == "TensorSketchProjection":
        for number, matrix in zip("12", ours.matrices, strict=True):
            h = abs(matrix).argmax(axis=0)
            setattr(theirs, f"h{number}", h)
            setattr(theirs, f"h{number}_indices", [np.where(h == j)[0] for j in range(k)])
            setattr(theirs, f"s{number}", matrix[h, np.arange(p)])
    return theirs


def _grown(name: str, *lengths: int, seed: int = 3) -> Projection:
    projection = Projection.empty(name, K)
    for length in lengths:
        projection.grow(length, seed)
    return projection


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("lengths", [(P,), (4, 5, P)])
def test_vectors_are_projected_as_in_flurs(name: str, lengths: tuple[int, ...]) -> None:
    ours = _grown(name, *lengths)
    vectors = np.random.default_rng(0).normal(size=(5, P))
    theirs = np.asarray(flurs_projection(ours).reduce(vectors.T))
    assert ours.reduce(vectors) == pytest.approx(theirs.T, abs=1e-12)
    assert ours.reduce(vectors).shape == (5, P if name == RAW else K)


@pytest.mark.parametrize("name", PROJECTIONS[1:])
def test_seed_and_length_decide(name: str) -> None:
    first = _grown(name, P)
    assert np.array_equal(first.matrices, _grown(name, P).matrices)
    assert not np.array_equal(first.matrices, _grown(name, P, seed=4).matrices)
    grown = _grown(name, 10, P)
    assert np.array_equal(grown.matrices[:, :, :10], _grown(name, 10).matrices)


@pytest.mark.parametrize("name", PROJECTIONS[1:])
def test_entries_are_distributed_as_in_flurs(name: str) -> None:
    np.random.seed(0)
    theirs = getattr(flurs, name)(K, 5_000)
    drawn = {"RandomProjection": "R", "RandomMaclaurinProjection": "W2"}.get(name)
    if drawn:
        matrix = getattr(theirs, drawn)
        expected = matrix.toarray() if scipy.sparse.issparse(matrix) else matrix
    else:
        expected = np.zeros((K, 5_000))
        expected[theirs.h2, np.arange(5_000)] = theirs.s2
    got = _grown(name, 5_000).matrices[-1]
    values, counts = np.unique(expected, return_counts=True)
    same, ours = np.unique(got, return_counts=True)
    assert same == pytest.approx(values)
    assert ours == pytest.approx(counts, rel=0.06)
    assert got.any(axis=1).all()
