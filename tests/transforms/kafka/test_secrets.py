from __future__ import annotations

from pathlib import Path

import pytest

from transforms.errors import KafkaSetupError
from transforms.kafka.secrets import follow, redacted


def test_references_are_those_of_kafkas_config_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "from env")
    (tmp_path / "password").write_text("from file\n", encoding="utf-8")
    (tmp_path / "more.properties").write_text("a.b = x\nkey: from\\\n line\n", encoding="utf-8")
    assert follow("n", "${env:KAFKA_PASSWORD}") == "from env"
    assert follow("n", f"${{file:{tmp_path}/password}}") == "from file"
    assert follow("n", f"${{directory:{tmp_path}:password}}") == "from file"
    assert follow("n", f"${{file:{tmp_path}/more.properties:key}}") == "fromline"
    assert follow("n", "<${env:KAFKA_PASSWORD}>") == "<from env>"
    assert follow("n", "a $b {c} ${d}") == "a $b {c} ${d}"


def test_what_a_reference_gives_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST", r"${env:SECOND}\1")
    assert follow("n", "${env:FIRST}") == r"${env:SECOND}\1"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("${env:NOT_SET_ANYWHERE}", "sasl.password refers to the environment variable NOT_SET"),
        ("${file:/not/there}", "/not/there, which cannot be read: No such file.*every worker"),
        ("${directory:/not:there}", "/not/there, which cannot be read"),
        ("${file:{here}:nope}", "refers to the setting nope of .* does not have it"),
        ("${file:{here}/binary}", "binary, which cannot be read: it is not UTF-8"),
        ("${vault:x}", r"unknown form; expected \$\{env:NAME\}"),
        ("${directory:/not}", "unknown form"),
    ],
)
def test_a_reference_that_leads_nowhere_says_what_to_do(
    value: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "lines").write_text("a=1\n", encoding="utf-8")
    value = value.replace("{here}/", f"{tmp_path}/").replace("{here}", f"{tmp_path}/lines")
    with pytest.raises(KafkaSetupError, match=reason):
        follow("sasl.password", value)


def test_what_a_library_says_is_shown_without_the_values_that_it_got() -> None:
    given = {"sasl.password": "xy", "client.id": "longer", "ssl.key.password": "xyz", "a": "b"}
    assert redacted("xyz xy longer b", given) == "*** *** *** b"
