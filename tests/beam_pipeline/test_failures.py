from __future__ import annotations

import pytest

from beam_pipeline.failures import reason_of
from transforms.errors import DeliveryError

# What Prism gives of an error in a DoFn, shortened.
_PRISM = """Pipeline job-001 in state FAILED: bundle failed:Traceback (most recent call last):
  File "transforms/write.py", line 46, in _append
OSError: [Errno 28] No space left on device

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "sdk_worker.py", line 310, in _execute
{last}
"""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("cannot write"), "cannot write"),
        (FileNotFoundError(2, "No such file", "x"), "x: No such file"),
        (DeliveryError("not taken\\nat all [while running 'Send']"), "not taken\\nat all"),
        (RuntimeError("PermissionError: [Errno 13] no [while running 'Append']"), "[Errno 13] no"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("numpy._core._exceptions._ArrayMemoryError: 1 TiB"), "1 TiB"),
        (
            RuntimeError(_PRISM.format(last="RuntimeError: OSError: full [while running 'Send']")),
            "full",
        ),
        (
            RuntimeError(_PRISM.format(last="transforms.errors.DeliveryError: away [while")),
            "away [while",
        ),
        (RuntimeError(_PRISM.format(last="KeyError: 'x' [while running 'Learn']")), ""),
        (KeyError("x"), ""),
        (RuntimeError("state holds 3 ratings"), ""),
    ],
)
def test_only_what_is_expected_has_a_reason(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_fault_that_came_after_an_expected_one_has_no_reason() -> None:
    empty: dict[str, str] = {}
    with pytest.raises(KeyError) as caught:
        try:
            raise OSError
        except OSError:
            empty["missing"]
    assert reason_of(caught.value) == ""
