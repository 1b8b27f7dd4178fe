"""A broker that asks for certificates and passwords, and the files that its clients need."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster.broker import Broker
from tests.canary import KEY_PASSWORD, PASSWORD
from transforms.kafka.clients.factory import KafkaSettings

USER: Final = "alice"
_TOKENS: Final = (
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
    ' unsecuredLoginStringClaim_sub="broker";'
)
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a test.

    Attributes:
        folder: Where its files go.
        name: Of its files; `NAME.pem` is its certificate.
    """

    folder: Path
    name: str = "ca"
    _signer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        built = _builder(subject, subject, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        certificate = built.sign(key, hashes.SHA256())
        object.__setattr__(self, "_signer", (key, certificate))
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def path(self) -> Path:
        """Its certificate."""
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, address: str = "", password: str = "", days: int = 2) -> Path:
        """Returns a PEM file with a key and a certificate, for an IP address if one is given."""
        signer, issuer = self._signer
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = _builder(subject, issuer.subject, key, days)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            built = built.add_extension(names, critical=False)
        certificate = built.sign(signer, hashes.SHA256())
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password.encode())
        path = self.folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 2
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


class SecuredBroker:
    """One broker with a listener for each way to secure it.

    Listeners: `LOGIN` (SASL_PLAINTEXT), `TLS`, `BOTH` (SASL_SSL), `MUTUAL` (TLS with client
    certificates), `PLAINONLY` (SASL_PLAINTEXT, PLAIN alone), `EXPIRED` (TLS), `TOKENS` (SASL_SSL,
    OAUTHBEARER alone, a new login every two seconds).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "files")
        self.stranger = Authority(folder / "files", "stranger")
        store = self.authority.issue("broker", "127.0.0.1")
        expired = self.authority.issue("expired", "127.0.0.1", days=-1)
        self.client_certificate = self.authority.issue("client", password=KEY_PASSWORD)
        self.strange_certificate = self.stranger.issue("strange")
        self.broker = Broker(
            folder / "broker",
            properties=[
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={store}",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={self.authority.path}",
                "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                "listener.name.plainonly.sasl.enabled.mechanisms=PLAIN",
                "listener.name.mutual.ssl.client.auth=required",
                "listener.name.expired.ssl.keystore.type=PEM",
                f"listener.name.expired.ssl.keystore.location={expired}",
                "listener.name.tokens.sasl.enabled.mechanisms=OAUTHBEARER",
                "listener.name.tokens.connections.max.reauth.ms=2000",
                f"listener.name.tokens.oauthbearer.sasl.jaas.config={_TOKENS}",
                *(line for name in ("login", "both", "plainonly") for line in _logins(name)),
            ],
            listeners={
                "LOGIN": "SASL_PLAINTEXT",
                "TLS": "SSL",
                "BOTH": "SASL_SSL",
                "MUTUAL": "SSL",
                "PLAINONLY": "SASL_PLAINTEXT",
                "EXPIRED": "SSL",
                "TOKENS": "SASL_SSL",
            },
            users={USER: PASSWORD},
        )

    def address(self, listener: str) -> str:
        """Where a listener is; that of `PLAINTEXT`, too."""
        return self.broker.addresses.get(listener, self.broker.address)

    def config_file(self, name: str, **settings: object) -> Path:
        """Returns a file of client settings; `_` stands for `.` in names."""
        path = self.folder / "files" / f"{name}.properties"
        lines = [f"{key.replace('_', '.')}={value}" for key, value in settings.items()]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def settings(self, listener: str, client: str, **given: object) -> KafkaSettings:
        """Returns settings whose file has these lines."""
        path = self.config_file(f"{listener}-{client}", **given)
        return KafkaSettings(self.address(listener), str(path), client=client)

    def login(self, mechanism: str = "PLAIN", password: str = PASSWORD) -> dict[str, object]:
        """What a client sets to log in."""
        return {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": password}


def _logins(listener: str) -> list[str]:
    base = f"listener.name.{listener}"
    modules = "org.apache.kafka.common.security"
    plain = f'{modules}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    scram = f"{modules}.scram.ScramLoginModule required;"
    return [
        f"{base}.plain.sasl.jaas.config={plain}",
        f"{base}.scram-sha-256.sasl.jaas.config={scram}",
        f"{base}.scram-sha-512.sasl.jaas.config={scram}",
    ]
