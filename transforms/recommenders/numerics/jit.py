"""How kernels are compiled: by numba, cached on disk where a folder can be written.

`NUMBA_DISABLE_JIT=1` runs the same loops in Python, for a debugger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])
_uncached: list[str] = []

ZERO: Final = cast("int", np.int64(0))
FALSE: Final = cast("bool", np.bool_(False))
"""What to pass to kernels: a literal has a type of its own, for which they are compiled again."""

_REORDERED: Final = {"nnan", "nsz", "reassoc", "contract"}


def compile_exact(function: _F) -> _F:
    """Compiles a function of plain loops at its first call; sums keep their order and bits.

    The function must not make, return or copy arrays, as references to arrays are not counted:
    with some forty arrays in each call, counting them took longer than the loops.
    """
    return _compile(function, fastmath=False, _nrt=False)


def compile_allocating(function: _F) -> _F:
    """Does what `compile_exact` does with a function that makes arrays."""
    return _compile(function, fastmath=False)


def compile_fast(function: _F) -> _F:
    """Does what `compile_exact` does, but may reorder sums; for results that need no exact bits."""
    return _compile(function, fastmath=_REORDERED, _nrt=False)


def is_cached() -> bool:
    """Whether compiled kernels are kept on disk for the next process."""
    return not _uncached


def _compile(function: _F, **options: Any) -> _F:
    try:
        compiled: _F = numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        # numba finds no folder that it can write, as in some containers.
        _uncached.append(function.__name__)
        compiled = numba.njit(nogil=True, **options)(function)
    return compiled
