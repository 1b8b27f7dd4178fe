"""Passwords that nobody may see: a test that shows one fails, whatever else it tests."""

from __future__ import annotations

import base64
import bz2
import re
import traceback
from typing import Final

MARK: Final = "cAnArY"
PASSWORD: Final = f"{MARK}-hunter2"
KEY_PASSWORD: Final = f"{MARK}-key"

_COMPRESSED: Final = re.compile(rb"QlpoO[A-Za-z0-9+/]+={0,2}")
"""How base64 of a bz2 stream looks, which is what Beam makes of a pickle."""


def require_hidden(text: str, where: str) -> None:
    """Fails if a text shows a password; it is not in the failure, which would show it again."""
    if MARK in text:
        at = text.index(MARK)
        before = text[max(0, at - 200) : at]
        msg = f"{where} shows a password, behind {before!r}"
        raise AssertionError(msg)


def require_hidden_in_error(error: BaseException) -> None:
    """Fails if an error shows a password, or one that it came from does."""
    seen: BaseException | None = error
    while seen is not None:
        require_hidden(f"{seen!r} {seen} {vars(seen)}", f"a {type(seen).__name__}")
        # Even where the traceback would not print it: it can be logged and pickled.
        seen = seen.__cause__ or seen.__context__
    require_hidden("".join(traceback.format_exception(error)), "a traceback")


def unpacked(serialized: bytes) -> bytes:
    """Returns a serialized pipeline with its pickles as they are before Beam compresses them."""
    pickles = [bz2.decompress(base64.b64decode(one)) for one in _COMPRESSED.findall(serialized)]
    return b"\n".join([serialized, *pickles])
