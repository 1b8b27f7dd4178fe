from __future__ import annotations

from pathlib import Path

import pytest

from tests.canary import PASSWORD, require_hidden_in_error
from transforms.errors import KafkaSetupError
from transforms.kafka.properties import (
    canonical,
    read_file,
    require_references,
    resolved,
)

JAAS_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"

NAMES = """
# a comment
! another
security.protocol = SASL_SSL
sasl.mechanisms=PLAIN
sasl.username:me
sasl.password=a=b c
ssl_keyfile=/key.pem
ssl_check_hostname=false
reconnect.backoff.ms 1234
fetch.max.wait.ms=\\
    99
config.providers=env
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
"""


def written(folder: Path, text: str) -> str:
    path = folder / "kafka.properties"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_may_have_the_names_of_java_librdkafka_and_kafka_python(tmp_path: Path) -> None:
    assert read_file(written(tmp_path, NAMES)) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "a=b c",
        "ssl.key.location": "/key.pem",
        "ssl.endpoint.identification.algorithm": "false",
        "reconnect.backoff.ms": "1234",
        "fetch.wait.max.ms": "99",
    }


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("sasl.password=hunter2", "hunter2"),
        ("sasl.password:hunter2", "hunter2"),
        ("sasl.password hunter2", "hunter2"),
        ("sasl.password = hunter\\\n   2", "hunter2"),
        ("sasl.password=h\\u00fcnter\\:2", "hünter:2"),
        ("sasl.password=hünter2 ", "hünter2 "),
        ("sasl.password=a#b!c", "a#b!c"),
        ("sasl.password=", ""),
    ],
)
def test_a_line_means_what_it_means_to_java(line: str, value: str, tmp_path: Path) -> None:
    assert read_file(written(tmp_path, line)) == {"sasl.password": value}


@pytest.mark.parametrize(
    "text",
    [
        PASSWORD,
        f"a.b=1\n\n# c\n{PASSWORD}\n",
        f"sasl.password=\n  {PASSWORD}",
        f'{{"sasl.password": "{PASSWORD}"}}',
        f"={PASSWORD}",
        f"sasl.password={PASSWORD}\\u12",
        f"{PASSWORD}/x=1",
        f"sasl.password=a\n{PASSWORD}==",
        f"sasl.password=a\n{PASSWORD.lower().replace('-', '')}={PASSWORD}",
    ],
)
def test_a_line_that_is_no_setting_is_named_by_its_number(text: str, tmp_path: Path) -> None:
    with pytest.raises(KafkaSetupError, match="of the Kafka settings is no setting") as raised:
        read_file(written(tmp_path, text))
    at = next(number for number, line in enumerate(text.split("\n"), 1) if PASSWORD in line)
    assert str(raised.value).startswith(f"line {at} ")
    require_hidden_in_error(raised.value)


def test_a_file_that_is_not_there_is_one_line_that_names_it() -> None:
    with pytest.raises(KafkaSetupError, match="No such file or directory: '/not/there'; workers"):
        read_file("/not/there")


def test_a_file_that_is_not_utf_8_shows_none_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_bytes(PASSWORD.encode() + b"\xe4")
    with pytest.raises(KafkaSetupError, match="is not UTF-8; write other characters as") as raised:
        read_file(str(path))
    require_hidden_in_error(raised.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bootstrap.servers", "'bootstrap.servers' .*flag of its own"),
        ("enable_auto_commit", "'enable_auto_commit' .*flag of its own"),
        ("acks", "may not be changed"),
        ("ssl.truststore.location", "keytool -list -rfc .*ssl.ca.location"),
    ],
)
def test_what_is_not_the_files_to_set_is_refused(name: str, reason: str) -> None:
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        canonical([(name, PASSWORD)])
    require_hidden_in_error(raised.value)


def test_javas_names_for_stores_of_pem_files_are_understood() -> None:
    assert canonical(
        [
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "/ca.pem"),
            ("ssl.keystore.type", "pem"),
            ("ssl.keystore.location", "/client.pem"),
        ]
    ) == {"ssl.ca.location": "/ca.pem", "ssl.certificate.location": "/client.pem"}
    for kind in ("JKS", "PKCS12"):
        with pytest.raises(KafkaSetupError, match="keytool -list -rfc"):
            canonical([("ssl.truststore.type", kind), ("ssl.truststore.location", "/ca.p12")])


@pytest.mark.parametrize(
    ("line", "password"),
    [
        (f'{JAAS_PLAIN} username="alice" password="s3cret;";', "s3cret;"),
        (f"{JAAS_PLAIN} username=alice password=s3cret;", "s3cret"),
        (f'{JAAS_PLAIN} required\n username="alice"\n password="a\\"b\\\\c" ;', 'a"b\\c'),
    ],
)
def test_user_and_password_are_found_in_javas_jaas_line(line: str, password: str) -> None:
    expected = {"sasl.username": "alice", "sasl.password": password}
    assert resolved({"sasl.jaas.config": line}) == expected


def test_a_jaas_line_of_several_lines_is_read_as_java_reads_it(tmp_path: Path) -> None:
    text = f'sasl.jaas.config={JAAS_PLAIN} \\\n  username="alice" \\\n  password="{{}}";\n'
    found = resolved(read_file(written(tmp_path, text.format("s3cret"))))
    assert found == {"sasl.username": "alice", "sasl.password": "s3cret"}


def test_a_jaas_line_may_have_references_or_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Put in after the line is read, so a password may have any character.
    monkeypatch.setenv("KAFKA_PASSWORD", 'a";b')
    monkeypatch.setenv("KAFKA_LOGIN", f'{JAAS_PLAIN} username="alice" password="x y";')
    part = f'{JAAS_PLAIN} username="alice" password="${{env:KAFKA_PASSWORD}}";'
    assert resolved({"sasl.jaas.config": part})["sasl.password"] == 'a";b'
    assert resolved({"sasl.jaas.config": "${env:KAFKA_LOGIN}"})["sasl.password"] == "x y"


def test_a_jaas_line_that_java_would_not_read_is_refused() -> None:
    line = f'{JAAS_PLAIN} username="alice" password="half"rest";'
    with pytest.raises(KafkaSetupError, match="a quote that ends nothing") as raised:
        resolved({"sasl.jaas.config": line})
    assert "half" not in str(raised.value)
    with pytest.raises(KafkaSetupError, match="a quote that ends nothing"):
        require_references({"sasl.jaas.config": line})


def test_a_jaas_line_without_a_password_is_refused() -> None:
    line = f'org.apache.kafka.X required clientSecret="{PASSWORD}";'
    with pytest.raises(KafkaSetupError, match="no username or no password") as raised:
        resolved({"sasl.jaas.config": line})
    require_hidden_in_error(raised.value)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"ssl.endpoint.identification.algorithm": PASSWORD}, "neither https nor none"),
        ({"security.protocol": PASSWORD}, "is none of PLAINTEXT, SSL"),
        ({"security.protocol": "SASL_SSL"}, "set sasl.mechanism, too, for example PLAIN"),
        (
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "plain", "sasl.password": PASSWORD},
            "sasl.mechanism is PLAIN: set sasl.username and sasl.password",
        ),
    ],
)
def test_values_that_can_not_be_are_refused_and_not_shown(
    properties: dict[str, str], reason: str
) -> None:
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        resolved(properties)
    require_hidden_in_error(raised.value)


def test_javas_ways_to_write_a_value_are_understood() -> None:
    name = "ssl.endpoint.identification.algorithm"
    assert [resolved({name: value})[name] for value in ("", "none", "False")] == ["none"] * 3
    assert [resolved({name: value})[name] for value in ("HTTPS", "true")] == ["https"] * 2
    assert resolved({"security.protocol": "ssl"}) == {"security.protocol": "SSL"}


@pytest.mark.parametrize(
    "properties",
    [
        {"sasl.password": PASSWORD},
        {"sasl.pasword": PASSWORD},
        {"sasl.password": f"{PASSWORD}${{env:A}}"},
        {"ssl.key.password": PASSWORD},
        {"ssl.key.pem": PASSWORD},
        {"ssl.keystore.password": PASSWORD},
        {"ssl.keystore.key": PASSWORD},
        {"sasl.oauthbearer.client.secret": PASSWORD},
        {"sasl.oauthbearer.client.credentials.client.secret": PASSWORD},
        {"sasl.oauthbearer.config": PASSWORD},
        {"sasl.oauthbearer.assertion.private.key.passphrase": PASSWORD},
        {"sasl.oauthbearer.assertion.private.key.pem": PASSWORD},
        {"proxy.url": f"socks5://me:{PASSWORD}@proxy:1080"},
        {"sasl.jaas.config": f'{JAAS_PLAIN} username="alice" password="{PASSWORD}";'},
        {"sasl.jaas.config": f'org.apache.kafka.X required clientSecret="{PASSWORD}";'},
    ],
)
def test_a_secret_in_code_is_refused_with_what_to_do(properties: dict[str, str]) -> None:
    with pytest.raises(KafkaSetupError, match=r"give a reference .* \$\{env:NAME\}") as raised:
        require_references(properties)
    assert next(iter(properties)) in str(raised.value)
    require_hidden_in_error(raised.value)


def test_references_to_secrets_and_what_is_no_secret_are_taken() -> None:
    require_references(
        {
            "sasl.password": "${env:KAFKA_PASSWORD}",
            "ssl.key.password": "${directory:/mnt/kafka:password}",
            "ssl.key.location": "/client.pem",
            "sasl.username": "alice",
            "sasl.oauthbearer.assertion.private.key.file": "/key.pem",
            "sasl.oauthbearer.token.endpoint.url": "https://login",
            "proxy.url": "socks5://proxy:1080",
            "sasl.jaas.config": f'{JAAS_PLAIN} username="alice" password="${{file:/p}}";',
        }
    )
    require_references({"sasl.jaas.config": "${file:/etc/jaas}"})
