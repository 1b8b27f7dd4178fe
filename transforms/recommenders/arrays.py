"""The arrays that a saved model consists of, verified before anything uses them.

Kernels do not check bounds, so an index out of range in a saved model would be read or written
outside of an array. Every array that is loaded therefore passes through `SavedArrays`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from transforms.errors import IncompatibleModelError

Arrays = dict[str, NDArray[Any]]

Shape = tuple[int | None, ...]
"""Lengths of an array; None for any."""

LARGEST_PARAMETER: Final = 1e50
"""Of what a model learned; a product of two squares is still finite."""

_LARGEST_COUNT: Final = 1 << 53


class SavedArrays:
    """Named arrays of a saved model.

    Every method returns a copy in the dtype asked for, and raises IncompatibleModelError, with
    the name of the array, if it is missing or not what is expected.

    Args:
        arrays: By name.
        prefix: What the names of these arrays begin with in `arrays`.
    """

    def __init__(self, arrays: Arrays, prefix: str = "") -> None:
        self._arrays = arrays
        self._prefix = prefix

    def part(self, prefix: str) -> SavedArrays:
        """Returns the arrays whose names begin with `prefix`, by the rest of their names."""
        return SavedArrays(self._arrays, self._prefix + prefix)

    def has(self, name: str) -> bool:
        """Whether there is an array of this name; raises nothing."""
        return self._prefix + name in self._arrays

    def numbers(self, name: str, dtype: DTypeLike, shape: Shape) -> NDArray[Any]:
        """Returns an array of this dtype and shape."""
        array = self._arrays.get(self._prefix + name)
        if array is None:
            msg = f"the saved model has no array {self._prefix}{name}"
            raise IncompatibleModelError(msg)
        expected_dtype = np.dtype(dtype)
        is_dtype = array.dtype == expected_dtype
        self.require(is_dtype, name, f"is of dtype {array.dtype}, expected {expected_dtype}")
        fits = array.ndim == len(shape) and all(
            want is None or want == got for want, got in zip(shape, array.shape, strict=True)
        )
        expected = ", ".join("n" if length is None else str(length) for length in shape)
        self.require(fits, name, f"is of shape {array.shape}, expected ({expected})")
        return array.copy()

    def finite(
        self,
        name: str,
        shape: Shape,
        dtype: DTypeLike = np.float64,
        largest: float = LARGEST_PARAMETER,
    ) -> NDArray[Any]:
        """Returns an array of finite floats, none farther from 0 than `largest`."""
        array = self.numbers(name, dtype, shape)
        largest = min(largest, float(np.finfo(array.dtype).max))
        within = np.isfinite(array) & (np.abs(array) <= largest)
        self.require(within.all(), name, "has a number that is not finite, or too large")
        return array

    def counts(self, name: str, shape: Shape, dtype: DTypeLike = np.int64) -> NDArray[Any]:
        """Returns an array of numbers from 0 up to 2^53."""
        array = self.numbers(name, dtype, shape)
        within = (array >= 0) & (array <= _LARGEST_COUNT)
        self.require(within.all(), name, "has a number that is no count")
        return array

    def count(self, name: str) -> int:
        """Returns a single count, saved with shape (1,)."""
        return int(self.counts(name, (1,))[0])

    def indices(self, name: str, n: int, shape: Shape = (None,)) -> NDArray[np.int32]:
        """Returns int32 numbers from 0 up to, not including, `n`."""
        array = self.numbers(name, np.int32, shape)
        within = (array >= 0) & (array < n)
        self.require(within.all(), name, f"has an index out of range, expected 0 to {n - 1}")
        return array

    def ends(self, name: str, n: int | None, total: int) -> NDArray[np.int64]:
        """Returns where each of `n` rows ends in an array of `total` entries."""
        array = self.numbers(name, np.int64, (n,))
        steps = np.diff(array, prepend=0)
        # A difference of int64 may overflow, so each end is compared, too.
        within = (array >= 0) & (array <= total) & (steps >= 0)
        self.require(within.all(), name, "does not ascend, or points beyond the entries")
        last = int(array[-1]) if len(array) else 0
        self.require(last == total, name, f"ends at {last}, expected {total}")
        return array

    def rows(
        self, name: str, n: int | None, ids: int, *, ascending: bool = False
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Returns the `ends` and `ids` of rows in which each id occurs at most once.

        Args:
            name: The arrays are `name.ends` and `name.ids`.
            n: How many rows there are; None for any number.
            ids: An id is below this.
            ascending: Whether the ids of a row have to ascend.
        """
        entries = self.indices(f"{name}.ids", ids)
        ends = self.ends(f"{name}.ends", n, len(entries))
        row = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        # One number for both, as sorting these is ten times faster than by two columns. Rows and
        # ids are numbers of 32 bits, so there is room.
        places = row * ids + entries
        ascends = not ascending or (places[1:] >= places[:-1]).all()
        self.require(ascends, f"{name}.ids", "has a row that does not ascend")
        places.sort()
        same = places[1:] == places[:-1]
        self.require(not same.any(), f"{name}.ids", "has an id twice in a row")
        return ends, entries

    def require(self, condition: bool | np.bool, name: str, problem: str) -> None:
        """Raises the error that names an array and its problem unless the condition holds."""
        if not condition:
            msg = f"the saved model's array {self._prefix}{name} {problem}"
            raise IncompatibleModelError(msg)


def prefixed(prefix: str, arrays: Arrays) -> Arrays:
    """Returns the arrays under names that `SavedArrays.part` finds by the prefix."""
    return {f"{prefix}{name}": value for name, value in arrays.items()}
