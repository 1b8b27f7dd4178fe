"""Keys that Flink spreads evenly.

Flink deals a key to one of its key groups by a hash of the key's bytes, and the groups to
subtasks in order. A few small keys easily come to lie on one subtask while another has none:
of the model shards (0, 0) to (3, 0), all on the first of two. So each key gets a number more, its
salt, that makes it fall into the group that is its share; other runners do not care.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import count
from typing import Final

KEY_GROUPS: Final = 128
"""Of a job whose `--max_parallelism` is ours."""

_32_BITS: Final = 0xFFFFFFFF


@lru_cache(maxsize=4096)
def salt(key: tuple[int, ...], place: int, places: int, key_groups: int = KEY_GROUPS) -> int:
    """Returns the number that, put behind a key, spreads it.

    Args:
        key: Numbers, which Beam encodes one after the other as varints. A pair is a key that
            its Java runners know; what they do not know, as more numbers with the salt, comes to
            them with its length before it.
        place: The key's own among all keys of a step, from 0.
        places: How many keys there are.
        key_groups: The job's maximal parallelism; with another one keys are spread by chance.
    """
    return spreading(lambda number: _on_flink((*key, number)), place, places, key_groups)


def spreading(
    encode: Callable[[int], bytes], place: int, places: int, key_groups: int = KEY_GROUPS
) -> int:
    """Returns the first number that, encoded with a key, spreads it.

    Args:
        encode: Returns the key with a number, as Flink sees it.
        place: As in `salt`.
        places: As in `salt`.
        key_groups: As in `salt`.
    """
    wanted = (2 * place + 1) * key_groups // (2 * places) % key_groups
    return next(n for n in count() if key_group(encode(n), key_groups) == wanted)


def _on_flink(key: tuple[int, ...]) -> bytes:
    encoded = b"".join(map(_varint, key))
    return encoded if len(key) == 2 else _varint(len(encoded)) + encoded


def _varint(number: int) -> bytes:
    """Returns what Beam's `VarIntCoder` makes of a number from 0."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def key_group(encoded: bytes, key_groups: int = KEY_GROUPS) -> int:
    """Returns the key group of an encoded key.

    Beam hands its keys to Flink as `java.nio.ByteBuffer`, whose hash code Flink puts through
    the 32-bit finish of MurmurHash3 (A. Appleby, public domain), see Flink's
    `KeyGroupRangeAssignment` and `MathUtils.murmurHash`.
    """
    code = 1
    for byte in reversed(encoded):
        signed = byte - 256 if byte > 127 else byte
        code = (31 * code + signed) & _32_BITS
    code = code * 0xCC9E2D51 & _32_BITS
    code = _rotated(code, 15) * 0x1B873593 & _32_BITS
    code = (_rotated(code, 13) * 5 + 0xE6546B64) & _32_BITS
    code ^= 4
    code = (code ^ code >> 16) * 0x85EBCA6B & _32_BITS
    code = (code ^ code >> 13) * 0xC2B2AE35 & _32_BITS
    code ^= code >> 16
    negative = code >= 1 << 31
    return ((1 << 32) - code if negative else code) % key_groups


def _rotated(code: int, bits: int) -> int:
    return (code << bits | code >> 32 - bits) & _32_BITS
