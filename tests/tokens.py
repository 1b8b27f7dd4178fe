"""Token providers of tests: unsecured tokens, which Kafka's brokers take unless told otherwise."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Final

LIFE_SECONDS: Final = 600.0
START: Final = base64.urlsafe_b64encode(b'{"alg":"none"').decode()[:12]
"""What every token starts with."""
calls: list[float] = []
"""When `counted` was called."""
_LOCK: Final = threading.Lock()


def token(life: float = LIFE_SECONDS) -> str:
    """A token that expires after so many seconds."""
    now = time.time()
    claims = {"sub": "alice", "iat": now - 1000, "exp": now + life}
    parts = (json.dumps(part, separators=(",", ":")) for part in ({"alg": "none"}, claims))
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return f"{'.'.join(encoded)}."


def valid() -> tuple[str, float]:
    return token(), time.time() + LIFE_SECONDS


def counted() -> tuple[str, float]:
    """Short-lived tokens."""
    with _LOCK:
        calls.append(time.time())
    return token(4), time.time() + 4


def expired() -> tuple[str, float]:
    """The broker does not take it, whatever this function says."""
    return token(-100), time.time() + LIFE_SECONDS


def failing() -> tuple[str, float]:
    msg = "Unable to locate credentials\nand more"
    raise LookupError(msg)


def lifetime() -> tuple[str, float]:
    return token(), LIFE_SECONDS


def milliseconds() -> tuple[str, float]:
    return token(), (time.time() + LIFE_SECONDS) * 1000


def over() -> tuple[str, float]:
    return token(), time.time() - 1


def alone() -> str:
    return token()


def nothing() -> tuple[None, float]:
    return None, time.time() + LIFE_SECONDS


def empty() -> tuple[str, float]:
    return "", time.time() + LIFE_SECONDS


def as_text() -> tuple[str, str]:
    return token(), "600"
