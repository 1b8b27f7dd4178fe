"""The type of flags that name a port."""

from __future__ import annotations

import argparse
from typing import Final

_MOST: Final = 65535


def port_number(text: str) -> int:
    """Returns the port that a flag names.

    Raises:
        ArgumentTypeError: It is not a port number; gRPC takes the last 16 bits of a greater one.
    """
    if text.isascii() and text.isdecimal() and int(text) <= _MOST:
        return int(text)
    msg = f"invalid port {text!r}, expected a number from 0 to {_MOST}"
    raise argparse.ArgumentTypeError(msg)
