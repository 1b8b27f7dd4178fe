from __future__ import annotations

import os
import pty
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canary import KEY_PASSWORD, require_hidden_in_error
from tests.secured import Authority
from transforms.errors import KafkaSetupError
from transforms.kafka.clients.tls import client_context
from transforms.kafka.properties import KEY_STORE_HINT, TRUST_STORE_HINT


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    authority.issue("client", password=KEY_PASSWORD)
    authority.issue("other")
    (authority.folder / "empty").touch()
    (authority.folder / "der").write_bytes(b"\x30\x82\x01\x00")
    _truststore(authority)
    return authority


def _truststore(authority: Authority) -> None:
    command = ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-storetype", "JKS"]
    files = ["-file", str(authority.path), "-keystore", str(authority.folder / "trust.jks")]
    subprocess.run([*command, *files, "-storepass", "change-me"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("ca=nope", "nope, the ssl.ca.location of the Kafka settings: No such file or directory"),
        ("ca=empty", "empty, the CA of the Kafka settings, holds no certificate in PEM$"),
        ("ca=der", "holds no certificate in PEM. Java's trust stores .* are not read: .*keytool"),
        ("ca=trust.jks", "trust.jks, the ssl.ca.location .* is a Java key store.*keytool -list"),
        ("certificate=nope", "nope, the ssl.certificate.location of the Kafka settings: No such"),
        ("certificate=trust.jks", "is a Java key store.*keytool -importkeystore.*openssl pkcs12"),
        ("certificate=other.pem key=nope", "nope, the ssl.key.location of the Kafka settings"),
        ("certificate=ca.pem", "ca.pem must hold a certificate in PEM, and .*ca.pem its private"),
        ("certificate=empty key=other.pem", "empty must hold a certificate in PEM"),
        (
            "certificate=ca.pem key=other.pem",
            "other.pem is not that of the certificate in",
        ),
        ("certificate=client.pem", "client.pem is encrypted: set ssl.key.password"),
        ("crl=nope", "nope, the ssl.crl.location"),
        ("crl=empty", "empty, the ssl.crl.location .* holds no revocation list"),
        ("keystore=nope", "nope, the ssl.keystore.location"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_what_to_do(
    settings: str, reason: str, authority: Authority
) -> None:
    pairs = (pair.split("=") for pair in settings.split())
    properties = {f"ssl.{name}.location": str(authority.folder / path) for name, path in pairs}
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        client_context(properties)
    assert len(str(raised.value).splitlines()) == 1


def test_a_wrong_key_password_is_said_and_not_shown(authority: Authority) -> None:
    pem = str(authority.folder / "client.pem")
    properties = {"ssl.certificate.location": pem, "ssl.key.password": f"{KEY_PASSWORD}-not"}
    with pytest.raises(KafkaSetupError, match=r"ssl\.key\.password does not decrypt") as raised:
        client_context(properties)
    require_hidden_in_error(raised.value)


def test_a_missing_key_password_is_not_asked_for_at_the_terminal(authority: Authority) -> None:
    pem = str(authority.folder / "client.pem")
    code = (
        "from transforms.kafka.clients.tls import client_context\n"
        f"client_context({{'ssl.certificate.location': {pem!r}}})"
    )
    ours, theirs = pty.openpty()
    process = subprocess.run(
        ["setsid", "--ctty", sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        check=False,
        timeout=60,
    )
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 1
    assert "is encrypted: set ssl.key.password" in said
    assert "pass phrase" not in said


def test_what_can_be_used_is_loaded(authority: Authority) -> None:
    pem = str(authority.folder / "client.pem")
    context = client_context(
        {
            "ssl.ca.location": str(authority.path),
            "ssl.certificate.location": pem,
            "ssl.key.location": pem,
            "ssl.key.password": KEY_PASSWORD,
        }
    )
    assert len(context.get_ca_certs()) == 1
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    lax = client_context({"ssl.endpoint.identification.algorithm": "none"})
    assert (lax.check_hostname, lax.verify_mode) == (False, ssl.CERT_REQUIRED)
    # librdkafka's word for the system's.
    assert client_context({"ssl.ca.location": "probe"}).verify_mode == ssl.CERT_REQUIRED
    assert client_context({"ssl.ca.pem": authority.path.read_text()}).get_ca_certs()


def test_the_commands_that_errors_name_convert_javas_stores(
    authority: Authority, tmp_path: Path
) -> None:
    """They are run as they stand in the texts, but for names of files and the passwords."""
    trust = TRUST_STORE_HINT.split("`")[1].replace("TRUSTSTORE", f"{authority.folder}/trust.jks")
    run(f"{trust.replace(' >', ' -storepass change-me >')}", tmp_path)
    assert client_context({"ssl.ca.location": str(tmp_path / "ca.pem")}).get_ca_certs()
    run(
        "keytool -genkeypair -keyalg RSA -storetype JKS -keystore key.jks -alias me -dname CN=me"
        " -storepass change-me -keypass change-me",
        tmp_path,
    )
    to_p12, to_pem = KEY_STORE_HINT.split("`")[1], KEY_STORE_HINT.split("`")[3]
    passwords = "-srcstorepass change-me -deststorepass change-me"
    run(f"{to_p12.replace('KEYSTORE', 'key.jks')} {passwords}", tmp_path)
    run(f"{to_pem} -passin pass:change-me -passout pass:{KEY_PASSWORD}", tmp_path)
    pem = str(tmp_path / "client.pem")
    client_context({"ssl.certificate.location": pem, "ssl.key.password": KEY_PASSWORD})


def run(command: str, folder: Path) -> None:
    subprocess.run(command, shell=True, check=True, cwd=folder, capture_output=True)
