from __future__ import annotations

import threading

import pytest

from transforms.learning import token_cache
from transforms.learning.token_cache import CacheKey, TokenCache

KEY = CacheKey("job", "step", (0, 1))


def test_a_value_is_returned_once_and_for_its_token_only() -> None:
    cache: TokenCache[str] = TokenCache()
    cache.put(KEY, b"first", "value")
    assert cache.pop(KEY, b"first") == "value"
    assert cache.pop(KEY, b"first") is None
    cache.put(KEY, b"second", "value")
    assert cache.pop(KEY, b"first") is None
    assert cache.pop(KEY, b"second") is None


def test_jobs_and_steps_do_not_share_a_value() -> None:
    cache: TokenCache[str] = TokenCache()
    cache.put(KEY, b"token", "value")
    assert cache.pop(KEY._replace(scope="another job"), b"token") is None
    assert cache.pop(KEY._replace(step="another step"), b"token") is None
    assert cache.pop(KEY, b"token") == "value"


def test_what_another_job_left_is_dropped_when_it_is_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache: TokenCache[str] = TokenCache()
    cache.put(KEY._replace(scope="ended"), b"token", "value")
    cache.put(KEY, b"token", "mine")
    monkeypatch.setattr(token_cache, "_STALE_SECONDS", -1.0)
    cache.put(KEY._replace(step="another step"), b"token", "mine")
    assert cache.pop(KEY._replace(scope="ended"), b"token") is None
    assert cache.pop(KEY, b"token") == "mine"


def test_a_bundle_waits_for_a_value_that_is_lent() -> None:
    cache = TokenCache[str]()
    cache.put(KEY, b"token", "model")
    with cache.lent(KEY._replace(scope="another")) as nothing:
        assert nothing is None
    found: list[str | None] = []
    bundle = threading.Thread(target=lambda: found.append(cache.pop(KEY, b"token")))
    with cache.lent(KEY) as value:
        bundle.start()
        bundle.join(0.3)
        assert (value, found) == ("model", [])
    bundle.join()
    assert found == ["model"]
    with cache.lent(KEY) as value:
        assert value is None
