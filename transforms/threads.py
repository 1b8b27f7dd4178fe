"""One thread for matrices in a worker, which has one core."""

from __future__ import annotations

from functools import cache

from threadpoolctl import threadpool_limits


@cache
def use_one() -> None:
    """Makes BLAS use one thread in this process.

    It would take one for each core of the machine, for products so small that they wait for each
    other most of the time, and two workers on two cores would be slower than one.
    """
    threadpool_limits(limits=1, user_api="blas")
