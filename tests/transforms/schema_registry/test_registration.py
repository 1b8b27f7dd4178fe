from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from cluster.schema_registry import SchemaRegistry
from tests.canary import PASSWORD, require_hidden_in_error
from tests.schema_registries import Front, registered
from tests.secured import Authority
from transforms.errors import SchemaRegistrySetupError
from transforms.formats import avro
from transforms.schema_registry.client import DeniedError, RegistryClient
from transforms.schema_registry.pool import RegistryPool, check_registry, frame_for
from transforms.schema_registry.registration import subject_of
from transforms.schema_registry.settings import SUBJECT_STRATEGIES, SchemaRegistrySettings

SCHEMA = {
    "type": "record",
    "name": "Made",
    "namespace": "flurs_beam",
    "fields": [{"name": "user", "type": "string"}],
}


def problem(settings: SchemaRegistrySettings) -> str:
    with pytest.raises(SchemaRegistrySetupError) as caught:
        check_registry(settings)
    require_hidden_in_error(caught.value)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("registry-ca"))


@pytest.fixture(scope="module")
def secured(schema_registry: SchemaRegistry, authority: Authority) -> Iterator[Front]:
    """HTTPS before the registry, which wants a password."""
    certificate = authority.issue("registry", "127.0.0.1")
    login = f"alice:{PASSWORD}"
    with Front(schema_registry.url, certificate, login).serving() as front:
        yield front


def settings_of(front: Front, folder: Path, **lines: object) -> SchemaRegistrySettings:
    path = folder / "registry.properties"
    path.write_text("".join(f"{key.replace('_', '.')}={value}\n" for key, value in lines.items()))
    return SchemaRegistrySettings(front.url, str(path))


def test_https_with_a_password(
    secured: Front, authority: Authority, schema_registry: SchemaRegistry, tmp_path: Path
) -> None:
    settings = settings_of(
        secured,
        tmp_path,
        ssl_ca_location=authority.path,
        basic_auth_user_info=f"alice:{PASSWORD}",
    )
    check_registry(settings)
    schema_id = registered(schema_registry.url, "secured-value", json.dumps(SCHEMA))
    assert json.loads(RegistryClient(settings).schema(schema_id).text)["name"] == "Made"


def test_a_wrong_password(secured: Front, authority: Authority, tmp_path: Path) -> None:
    wrong = settings_of(
        secured,
        tmp_path,
        ssl_ca_location=authority.path,
        basic_auth_user_info=f"mallory:{PASSWORD}",
    )
    text = problem(wrong)
    assert "denies it: expected alice:*** (HTTP 401)" in text
    assert text.endswith("check --schema_registry_url and --schema_registry_config")
    with pytest.raises(DeniedError) as caught:
        RegistryClient(wrong).schema(1)
    # Its request would have the password in a header.
    assert caught.value.__cause__ is caught.value.__context__ is None
    require_hidden_in_error(caught.value)


def test_certificates(secured: Front, authority: Authority, tmp_path: Path) -> None:
    unknown = SchemaRegistrySettings(secured.url)
    assert "certificate verify failed" in problem(unknown)
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("certificate")
    assert "a certificate or key cannot be used" in problem(
        settings_of(secured, tmp_path, ssl_ca_location=no_pem)
    )
    encrypted = authority.issue("client", password=PASSWORD)
    # It would be asked for at the terminal.
    assert "a certificate or key cannot be used" in problem(
        settings_of(secured, tmp_path, ssl_certificate_location=encrypted)
    )


def test_what_is_no_registry(schema_registry: SchemaRegistry) -> None:
    elsewhere = schema_registry.url.replace("/apis/ccompat/v7", "/api")
    assert "check the URL's path" in problem(SchemaRegistrySettings(elsewhere))
    assert "is away" in problem(SchemaRegistrySettings("http://127.0.0.1:9"))
    with Front(schema_registry.url).serving() as front:
        front.status = 200
        assert "check the URL's path" in problem(SchemaRegistrySettings(front.url))


@pytest.mark.parametrize(
    ("strategy", "subject"),
    zip(
        SUBJECT_STRATEGIES,
        ("recs-value", "flurs_beam.Made", "recs-flurs_beam.Made"),
        strict=True,
    ),
)
def test_subjects_have_the_names_of_confluents_serializers(strategy: str, subject: str) -> None:
    assert subject_of(strategy, "recs", "flurs_beam.Made") == subject


def test_a_schema_is_registered_once(schema_registry: SchemaRegistry) -> None:
    settings = SchemaRegistrySettings(schema_registry.url)
    first = frame_for(settings, "registered", SCHEMA)
    assert frame_for(settings, "registered", SCHEMA) == first
    client = SchemaRegistryClient({"url": schema_registry.url})
    latest = client.get_latest_version("registered-value")
    assert (latest.version, json.loads(latest.schema.schema_str)) == (1, SCHEMA)
    assert first == b"\0" + latest.schema_id.to_bytes(4, "big")


def test_a_schema_that_somebody_else_registered_needs_no_right_to_write(
    schema_registry: SchemaRegistry,
) -> None:
    schema_id = registered(schema_registry.url, "by-others-value", json.dumps(SCHEMA))
    with Front(schema_registry.url).serving() as front:
        frame = frame_for(SchemaRegistrySettings(front.url), "by-others", SCHEMA)
        assert not [path for path in front.paths if "/versions" in path]
    assert frame[1:] == schema_id.to_bytes(4, "big")


def test_a_schema_that_its_subject_does_not_take(schema_registry: SchemaRegistry) -> None:
    other = {**SCHEMA, "fields": [{"name": "user", "type": "int"}]}
    registered(schema_registry.url, "taken-value", json.dumps(other))
    SchemaRegistryClient({"url": schema_registry.url}).set_compatibility("taken-value", "BACKWARD")
    with pytest.raises(SchemaRegistrySetupError) as caught:
        frame_for(SchemaRegistrySettings(schema_registry.url), "taken", SCHEMA)
    text = str(caught.value)
    assert "cannot register the schema of Made as taken-value" in text
    assert "(HTTP 409)" in text
    assert "\n" not in text


def test_a_registry_that_takes_no_schema_from_us(schema_registry: SchemaRegistry) -> None:
    with Front(schema_registry.url).serving() as front:
        front.status = 403
        with pytest.raises(SchemaRegistrySetupError, match="have somebody register it"):
            frame_for(SchemaRegistrySettings(front.url), "recs", SCHEMA)


def test_the_schemas_that_are_written_are_taken_by_a_registry(
    schema_registry: SchemaRegistry,
) -> None:
    settings = SchemaRegistrySettings(schema_registry.url)
    for schema in (avro.RECOMMENDATION_SCHEMA, avro.EVALUATION_SCHEMA):
        assert frame_for(settings, f"own-{schema['name']}", schema)


def test_a_process_has_one_decoder_for_a_registry(schema_registry: SchemaRegistry) -> None:
    pool = RegistryPool()
    settings = SchemaRegistrySettings(schema_registry.url)
    one = pool.decoder(settings)
    assert pool.decoder(SchemaRegistrySettings(schema_registry.url)) is one
    pool.close()
    assert pool.decoder(settings) is not one
    pool.close()


@pytest.mark.parametrize("missing", ["confluent_kafka", "cachetools", "httpx2"])
def test_without_the_extra(missing: str) -> None:
    script = (
        f"import sys; sys.modules[{missing!r}] = None; sys.modules['httpx'] = None\n"
        "from transforms.schema_registry.pool import check_registry\n"
        "from transforms.schema_registry.settings import SchemaRegistrySettings\n"
        "check_registry(SchemaRegistrySettings('http://registry'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.endswith("pip install 'flurs-beam[schema-registry]'"), done.stderr


def test_beam_and_kafkas_clients_are_not_loaded_to_decode() -> None:
    script = (
        "import sys, transforms.schema_registry.decoding\n"
        "print([name for name in ('apache_beam', 'kafka') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
