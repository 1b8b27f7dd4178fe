"""What a command line may say wrong, for every program here."""

from __future__ import annotations

import argparse
from typing import NoReturn


class UsageError(ValueError):
    """The command line asks for something that cannot be; the text is one clear line."""


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would print the usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(message)
