from __future__ import annotations

from typing import Any

import pytest

from beam_pipeline.web.decode import decode_recommendation
from transforms.errors import MalformedRecordError
from transforms.formats import avro, json_lines
from transforms.formats.records import Recommendation, ScoredItem

MADE = Recommendation("196", [ScoredItem("242", 0.5), ScoredItem("50", 0.25)], 881.0, "u.data:1")


def test_lists_of_either_format_are_read() -> None:
    assert decode_recommendation(json_lines.encode_recommendation(MADE)) == MADE
    assert decode_recommendation(avro.encode_recommendation(MADE)) == MADE


def test_what_stood_in_for_the_model_is_read() -> None:
    popular = MADE._replace(fallback="popular")
    assert decode_recommendation(json_lines.encode_recommendation(popular)) == popular
    assert decode_recommendation(avro.encode_recommendation(popular)) == popular


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "neither Avro nor JSON"),
        (b"[1]", "not a recommendation: TypeError"),
        (b"{}", "not a recommendation: KeyError: 'user'"),
        (b'{"user": "1", "items": [{"item": "2"}], "timestamp": 1, "origin": ""}', "'score'"),
        (
            b'{"user": "1", "items": 7, "timestamp": 1, "origin": ""}',
            "not a recommendation: TypeError",
        ),
        (avro.encode_recommendation(MADE)[:-3], "not a datum of its Avro schema"),
    ],
)
def test_what_is_no_list_says_why(value: bytes, reason: Any) -> None:
    with pytest.raises(MalformedRecordError, match=reason):
        decode_recommendation(value)
