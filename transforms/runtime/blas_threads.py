"""Limits BLAS to one thread in a worker, which has one core."""

from __future__ import annotations

from functools import cache

from threadpoolctl import threadpool_limits


@cache
def limit() -> None:
    """Limits BLAS to one thread in this process.

    It would start one for each core of the machine, for products so small that they wait for each
    other most of the time, and two workers on two cores would be slower than one.
    """
    threadpool_limits(limits=1, user_api="blas")
