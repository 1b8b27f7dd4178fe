"""Kinds of runners, by their names."""

from __future__ import annotations

from typing import Final

LOCAL_RUNNERS: Final = ("directrunner", "fnapirunner", "prismrunner")


def is_local(runner: str | None) -> bool:
    """Whether a runner of that name works in this process, or in one that it starts."""
    return runner is None or runner.rsplit(".", 1)[-1].lower() in LOCAL_RUNNERS


def is_flink(runner: str | None) -> bool:
    """Whether a runner of that name is Flink."""
    return (runner or "").lower().endswith("flinkrunner")
