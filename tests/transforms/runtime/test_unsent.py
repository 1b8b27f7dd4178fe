from __future__ import annotations

import time

from transforms.runtime.unsent import Unsent


def test_what_was_taken_up_to_a_moment_is_sent_when_all_have_sent() -> None:
    unsent, one, other = Unsent(), object(), object()
    assert unsent.is_sent(time.monotonic())
    before = time.monotonic() - 1
    unsent.add(one)
    unsent.add(one)
    unsent.add(other)
    now = time.monotonic()
    assert unsent.is_sent(before)
    unsent.remove(one)
    assert not unsent.is_sent(now)
    unsent.remove(other)
    unsent.remove(other)
    assert unsent.is_sent(now)
