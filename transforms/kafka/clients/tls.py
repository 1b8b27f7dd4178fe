"""Files of certificates and keys, checked where they are, and TLS as a client does it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from transforms.errors import KafkaSetupError
from transforms.kafka.properties import KEY_STORE_HINT, TRUST_STORE_HINT

_CA: Final = "ssl.ca.location"
_CERTIFICATE: Final = "ssl.certificate.location"
_KEY: Final = "ssl.key.location"
_REVOKED: Final = "ssl.crl.location"
_KEY_STORE: Final = "ssl.keystore.location"
_LIBRDKAFKAS_DEFAULT: Final = "probe"
_JKS_START: Final = b"\xfe\xed\xfe\xed"
_DER_START: Final = b"\x30\x82"


def client_context(properties: Mapping[str, str]) -> ssl.SSLContext:
    """Returns the context of a client with these settings, from files that have been tried.

    Raises:
        KafkaSetupError: A file is missing, cannot be read, or is of another kind or key.
    """
    if properties.get(_CA) == _LIBRDKAFKAS_DEFAULT:
        properties = {name: value for name, value in properties.items() if name != _CA}
    for name in (_CA, _CERTIFICATE, _KEY, _REVOKED, _KEY_STORE):
        _require_readable(name, properties.get(name, ""))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = (
        properties.get("ssl.endpoint.identification.algorithm", "https") == "https"
    )
    if properties.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_trusted(context, properties)
    if _CERTIFICATE in properties:
        _load_own(context, properties)
    return context


def loads_all(properties: Mapping[str, str]) -> bool:
    """Whether `client_context` has all that these settings give a client to show."""
    own = ("ssl.certificate.pem", "ssl.key.pem", _KEY_STORE, "ssl.engine.location")
    return not any(name in properties for name in own)


def _require_readable(name: str, path: str) -> None:
    if not path:
        return
    try:
        if Path(path).is_dir():
            return
        start = Path(path).read_bytes()[: len(_JKS_START)]
    except OSError as e:
        reason = e.strerror
    else:
        if start == _JKS_START:
            hint = TRUST_STORE_HINT if name == _CA else KEY_STORE_HINT
            msg = f"{path}, the {name} of the Kafka settings, is a Java key store. {hint}"
            raise KafkaSetupError(msg)
        return
    msg = f"cannot read {path}, the {name} of the Kafka settings: {reason}"
    raise KafkaSetupError(msg)


def _load_trusted(context: ssl.SSLContext, properties: Mapping[str, str]) -> None:
    path = properties.get(_CA, "")
    folder = bool(path) and Path(path).is_dir()
    try:
        if path:
            context.load_verify_locations(**{"capath" if folder else "cafile": path})
        elif "ssl.ca.pem" in properties:
            context.load_verify_locations(cadata=properties["ssl.ca.pem"])
        else:
            context.load_default_certs()
    except (OSError, ValueError):
        pass
    else:
        _load_revoked(context, properties)
        return
    der = bool(path) and Path(path).read_bytes().startswith(_DER_START)
    hint = f". {TRUST_STORE_HINT}" if der else ""
    msg = f"{path or 'ssl.ca.pem'}, the CA of the Kafka settings, holds no certificate in PEM{hint}"
    raise KafkaSetupError(msg)


def _load_revoked(context: ssl.SSLContext, properties: Mapping[str, str]) -> None:
    if _REVOKED not in properties:
        return
    try:
        context.load_verify_locations(properties[_REVOKED])
    except (OSError, ValueError):
        pass
    else:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return
    path = properties[_REVOKED]
    msg = f"{path}, the {_REVOKED} of the Kafka settings, holds no revocation list in PEM"
    raise KafkaSetupError(msg)


def _load_own(context: ssl.SSLContext, properties: Mapping[str, str]) -> None:
    certificate = properties[_CERTIFICATE]
    key = properties.get(_KEY)
    asked = False

    def password() -> str:
        # Without a function OpenSSL would ask at the terminal.
        nonlocal asked
        asked = True
        return properties.get("ssl.key.password", "")

    try:
        context.load_cert_chain(certificate, key, password)
    except (OSError, ValueError) as e:
        reason = getattr(e, "reason", None) or ""
    else:
        return
    if asked:
        problem = f"ssl.key.password does not decrypt {key or certificate}"
        if "ssl.key.password" not in properties:
            problem = f"{key or certificate} is encrypted: set ssl.key.password"
    elif reason == "KEY_VALUES_MISMATCH":
        problem = f"the key in {key} is not that of the certificate in {certificate}"
    else:
        where = f"{key or certificate} its private key"
        problem = f"{certificate} must hold a certificate in PEM, and {where}"
    msg = f"{problem} ({_CERTIFICATE}, {_KEY} of the Kafka settings)"
    raise KafkaSetupError(msg)
