from __future__ import annotations

import time

from transforms.recommenders.memory.listing_time import ListingTime


def test_lists_take_their_share_by_the_number_of_scores() -> None:
    made = []

    def again() -> None:
        made.append(1)
        time.sleep(0.02)

    lists = ListingTime()
    first = lists.seconds(10.0, 100, again)
    assert 0.02 <= first < 10.0
    assert lists.seconds(10.0, 200, again) == 2 * first
    assert len(made) == 1


def test_they_take_no_more_than_all() -> None:
    lists = ListingTime()
    assert lists.seconds(0.001, 1, lambda: time.sleep(0.02)) == 0.001


def test_it_measures_again_after_a_while() -> None:
    made: list[int] = []
    lists = ListingTime()
    for _ in range(300):
        lists.seconds(1.0, 1, lambda: made.append(1))
    assert len(made) == 2
