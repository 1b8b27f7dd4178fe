"""What a failure of TLS means, and what to do about it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

# Numbers of OpenSSL's X509_V_ERR_*.
_UNKNOWN_SIGNERS: Final = (2, 18, 19, 20, 21)
_OTHER_NAMES: Final = (62, 63, 64)
_OUT_OF_DATE: Final = (9, 10)
_CLIENT_CERTIFICATE_ALERTS: Final = ("CERTIFICATE", "UNKNOWN_CA")


class Finding(NamedTuple):
    """Why a server cannot be used.

    Attributes:
        reason: What is wrong.
        advice: What to do.
        listens: Whether something listens there at all.
    """

    reason: str
    advice: str
    listens: bool = True


def untrusted(
    error: ssl.SSLCertVerificationError, host: str, properties: Mapping[str, str]
) -> Finding:
    """Returns why the broker's certificate is not accepted."""
    code = error.verify_code
    if code in _OTHER_NAMES:
        return Finding(
            f"the broker's certificate is not for the name {host}",
            "connect by a name that is in its certificate, or set"
            " ssl.endpoint.identification.algorithm=none to accept any name",
        )
    if code in _UNKNOWN_SIGNERS:
        trusted = properties.get("ssl.ca.location", "this machine's trusted CAs")
        return Finding(
            f"the broker's certificate is not signed by a CA of {trusted}",
            "name a PEM file with the broker's CA in ssl.ca.location",
        )
    if code in _OUT_OF_DATE:
        reason = f"the broker's {error.verify_message}"
        return Finding(reason, "renew it, or correct this machine's clock")
    reason = f"the broker's certificate is not accepted: {error.verify_message}"
    return Finding(reason, "check ssl.ca.location and the broker's certificate")


def tls_failure(error: OSError, properties: Mapping[str, str]) -> Finding:
    """Returns what an end of TLS means that is not about the broker's certificate."""
    reason = getattr(error, "reason", None) or error.strerror or "no answer"
    own = properties.get("ssl.certificate.location")
    if any(alert in reason for alert in _CLIENT_CERTIFICATE_ALERTS):
        if own:
            return Finding(
                f"the broker does not accept the client certificate in {own}",
                "have it signed by a CA that the broker trusts, and check its expiry date",
            )
        return Finding(
            "the broker requires a client certificate",
            "set ssl.certificate.location and ssl.key.location",
        )
    advice = "check that the port is the broker's and which TLS versions it allows"
    if not own:
        advice += "; if it requires a client certificate, set ssl.certificate.location"
    return Finding(f"the broker ends the TLS handshake ({reason})", advice)
