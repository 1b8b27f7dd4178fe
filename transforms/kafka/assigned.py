"""What a consumer knows of a partition that it fetches."""

from __future__ import annotations

import threading
import time

from transforms.kafka.record_buffer import RecordBuffer


class Assigned:
    """A partition that is being fetched.

    Attributes:
        position: The next offset that a reader gets.
        buffer: What was fetched from there on.
        out_of_range: Whether there is no record at the position.
        truncated: Whether that is because the broker cut the log off before it.
        read_at: When somebody last read it.
        thread: Who that was.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.buffer = RecordBuffer()
        self.out_of_range = False
        self.truncated = False
        self.read_at = time.monotonic()
        self.thread = threading.get_ident()

    def touch(self) -> None:
        """Notes that the calling thread reads it now."""
        self.read_at, self.thread = time.monotonic(), threading.get_ident()
