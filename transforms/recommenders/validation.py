"""What hyperparameters may be: each check raises ValueError with the name, as the flag has it."""

from __future__ import annotations

import math
from typing import Final


def of_type(name: str, value: object, expected: type) -> None:
    """Refuses a value of another type, or of more than 64 bits; a whole number is also a float."""
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        msg = f"{name} is {value}, expected a number of at most 64 bits"
        raise ValueError(msg)
    if type(value) is expected or (expected is float and type(value) is int):
        return
    msg = f"{name} is {value!r} of type {type(value).__name__}, expected {expected.__name__}"
    raise ValueError(msg)


def at_least(name: str, value: float, least: float) -> None:
    """Refuses what is below `least`, infinite or not a number."""
    if not least <= value < math.inf:
        msg = f"{name} is {value}, expected at least {least}"
        raise ValueError(msg)


def at_most(name: str, value: float, most: float) -> None:
    """Refuses what is above `most`, which would not fit any memory."""
    if value > most:
        msg = f"{name} is {value}, expected at most {most}"
        raise ValueError(msg)


def above(name: str, value: float, bound: float) -> None:
    """Refuses what is not above `bound`, infinite or not a number."""
    if not bound < value < math.inf:
        msg = f"{name} is {value}, expected above {bound}"
        raise ValueError(msg)


def step_size(name: str, value: float) -> None:
    """Refuses what is no step size: it has to lie between 0 and 1."""
    if not 0 < value < 1:
        msg = f"{name} is {value}, expected above 0 and below 1"
        raise ValueError(msg)


def share(name: str, value: float) -> None:
    """Refuses what does not lie between 0, included, and 1."""
    if not 0 <= value < 1:
        msg = f"{name} is {value}, expected at least 0 and below 1"
        raise ValueError(msg)


_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """Returns a duration in seconds: a number, or one with s, m, h or d behind it, as in 30m.

    Raises:
        ValueError: It is neither.
    """
    number = text.rstrip("smhd")
    try:
        return float(number) * _UNITS[text[len(number) :]]
    except (KeyError, ValueError):
        msg = f"{text!r} is no duration, expected one such as 90, 30m, 12h or 7d"
        raise ValueError(msg) from None
