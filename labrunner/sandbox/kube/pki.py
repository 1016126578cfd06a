"""The sandbox's certificates: a CA, the server's and the administrator's, and the key that signs tokens. EC P-256."""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labrunner.errors import EnvironmentFault

_YEARS = 10
SERVER_NAMES = (
    "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
)  # fmt: skip
SERVER_ADDRESSES = ("127.0.0.1", "::1", "10.96.0.1")


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of a sandbox, below its directory."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.directory / "ca.key"

    @property
    def server(self) -> Path:
        return self.directory / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    @property
    def admin(self) -> Path:
        return self.directory / "admin.crt"

    @property
    def admin_key(self) -> Path:
        return self.directory / "admin.key"

    @property
    def token_key(self) -> Path:
        return self.directory / "sa.key"


def ensure(directory: Path) -> Certificates:
    """Make what is missing. Raises `EnvironmentFault` when the directory cannot be written."""
    files = Certificates(directory)
    wanted = (files.ca, files.ca_key, files.server, files.server_key, files.admin, files.admin_key, files.token_key)
    if all(path.exists() for path in wanted):
        return files
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(files)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write the sandbox's certificates to {directory}: {error.strerror}",
            hint="Make that directory writable, free some space, or set LABRUNNER_HOME to another place.",
        ) from error
    return files


def _make(files: Certificates) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate(_name("kubernetes"), ca_key, None, ca_key)
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _certificate(_name("kube-apiserver"), server_key, ca, ca_key, server=True)
    admin_key = ec.generate_private_key(ec.SECP256R1())
    admin = _certificate(_name("kubernetes-admin", "system:masters"), admin_key, ca, ca_key)
    write_private(files.ca_key, _key_pem(ca_key))
    write_private(files.ca, ca.public_bytes(serialization.Encoding.PEM))
    write_private(files.server_key, _key_pem(server_key))
    write_private(files.server, server.public_bytes(serialization.Encoding.PEM))
    write_private(files.admin_key, _key_pem(admin_key))
    write_private(files.admin, admin.public_bytes(serialization.Encoding.PEM))
    write_private(files.token_key, _key_pem(ec.generate_private_key(ec.SECP256R1())))


def _name(common: str, organisation: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    server: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    usage = dict.fromkeys(
        (
            "content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only",
            "key_encipherment", "crl_sign",
        ),
        False,
    )  # fmt: skip
    usage["crl_sign"] = issuer is None
    builder = builder.add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=issuer is None, **usage), critical=True
    )
    if issuer is not None:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    if server:
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVER_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in SERVER_ADDRESSES]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, data: bytes) -> None:
    """Write a file only its owner may read, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    os.replace(fresh, path)
