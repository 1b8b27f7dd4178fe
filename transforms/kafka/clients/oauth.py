"""Tokens as kafka-python asks for them."""

from __future__ import annotations

from collections.abc import Callable

from kafka.net.sasl.oauth import AbstractTokenProvider


class Tokens(AbstractTokenProvider):
    """Asks for a token whenever kafka-python logs in, also when it does so again.

    Args:
        get: Returns a token.
    """

    def __init__(self, get: Callable[[], str]) -> None:
        super().__init__()
        self._get = get

    def token(self) -> str:
        """Returns a token."""
        return self._get()
