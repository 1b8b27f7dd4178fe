from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.canary import MARK, PASSWORD, require_hidden, require_hidden_in_error
from transforms.errors import SchemaRegistrySetupError
from transforms.schema_registry.settings import SchemaRegistrySettings, secrets_of

Write = Callable[..., SchemaRegistrySettings]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Returns settings with a file of these lines."""

    def write(*lines: str) -> SchemaRegistrySettings:
        path = tmp_path / "registry.properties"
        path.write_text("\n".join(lines) + "\n")
        return SchemaRegistrySettings("https://registry", str(path))

    return write


def test_names_are_those_of_either_client(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)
    settings = write(
        "schema.registry.basic.auth.credentials.source=USER_INFO",
        "schema.registry.basic.auth.user.info=alice:${env:REGISTRY_PASSWORD}",
        "timeout=2.5",
    )
    assert settings.resolve() == {"basic.auth.user.info": f"alice:{PASSWORD}", "timeout": 2.5}


def test_a_password_is_not_in_a_pickle_nor_in_the_text_of_the_settings(write: Write) -> None:
    settings = write(f"basic.auth.user.info=alice:{PASSWORD}")
    assert PASSWORD in settings.resolve()["basic.auth.user.info"]
    require_hidden(pickle.dumps(settings).decode("latin-1"), "a pickle")
    require_hidden(repr(settings), "the settings")
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_what_is_taken_out_of_errors(write: Write) -> None:
    settings = write(f"basic.auth.user.info=alice:{PASSWORD}", "bearer.auth.client.secret=s3cr3t")
    found = secrets_of(settings.resolve())
    assert set(found) == {f"alice:{PASSWORD}", PASSWORD, "s3cr3t"}
    assert found[0] == f"alice:{PASSWORD}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("basic.auth.user.info=alice", "must be USER:PASSWORD"),
        ("basic.auth.credentials.source=SASL_INHERIT", "can only be USER_INFO"),
        ("ssl.truststore.location=/x.jks", "keytool"),
        ("ssl.ca.location=/nowhere/ca.pem", "cannot read /nowhere/ca.pem, the ssl.ca.location"),
        ("timeout=soon", "no number of seconds"),
        ("timeout=0", "no number of seconds"),
        (f"{MARK}=1", "a name that is none of"),
        ("basic.auth.user.info=a:${env:NOT_SET}", "environment variable NOT_SET"),
        ("basic.auth.user.info=a:${vault:x}", "reference of unknown form"),
        ("timeout=\\u12", "no properties file"),
    ],
)
def test_settings_that_can_not_be_used(line: str, expected: str, write: Write) -> None:
    with pytest.raises(SchemaRegistrySetupError, match=expected) as caught:
        write(line).resolve()
    require_hidden_in_error(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(SchemaRegistrySetupError, match=r"cannot read /nowhere, .*: No such file"):
        SchemaRegistrySettings("http://registry", "/nowhere").resolve()


@pytest.mark.parametrize(
    "url", ["registry", "ftp://registry", "http://", "http://registry:port", "http://a,b", ""]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(SchemaRegistrySetupError, match="expected http://HOST:PORT"):
        SchemaRegistrySettings(url)


@pytest.mark.parametrize("url", [f"https://alice:{PASSWORD}@registry", f"http://a,http://{MARK}@b"])
def test_a_password_in_the_url_is_refused(url: str) -> None:
    with pytest.raises(SchemaRegistrySetupError, match=r"basic\.auth\.user\.info") as caught:
        SchemaRegistrySettings(url)
    require_hidden_in_error(caught.value)


def test_other_fields_are_checked() -> None:
    with pytest.raises(ValueError, match="subject name strategy, expected TopicNameStrategy"):
        SchemaRegistrySettings("http://registry", strategy="TOPIC")
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected 0 or more"):
            SchemaRegistrySettings("http://registry", retry_seconds=seconds)
