from __future__ import annotations

import pytest

from transforms.kafka.topics import TopicSelection

EXISTING = ["clicks-b", "clicks-a", "my-clicks-c", "__consumer_offsets", "asks"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("asks", ["asks"]),
        ("clicks-b, asks", ["asks", "clicks-b"]),
        ("not-there,asks", ["asks"]),
        ("^clicks-", ["clicks-a", "clicks-b"]),
        ("^clicks-b$", ["clicks-b"]),
        ("^clicks-[a-z]{1,2}$", ["clicks-a", "clicks-b"]),
        ("^.*clicks", ["clicks-a", "clicks-b", "my-clicks-c"]),
        ("^", ["asks", "clicks-a", "clicks-b", "my-clicks-c"]),
    ],
)
def test_names_and_patterns_select_topics_that_exist(text: str, expected: list[str]) -> None:
    assert TopicSelection.parse(text).of(EXISTING) == expected


def test_what_is_excluded_does_not_match_but_may_be_named() -> None:
    selection = TopicSelection.parse("^", ["asks", "clicks-a"])
    assert selection.of(EXISTING) == ["clicks-b", "my-clicks-c"]
    both = selection._replace(names=("asks",))
    assert both.of(EXISTING) == ["asks", "clicks-b", "my-clicks-c"]


@pytest.mark.parametrize("text", ["", "a,", "a,,b", "a,a", "a,^b"])
def test_a_text_that_selects_nothing_sensible_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="selects no topics, expected a name, different names"):
        TopicSelection.parse(text)


@pytest.mark.parametrize("text", ["shop.*", "a,b c", "a/b", "x" * 250])
def test_what_kafka_takes_for_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no topic name, .*; a pattern starts with \^"):
        TopicSelection.parse(text)


def test_a_pattern_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the topic pattern '\^\(' is no regular expression"):
        TopicSelection.parse("^(")
