"""The programs against a broker that asks for TLS and a password."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import requests

from cluster.flink_cluster import FlinkCluster
from tests import tokens
from tests.canary import MARK, PASSWORD, unpacked
from tests.dashboards import serving
from tests.secured import USER, SecuredBroker
from tests.support import Topics, movielens_like, run, running, tab_lines, wait_until
from transforms.kafka.clients.factory import CLIENTS, KafkaSettings


@pytest.fixture
def config(secured: SecuredBroker) -> Path:
    """As an operator writes it: Java's names, and the password is elsewhere."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    jaas = f'{module} \\\n  username="{USER}" \\\n  password="${{env:KAFKA_PASSWORD}}";'
    return secured.config_file(
        "program",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_jaas_config=jaas,
        ssl_ca_location=secured.authority.path,
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_from_file_to_topic_to_lists_to_page(
    client: str,
    secured: SecuredBroker,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(500)]
    path = tmp_path / "u.data"
    path.write_text(tab_lines(ratings))
    topics = Topics(KafkaSettings(secured.address("BOTH"), str(config)))
    broker = ("--kafka_bootstrap_servers", topics.settings.bootstrap_servers)
    flags = (*broker, "--kafka_config", config, "--kafka_client", client)
    rated, lists = topics.create(), f"{topics.create()}-new"
    sent = run(*flags, "--input", path, "--topic", rated, module="beam_pipeline.produce")
    assert (sent.code, sent.err.splitlines()[-1]) == (0, "sent=500 skipped=0")
    done = run(
        *("--runner=DirectRunner", *flags, "--input_topic", rated, "--stop_at_end"),
        *("--output_topic", lists, "--create_topics"),
    )
    assert done.code == 0, done.err
    assert topics.count(lists) == done.summary["positives"] == 500
    with serving(topics, "--kafka_config", config, "--output_topic", lists) as address:
        wait_until(lambda: requests.get(f"{address}/state", timeout=10).json()["lists"] == 500)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_token_provider_logs_all_programs_in_and_no_token_is_shown(
    client: str, secured: SecuredBroker, tmp_path: Path
) -> None:
    config = secured.config_file("tokens", ssl_ca_location=secured.authority.path)
    broker = ("--kafka_bootstrap_servers", secured.address("TOKENS"), "--kafka_config", config)
    flags = (*broker, "--kafka_client", client, "--kafka_token_provider")
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(100)))
    rated = ("--topic", f"tokens-{client}", "--create_topics", "--input", path)
    sent = run(*flags, "tests.tokens:valid", *rated, module="beam_pipeline.produce")
    assert (sent.code, sent.err.splitlines()[-1]) == (0, "sent=100 skipped=0")
    read = ("--runner=DirectRunner", f"--input_topic=tokens-{client}", "--stop_at_end")
    done = run(*read, *flags, "tests.tokens:valid", "--output", tmp_path / "lists")
    assert (done.code, done.summary["read"]) == (0, 100), done.err
    refused = run(*read, *flags, "tests.tokens:expired", "--output", tmp_path / "none")
    (line,) = refused.err.splitlines()
    assert refused.code == 1
    assert line.endswith("; check the token of --kafka_token_provider")
    assert tokens.START not in f"{sent}{done}{refused}"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_password_is_one_line_of_each_program(
    client: str, secured: SecuredBroker, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", f"{PASSWORD}-not")
    broker = ("--kafka_bootstrap_servers", secured.address("BOTH"), "--kafka_config", config)
    flags = (*broker, "--kafka_client", client)
    for module, arguments in {
        "beam_pipeline": ("--runner=DirectRunner", *flags, "--input_topic=t", "--output=-"),
        "beam_pipeline.produce": (*flags, "--input", __file__, "--topic=t"),
        "beam_pipeline.dashboard": (*broker, "--output_topic=t"),
    }.items():
        failed = run(*arguments, module=module)
        assert (failed.code, failed.out) == (1, "")
        (line,) = failed.err.splitlines()
        assert line.startswith("error: cannot reach Kafka at ")
        assert "the broker refuses the login by SCRAM-SHA-512" in line
        assert line.endswith("; check sasl.username and sasl.password")


def test_a_variable_that_is_not_set_is_a_usage_error_of_one_line(
    secured: SecuredBroker, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    broker = ("--kafka_bootstrap_servers", secured.address("BOTH"), "--kafka_config", config)
    failed = run("--runner=DirectRunner", *broker, "--input_topic=t", "--output=-")
    (line,) = failed.err.splitlines()
    assert failed.code == 2
    assert "sasl.password refers to the environment variable KAFKA_PASSWORD; set it" in line


@pytest.mark.timeout(400)
def test_flink_keeps_no_password_in_what_it_stores_of_a_job(
    secured: SecuredBroker, tmp_path: Path
) -> None:
    config = secured.config_file(
        "flink",
        security_protocol="SASL_SSL",
        ssl_ca_location=secured.authority.path,
        **secured.login("SCRAM-SHA-256"),
    )
    topics = Topics(KafkaSettings(secured.address("BOTH"), str(config)))
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, movielens_like(200))
    cluster = FlinkCluster(tmp_path / "flink", task_managers=1)
    try:
        cluster.start()
        broker = ("--kafka_bootstrap_servers", topics.settings.bootstrap_servers)
        flags = (*cluster.flags(), *broker, "--kafka_config", config)
        flags += ("--checkpointing_interval=1500",)
        log = tmp_path / "log"
        with running(log, *flags, "--input_topic", rated, "--output_topic", lists):
            cluster.wait_for_job()
            wait_until(lambda: topics.count(lists) > 100, seconds=90)
            wait_until(lambda: any((cluster.folder / "checkpoints").rglob("_metadata")))
            stored = contents(cluster.folder)
            (job,) = cluster.rest.get("/jobs/overview")["jobs"]
            cluster.rest.cancel(job["jid"])
    finally:
        cluster.stop()
    # The settings are in the job graph that a JobManager recovers the job from.
    assert any(str(config).encode() in content for content in stored.values())
    assert not [path for path, content in stored.items() if MARK.encode() in content]


def contents(folder: Path) -> dict[Path, bytes]:
    """All files but jars, unpacked; a running cluster deletes some meanwhile."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".jar":
            with contextlib.suppress(FileNotFoundError):
                found[path] = unpacked(path.read_bytes())
    return found
