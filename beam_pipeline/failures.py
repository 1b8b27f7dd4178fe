"""Why a run failed, in one line, for everything that its user or its surroundings can cause.

What is thrown in a DoFn arrives in several dresses. FnApiRunner throws it again with the step's
name, as a RuntimeError where Beam cannot build another of the same type; Prism and Flink throw a
RuntimeError whose text is the worker's traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kafka.errors import KafkaError

from transforms.errors import (
    DeliveryError,
    IncompatibleModelError,
    IncompatibleStateError,
    KafkaSetupError,
    SchemaRegistrySetupError,
    UnsupportedFormatError,
)

EXPECTED: Final = (
    DeliveryError,
    IncompatibleModelError,
    IncompatibleStateError,
    KafkaError,
    KafkaSetupError,
    MemoryError,
    OSError,
    SchemaRegistrySetupError,
    UnsupportedFormatError,
)

_STEP: Final = " [while running"
_RAISED: Final = re.compile(r"(?:RuntimeError: )?(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*): (.+)")
"""The line of a traceback that names the exception, in whatever module its class is."""


def reason_of(error: BaseException) -> str:
    """Returns why a run failed, in one line; empty if only a traceback can tell."""
    if isinstance(error, EXPECTED):
        return one_line(error)
    raised = [found for line in str(error).splitlines() if (found := _RAISED.match(line))]
    # numpy gives its MemoryError the base's name; a traceback shows the qualified one.
    names = {cls.__qualname__ for expected in EXPECTED for cls in _with_subclasses(expected)}
    # Of a traceback with several exceptions the last one counts, if it is one of ours or not.
    return _tidy(raised[-1][2]) if raised and raised[-1][1] in names else ""


def one_line(error: BaseException) -> str:
    """Returns the text of an error, without what Beam adds to it."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return _tidy(f"{error.filename}: {error.strerror}")
    return _tidy(str(error)) or type(error).__name__


def _tidy(text: str) -> str:
    return " ".join(text.split(_STEP, maxsplit=1)[0].split())


def _with_subclasses(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    yield cls
    for one in cls.__subclasses__():
        yield from _with_subclasses(one)
