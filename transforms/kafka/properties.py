"""Client settings as text: Java's properties format, names in three dialects, JAAS lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import javaproperties

from transforms.errors import KafkaSetupError
from transforms.kafka.secrets import follow, is_reference, is_secret

# librdkafka's names, which all settings are read into, and kafka-python's where they differ.
KAFKA_PYTHON_NAMES: Final = {
    "fetch.wait.max.ms": "fetch_max_wait_ms",
    "message.max.bytes": "max_request_size",
    "sasl.password": "sasl_plain_password",
    "sasl.username": "sasl_plain_username",
    "socket.receive.buffer.bytes": "receive_buffer_bytes",
    "socket.send.buffer.bytes": "send_buffer_bytes",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.cipher.suites": "ssl_ciphers",
    "ssl.crl.location": "ssl_crlfile",
    "ssl.endpoint.identification.algorithm": "ssl_check_hostname",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
_SYNONYMS: Final = {
    **{theirs.replace("_", "."): name for name, theirs in KAFKA_PYTHON_NAMES.items()},
    "sasl.mechanisms": "sasl.mechanism",
}
_JAAS: Final = "sasl.jaas.config"
_JAAS_OPTION: Final = re.compile(r'\b(username|password)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))')
_ANY_JAAS_OPTION: Final = re.compile(r'[\w.-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s";]+)')
_CHECK_NAMES: Final = "ssl.endpoint.identification.algorithm"
# What cannot be a name is never shown: it may be the rest of a secret that has two lines.
_NAME: Final = re.compile(r"[a-z0-9]+(?:[._][a-z0-9._]+)|acks|debug|partitioner|retries")
_SEPARATOR: Final = re.compile(r"(?<!\\)[=:\s]")
_OURS: Final = {
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.report.only.error",
    "enable.auto.commit",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "partitioner",
    "transactional.id",
}
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_PASSWORD_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TOKENS: Final = "OAUTHBEARER"
# librdkafka's own ways to get a token.
_TOKEN_SETTINGS: Final = ("sasl.oauthbearer.", "enable.sasl.oauthbearer.unsecure.jwt")
TRUST_STORE_HINT: Final = (
    "Java's trust stores (JKS, PKCS12) are not read: make a PEM file of it with"
    " `keytool -list -rfc -keystore TRUSTSTORE > ca.pem` and name that in ssl.ca.location"
)
KEY_STORE_HINT: Final = (
    "Java's key stores are not read: make a PEM file of it with `keytool -importkeystore"
    " -srckeystore KEYSTORE -destkeystore client.p12 -deststoretype PKCS12` and `openssl pkcs12"
    " -in client.p12 -out client.pem`, name that in ssl.certificate.location and"
    " ssl.key.location, and set ssl.key.password"
)


def read_file(path: str) -> dict[str, str]:
    """Returns the settings of a file in Java's properties format; references stay as they are.

    Raises:
        KafkaSetupError: The file cannot be read, a line is not `name=value`, or sets what is
            not the file's to set. The text has no value of the file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as e:
        reason = str(e)
    except UnicodeDecodeError:
        reason = f"{path} is not UTF-8; write other characters as \\uXXXX"
    else:
        return canonical(_pairs(text))
    msg = f"cannot read the Kafka settings: {reason}; workers read the same path"
    raise KafkaSetupError(msg)


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    line = 1
    try:
        for element in javaproperties.parse(text):
            if isinstance(element, javaproperties.KeyValue):
                source = element.source.strip()
                if not (_NAME.fullmatch(element.key) and _SEPARATOR.search(source)):
                    break
                pairs.append((element.key, element.value))
            line += element.source.count("\n")
        else:
            return pairs
    except ValueError:
        pass
    msg = f"line {line} of the Kafka settings is no setting; expected name=value"
    raise KafkaSetupError(msg)


def canonical(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the settings under librdkafka's names.

    The names may be those of the Java client, of librdkafka or of kafka-python.

    Raises:
        KafkaSetupError: A setting has a flag of its own, or means nothing to either client.
    """
    found = {}
    for given, value in _pem_stores(list(pairs)):
        dotted = given.replace("_", ".")
        name = _SYNONYMS.get(dotted, dotted)
        if name in _OURS:
            msg = f"{given!r} in the Kafka settings has a flag of its own, or may not be changed"
            raise KafkaSetupError(msg)
        if name.startswith("ssl.truststore."):
            msg = f"{given!r} in the Kafka settings is not understood. {TRUST_STORE_HINT}"
            raise KafkaSetupError(msg)
        # Java's clients have to be told of the providers that are always there for ours.
        if not name.startswith("config.providers"):
            found[name] = value
    return found


def _pem_stores(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the settings with Java's names for stores of PEM files (KIP-651) as librdkafka's."""
    for kind, name in (("truststore", "ssl.ca.location"), ("keystore", "ssl.certificate.location")):
        type_name = f"ssl.{kind}.type"
        if any(given == type_name and value.upper() == "PEM" for given, value in pairs):
            names = {f"ssl.{kind}.location": name}
            pairs = [(names.get(given, given), value) for given, value in pairs]
            pairs = [pair for pair in pairs if pair[0] != type_name]
    return pairs


def require_references(properties: Mapping[str, str]) -> None:
    """Checks that no secret stands in the settings itself.

    Raises:
        KafkaSetupError: One does; the text has its name only.
    """
    for name, value in properties.items():
        if name == _JAAS and not is_reference(value):
            literal = not is_reference(_jaas_options(value).get("password", ""))
        else:
            literal = is_secret(name, value) and not is_reference(value)
        if literal:
            msg = (
                f"{name} would travel with the pipeline, in clear text: give a reference that"
                " workers follow, ${env:NAME}, ${file:PATH}, ${file:PATH:KEY} or"
                " ${directory:PATH:NAME}, or put it into the config_file"
            )
            raise KafkaSetupError(msg)


def resolved(properties: Mapping[str, str], *, has_tokens: bool = False) -> dict[str, str]:
    """Returns the settings with all references followed, and checked as far as is possible here.

    Args:
        properties: Under librdkafka's names.
        has_tokens: Whether a token provider logs in.

    Raises:
        KafkaSetupError: A reference leads nowhere, or a value cannot be; the text has no value.
    """
    found = dict(properties)
    jaas = found.pop(_JAAS, None)
    # Java's clients take the class that gets the tokens from there.
    if jaas is not None and not has_tokens:
        if is_reference(jaas):
            jaas = follow(_JAAS, jaas)
        options = _jaas_options(jaas)
        if options.keys() != {"username", "password"}:
            msg = (
                f"{_JAAS} in the Kafka settings has no username or no password; other logins"
                " need librdkafka and its settings"
            )
            raise KafkaSetupError(msg)
        found |= {f"sasl.{name}": value for name, value in options.items()}
    found = {name: follow(name, value) for name, value in found.items()}
    if _CHECK_NAMES in found:
        found[_CHECK_NAMES] = _names_are_checked(found[_CHECK_NAMES])
    for name in ("security.protocol", "sasl.mechanism"):
        if name in found:
            found[name] = found[name].upper()
    if "ssl.certificate.location" in found and "ssl.key.pem" not in found:
        # A PEM file may hold both; librdkafka looks there only if told.
        found.setdefault("ssl.key.location", found["ssl.certificate.location"])
    if has_tokens:
        found.setdefault("sasl.mechanism", _TOKENS)
        found.setdefault("security.protocol", "SASL_SSL")
    _check_login(found, has_tokens)
    return found


def _jaas_options(line: str) -> dict[str, str]:
    if '"' in _ANY_JAAS_OPTION.sub("", line):
        # What stands before the quote would be taken for the whole password.
        msg = (
            f"{_JAAS} in the Kafka settings has a quote that ends nothing: in a value write"
            r' \", and \\" in a properties file'
        )
        raise KafkaSetupError(msg)
    return {
        name: re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
        for name, quoted, bare in _JAAS_OPTION.findall(line)
    }


def require_protocol(found: Mapping[str, str]) -> None:
    """Checks that a login does not stand there for nothing.

    Raises:
        KafkaSetupError: There is a password and no `security.protocol`, whose default sends none.
    """
    if found.get("sasl.password") and "security.protocol" not in found:
        msg = (
            "sasl.password is set and security.protocol is not, so the client would connect in"
            " plaintext without a login: set security.protocol=SASL_SSL (SASL_PLAINTEXT where the"
            " broker has no TLS)"
        )
        raise KafkaSetupError(msg)


def _names_are_checked(value: str) -> str:
    lower = value.lower()
    if lower in {"", "none", "false"}:
        return "none"
    if lower in {"https", "true"}:
        return "https"
    msg = (
        f"{_CHECK_NAMES} (kafka-python: ssl_check_hostname) in the Kafka settings is neither"
        " https nor none, true nor false"
    )
    raise KafkaSetupError(msg)


def _check_login(found: Mapping[str, str], has_tokens: bool) -> None:
    protocol = found.get("security.protocol", "PLAINTEXT")
    if protocol not in _PROTOCOLS:
        expected = ", ".join(_PROTOCOLS)
        msg = f"security.protocol in the Kafka settings is none of {expected}"
        raise KafkaSetupError(msg)
    if not protocol.startswith("SASL_"):
        if has_tokens:
            msg = (
                f"a Kafka token provider is given, and security.protocol is {protocol}, which sends"
                " no token: set security.protocol=SASL_SSL"
            )
            raise KafkaSetupError(msg)
        return
    mechanism = found.get("sasl.mechanism")
    if has_tokens and mechanism != _TOKENS:
        msg = f"a Kafka token provider is given, and sasl.mechanism is not {_TOKENS}: leave it out"
        raise KafkaSetupError(msg)
    gets_tokens = has_tokens or any(name.startswith(_TOKEN_SETTINGS) for name in found)
    if mechanism == _TOKENS and not gets_tokens:
        msg = f"sasl.mechanism is {_TOKENS}: add --kafka_token_provider module:function"
        raise KafkaSetupError(msg)
    if not mechanism:
        expected = ", ".join(_PASSWORD_MECHANISMS)
        msg = f"security.protocol is {protocol}: set sasl.mechanism, too, for example {expected}"
        raise KafkaSetupError(msg)
    for name in ("sasl.username", "sasl.password"):
        if mechanism in _PASSWORD_MECHANISMS and not found.get(name):
            msg = f"sasl.mechanism is {mechanism}: set sasl.username and sasl.password, too"
            raise KafkaSetupError(msg)
