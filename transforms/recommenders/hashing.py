"""Ids in blocks: how users and items are spread over a grid of recommenders."""

from __future__ import annotations

import functools
import hashlib
from typing import Final, NamedTuple

_REMEMBERED: Final = 1 << 16
"""Ids whose hash is kept, as users come again and again: some 10 MB."""


def block_of(name: str, blocks: int) -> int:
    """Returns which of `blocks` an id belongs to, the same in every process and release."""
    if blocks == 1:
        return 0
    return _hash(name) % blocks


@functools.lru_cache(maxsize=_REMEMBERED)
def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Block(NamedTuple):
    """One of several blocks of ids.

    Attributes:
        number: Which, from 0.
        of: How many there are.
        tested: Whether items of other blocks are tested here, too.
    """

    number: int = 0
    of: int = 1
    tested: bool = False

    def has(self, name: str) -> bool:
        """Whether an id belongs to this block."""
        return self.of == 1 or block_of(name, self.of) == self.number


EVERYTHING = Block()
"""The only block of a single one."""
