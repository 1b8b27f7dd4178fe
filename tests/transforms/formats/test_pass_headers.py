from __future__ import annotations

import pytest

from transforms.formats.pass_headers import MAX_BYTES, names_of, passed
from transforms.formats.records import Header


def test_trace_context_and_correlation_ids_are_passed_whatever_their_case() -> None:
    headers = [
        Header("traceparent", b"00-1"),
        Header("X-Request-ID", b"7"),
        Header("ce_id", b"8"),
        Header("origin", b"elsewhere"),
    ]
    assert passed(headers, names_of(())) == tuple(headers[:2])


def test_further_names_are_passed_too() -> None:
    headers = [Header("baggage", b"a=1"), Header("Tenant", b"\xff"), Header("tenant", b"2")]
    assert passed(headers, names_of(["tenant "])) == tuple(headers)


def test_what_is_beyond_the_limit_is_dropped() -> None:
    name = "baggage"
    fits = Header(name, b"x" * (MAX_BYTES - len(name)))
    assert passed([fits, Header("tracestate", b"")], names_of(())) == (fits,)
    assert passed([Header(name, fits.value + b"x")], names_of(())) == ()


@pytest.mark.parametrize("name", ["", " ", "origin", "Origin"])
def test_a_name_that_can_not_be_passed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be passed on"):
        names_of([name])
