from __future__ import annotations

import time

import pytest

from tests import tokens
from transforms.errors import KafkaSetupError
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.token_provider import fetch


def test_a_provider_gives_a_token_and_when_it_expires() -> None:
    found = fetch("tests.tokens:valid")
    assert found.value.startswith(tokens.START)
    assert 0 < found.expires - time.time() <= tokens.LIFE_SECONDS
    assert found.value not in repr(found)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tests.tokens", "is 'tests.tokens', expected module:function"),
        ("tests.tokens:valid()", "expected module:function"),
        (
            "tests.not_there:valid",
            "ModuleNotFoundError: No module named 'tests.not_there'; install",
        ),
        ("tests.tokens:none", "tests.tokens has no function none"),
        ("tests.tokens:START", "tests.tokens has no function START"),
        ("tests.tokens:failing", "failed: LookupError: Unable to locate credentials$"),
        (
            "tests.tokens:lifetime",
            r"returned a lifetime: add time\.time\(\) to it; expected a pair",
        ),
        ("tests.tokens:milliseconds", "returned an expiry in milliseconds: divide it by 1000; "),
        ("tests.tokens:over", "returned a token that has expired; "),
        ("tests.tokens:alone", "returned a str that is no pair; "),
        ("tests.tokens:nothing", "returned a token of type NoneType; "),
        ("tests.tokens:empty", "returned a token that is empty; "),
        ("tests.tokens:as_text", "returned an expiry of type str; "),
    ],
)
def test_a_provider_that_gives_none_is_one_line_without_the_token(name: str, reason: str) -> None:
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        fetch(name)
    assert len(str(raised.value).splitlines()) == 1
    assert tokens.START not in str(raised.value)


def test_with_a_provider_mechanism_and_protocol_need_not_be_set() -> None:
    settings = KafkaSettings("a:1", token_provider="tests.tokens:valid")
    expected = {"sasl.mechanism": "OAUTHBEARER", "security.protocol": "SASL_SSL"}
    assert settings.resolve() == expected
    given = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "oauthbearer"}
    settings = KafkaSettings("a:1", properties=given, token_provider="tests.tokens:valid")
    assert settings.resolve() == {name: value.upper() for name, value in given.items()}


@pytest.mark.parametrize(
    ("properties", "provider", "reason"),
    [
        ({"sasl.mechanism": "PLAIN"}, "a:b", "sasl.mechanism is not OAUTHBEARER: leave it out"),
        ({"security.protocol": "SSL"}, "a:b", "security.protocol is SSL, which sends no token"),
        (
            {"sasl.mechanism": "OAUTHBEARER", "security.protocol": "SASL_SSL"},
            "",
            "sasl.mechanism is OAUTHBEARER: add --kafka_token_provider module:function",
        ),
    ],
)
def test_settings_that_contradict_a_provider(
    properties: dict[str, str], provider: str, reason: str
) -> None:
    settings = KafkaSettings("a:1", properties=properties, token_provider=provider)
    with pytest.raises(KafkaSetupError, match=reason):
        settings.resolve()


def test_a_name_of_another_form_is_refused_at_once() -> None:
    with pytest.raises(KafkaSetupError, match="expected module:function"):
        KafkaSettings("a:1", token_provider="os.system")
