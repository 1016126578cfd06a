"""The mesh's certificate authority: an istiod-like root, or one's own through `cacerts`, and SPIFFE leaves.

Workload certificates are X.509-SVIDs: the only name is the SPIFFE URI in a critical subjectAltName, as istiod issues
them. Source: security/pkg/pki of istio/istio and the SPIFFE X.509-SVID specification.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labrunner.errors import EnvironmentFault

_ROOT_DAYS = 3650
_SKEW = datetime.timedelta(minutes=2)
CACERTS = ("ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem")
"""Keys of the `cacerts` secret."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A workload's certificate (with its chain up to, not including, the root) and key, PEM."""

    spiffe: str
    certificate: bytes
    key: bytes
    not_before: datetime.datetime
    not_after: datetime.datetime
    serial: int
    issued: datetime.datetime
    """When it was made; `not_before` allows for clocks that differ."""


class MeshCa:
    """Issues identities. Immutable: a changed `cacerts` makes a new one."""

    def __init__(
        self,
        certificate: x509.Certificate,
        key: CertificateIssuerPrivateKeyTypes,
        root_pem: bytes,
        chain_pem: bytes = b"",
    ) -> None:
        self._certificate, self._key = certificate, key
        self.root_pem = root_pem
        self._chain_pem = chain_pem

    @classmethod
    def self_signed(cls, trust_domain: str = "cluster.local") -> MeshCa:
        """A new root, as istiod makes when it is given none."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain)])
        now = datetime.datetime.now(datetime.UTC)
        usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + datetime.timedelta(days=_ROOT_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key, certificate.public_bytes(serialization.Encoding.PEM))

    @classmethod
    def from_cacerts(cls, data: Mapping[str, bytes]) -> MeshCa:
        """The CA of a `cacerts` secret. Raises EnvironmentFault that names the key at fault."""
        missing = [name for name in CACERTS if name not in data]
        if missing:
            raise EnvironmentFault(
                f"secret cacerts has no {', '.join(missing)}", hint=f"It needs the keys {', '.join(CACERTS)}."
            )
        try:
            certificate = x509.load_pem_x509_certificate(data["ca-cert.pem"])
            key = serialization.load_pem_private_key(data["ca-key.pem"], None)
        except ValueError as error:
            raise EnvironmentFault(
                f"secret cacerts: {error}", hint="ca-cert.pem and ca-key.pem must be PEM."
            ) from error
        if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise EnvironmentFault("secret cacerts: ca-key.pem is neither an RSA nor an EC key")
        if key.public_key() != certificate.public_key():
            raise EnvironmentFault("secret cacerts: ca-key.pem does not belong to ca-cert.pem")
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca:
            raise EnvironmentFault("secret cacerts: ca-cert.pem is not a CA certificate (CA:FALSE)")
        return cls(certificate, key, data["root-cert.pem"], data["cert-chain.pem"])

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> MeshCa:
        """A root kept by `key_pem()` and `root_pem`."""
        key = serialization.load_pem_private_key(key_pem, None)
        assert isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey))
        return cls(x509.load_pem_x509_certificate(certificate_pem), key, certificate_pem)

    def key_pem(self) -> bytes:
        return _private_pem(self._key)

    def issue(self, spiffe: str, ttl: float) -> Identity:
        """A fresh key and certificate for this SPIFFE URI, valid for `ttl` seconds from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        end = min(now + datetime.timedelta(seconds=ttl), self._certificate.not_valid_after_utc)
        usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(end)
            .add_extension(usage, critical=True)
            .add_extension(purposes, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(names, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM) + self._chain_pem
        return Identity(
            spiffe,
            pem,
            _private_pem(key),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            certificate.serial_number,
            now,
        )


def _private_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
