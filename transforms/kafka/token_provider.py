"""Tokens for the login by OAUTHBEARER, from a function that the user names."""

from __future__ import annotations

import importlib
import math
import re
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from transforms.errors import KafkaSetupError

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# Expected are seconds since the epoch; these bounds tell lifetimes and milliseconds from them.
_LONGEST_LIFETIME: Final = 1e9
_FIRST_MILLISECONDS: Final = 1e11
_SHOWN: Final = 200


class Token(NamedTuple):
    """A token for a login.

    Attributes:
        value: What is sent to the broker; never to be logged.
        expires: When it expires, in seconds since the epoch.
    """

    value: str
    expires: float

    def __repr__(self) -> str:
        """Returns a text without the token."""
        return f"Token(expires={self.expires})"


def require_name(name: str) -> None:
    """Checks the form of `module:function`.

    Raises:
        KafkaSetupError: The name has another form.
    """
    if not _NAME.fullmatch(name):
        msg = f"the Kafka token provider is {name!r}, expected module:function"
        raise KafkaSetupError(msg)


def load(name: str) -> Callable[[], Any]:
    """Returns the function that `module:function` names.

    Raises:
        KafkaSetupError: The module cannot be imported, or has no such function.
    """
    require_name(name)
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as e:
        msg = (
            f"cannot import the Kafka token provider {name!r}: {_said(e)}; install its module, or"
            " put its folder on PYTHONPATH, on the machine that starts the pipeline and on every"
            " worker"
        )
        raise KafkaSetupError(msg) from e
    function = getattr(module, function_name, None)
    if not callable(function):
        msg = f"the Kafka token provider {name!r}: {module_name} has no function {function_name}"
        raise KafkaSetupError(msg)
    found: Callable[[], Any] = function
    return found


def fetch(name: str) -> Token:
    """Calls the function for a token.

    It takes no arguments and returns a pair: the token, and when it expires in seconds since the
    epoch.

    Raises:
        KafkaSetupError: It cannot be imported, raises, or returns something else. The text
            never has what it returned.
    """
    function = load(name)
    try:
        returned = function()
    except Exception as e:
        msg = f"the Kafka token provider {name!r} failed: {_said(e)}"
        raise KafkaSetupError(msg) from e
    problem = _problem(returned)
    if problem:
        msg = (
            f"the Kafka token provider {name!r} returned {problem}; expected a pair: the token, and"
            " when it expires in seconds since the epoch"
        )
        raise KafkaSetupError(msg)
    value, expires = returned
    return Token(value, float(expires))


def _problem(returned: object) -> str:
    """Returns what is wrong with the result of a provider; empty if nothing is."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        return f"a {type(returned).__name__} that is no pair"
    value, expires = returned
    if not isinstance(value, str):
        return f"a token of type {type(value).__name__}"
    if not value:
        return "a token that is empty"
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        return f"an expiry of type {type(expires).__name__}"
    return _problem_of_expiry(expires)


def _problem_of_expiry(expires: float) -> str:
    if not math.isfinite(expires) or expires < _LONGEST_LIFETIME:
        return "a lifetime: add time.time() to it"
    if expires >= _FIRST_MILLISECONDS:
        return "an expiry in milliseconds: divide it by 1000"
    if expires <= time.time():
        return "a token that has expired"
    return ""


def _said(error: Exception) -> str:
    """Returns the first line of what an exception says."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:_SHOWN]}".rstrip(": ")
