"""A Python worker that is set for small bundles: what `flurs-beam-worker-pool` starts on Flink.

Beam's own worker does the same, but ends a bundle later and asks the runner again for what it
has just written. Beam's pool can start this one, too: `--container_executable=flurs-beam-worker`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from apache_beam.runners.worker import statesampler
from apache_beam.runners.worker.sdk_worker import SdkHarness

_SAMPLING_MS: Final = 5
_STATE_CACHE_BYTES: Final = 16 << 20


class QuickSampler(statesampler.StateSampler):
    """Beam's, which is asleep for a sixth of the time that a bundle takes when the bundle ends.

    The bundle then waits until it wakes up: up to 200 ms by default.
    """

    def __init__(self, prefix: str, counter_factory: Any) -> None:
        super().__init__(prefix, counter_factory, _SAMPLING_MS)


def main(argv: Sequence[str] | None = None) -> int:
    """Works until the runner ends it. The arguments are those of Beam's containers."""
    parser = argparse.ArgumentParser(prog="flurs-beam-worker", description=__doc__.split("\n")[0])
    parser.add_argument("--id", required=True, help="what the runner calls this worker")
    parser.add_argument("--control_endpoint", required=True, help="where the runner gives orders")
    parser.add_argument("--ready_fd", type=int, help="gets a byte when the runner is connected")
    given, _ = parser.parse_known_args(argv)
    statesampler.StateSampler = QuickSampler
    harness = SdkHarness(
        given.control_endpoint, worker_id=given.id, state_cache_size=_STATE_CACHE_BYTES
    )
    if given.ready_fd is not None:
        os.write(given.ready_fd, b"!")
        os.close(given.ready_fd)
    harness.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
