"""FluRS's projections of feature vectors to fewer dimensions."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

RAW: Final = "Raw"
_RANDOM: Final = "RandomProjection"
_MACLAURIN: Final = "RandomMaclaurinProjection"
_TENSOR: Final = "TensorSketchProjection"
PROJECTIONS: Final = (RAW, _RANDOM, _MACLAURIN, _TENSOR)

_DENSITY: Final = 0.2


class Projection:
    r"""A map of vectors y, shape (p,), to shape (k,), by matrices of shape (k, p) each.

    With M, or M_1 and M_2, drawn once:

        Raw                         y, so that k is p
        RandomProjection            M y, whose entries are 0 or +-sqrt(s / k) with s = 1 / 0.2,
                                    each sign with probability 1 / 2s
        RandomMaclaurinProjection   (M_1 y) (M_2 y) / sqrt(k), by entry; these are +-1
        TensorSketchProjection      ifft(fft(M_1 y) fft(M_2 y)), by entry; each column has one
                                    entry that is not 0, which is +-1

    Args:
        name: One of `PROJECTIONS`.
        matrices: Shape (number, k, p); for Raw (0, 0, p).

    References:
        P. Li, T. Hastie, K. Church. Very Sparse Random Projections. KDD 2006.
        P. Kar, H. Karnick. Random Feature Maps for Dot Product Kernels. AISTATS 2012.
        N. Pham, R. Pagh. Fast and Scalable Polynomial Kernels via Explicit Feature Maps. KDD
        2013. FluRS: `flurs.utils.projection`.
    """

    def __init__(self, name: str, matrices: NDArray[np.float64]) -> None:
        self.name = name
        self.matrices = matrices

    @classmethod
    def empty(cls, name: str, k: int) -> Projection:
        """Returns a projection of vectors of length 0."""
        shape = {RAW: (0, 0, 0), _RANDOM: (1, k, 0)}.get(name, (2, k, 0))
        return cls(name, np.zeros(shape))

    @property
    def k(self) -> int:
        """How long a projected vector is."""
        return int(self.matrices.shape[2 if self.name == RAW else 1])

    def grow(self, p: int, seed: int) -> None:
        """Makes vectors longer, to `p`: the new columns are a function of seed and both lengths."""
        number, k, old = self.matrices.shape
        random = np.random.default_rng((seed, old, p))
        shape = (number, k, p - old)
        if self.name == _RANDOM:
            size, half = math.sqrt(1 / _DENSITY / k), _DENSITY / 2
            columns = random.choice([-size, 0.0, size], shape, p=[half, 1 - _DENSITY, half])
        elif self.name == _MACLAURIN:
            columns = random.choice([1.0, -1.0], shape)
        else:
            columns = np.zeros(shape)
            for matrix in columns:
                rows = random.integers(k, size=p - old)
                matrix[rows, np.arange(p - old)] = random.choice([1.0, -1.0], p - old)
        self.matrices = np.concatenate([self.matrices, columns], axis=2)

    def reduce(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns each vector projected: shape (n, p) becomes (n, k)."""
        if self.name == RAW:
            return vectors
        first = vectors @ self.matrices[0].T
        if self.name == _RANDOM:
            return np.asarray(first)
        second = vectors @ self.matrices[1].T
        if self.name == _MACLAURIN:
            return np.asarray(first * second / math.sqrt(self.k))
        product = np.fft.fft(first, axis=1) * np.fft.fft(second, axis=1)
        return np.asarray(np.real(np.fft.ifft(product, axis=1)))
