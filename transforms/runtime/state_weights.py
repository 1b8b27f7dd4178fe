"""Weighs what Beam's state cache holds by its bytes alone.

The cache weighs each value that is written, and Beam 2.77 has that done by objsize, which first
looks at the globals of all modules of the process: half a millisecond for a few bytes, three times
a bundle. It also weighs a bag that grew by one entry entry by entry.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from apache_beam.runners.worker import statecache

_SAMPLED: Final = 64
_deep_size: Final[Callable[..., int]] = statecache.get_deep_size


def weigh_bytes() -> None:
    """Makes Beam's state cache weigh lists of bytes itself, in this process from now on."""
    statecache.get_deep_size = weight


def weight(*values: Any) -> int:
    """Returns roughly how many bytes values take: what Beam would, of any but lists of bytes."""
    return sum(map(_weight, values))


def _weight(value: Any) -> int:
    # Beam holds the state of a value and that of a bag as a list.
    if not isinstance(value, list):
        return _deep_size(value)
    sample = value[:: max(1, len(value) // _SAMPLED)]
    if any(type(one) is not bytes for one in sample):
        return _deep_size(value)
    mean = sum(map(sys.getsizeof, sample)) / max(1, len(sample))
    return sys.getsizeof(value) + round(mean * len(value))
