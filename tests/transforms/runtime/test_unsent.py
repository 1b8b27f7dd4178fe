from __future__ import annotations

from transforms.runtime.unsent import Unsent


def test_it_is_empty_when_all_have_sent_everything() -> None:
    unsent, one, other = Unsent(), object(), object()
    assert unsent.is_empty()
    unsent.add(one)
    unsent.add(one)
    unsent.add(other)
    unsent.remove(one)
    assert not unsent.is_empty()
    unsent.remove(other)
    unsent.remove(other)
    assert unsent.is_empty()
