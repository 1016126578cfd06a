"""A certificate as plain values, named as OpenSSL and RFC 5280 name them, so that patterns can be held against it."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cryptography import x509

DAY: Final = 86400.0

KEY_USAGES: Final = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
    "encipher_only": "encipherOnly",
    "decipher_only": "decipherOnly",
}
EXTENDED_KEY_USAGES: Final = {
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
    "2.5.29.37.0": "anyExtendedKeyUsage",
}
_NAMES: Final = {
    "2.5.4.3": "CN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O",
    "2.5.4.11": "OU", "1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}  # fmt: skip


def name_facts(name: x509.Name) -> dict[str, Any]:
    """`{CN: ..., O: ...}`; an attribute that occurs more than once is a list."""
    facts: dict[str, Any] = {}
    for attribute in name:
        key = _NAMES.get(attribute.oid.dotted_string, attribute.oid.dotted_string)
        value = attribute.value if isinstance(attribute.value, str) else attribute.value.hex()
        if key in facts:
            facts[key] = [*(facts[key] if isinstance(facts[key], list) else [facts[key]]), value]
        else:
            facts[key] = value
    return facts


def name_text(name: x509.Name) -> str:
    """`CN=api, O=Example`, in the certificate's order."""
    return ", ".join(f"{k}={v}" for k, v in name_facts(name).items()) or "an empty name"


def extension(certificate: x509.Certificate, kind: type[Any]) -> Any | None:
    """The extension's value, or None. A certificate whose extensions cannot be parsed has none of them."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None


def key_usage(certificate: x509.Certificate) -> list[str] | None:
    """The usages named, in RFC 5280's order; None when the certificate restricts nothing."""
    from cryptography import x509

    value = extension(certificate, x509.KeyUsage)
    if value is None:
        return None
    found = []
    for attribute, name in KEY_USAGES.items():
        if attribute in ("encipher_only", "decipher_only") and not value.key_agreement:
            continue
        if getattr(value, attribute):
            found.append(name)
    return found


def extended_key_usage(certificate: x509.Certificate) -> list[str] | None:
    from cryptography import x509

    value = extension(certificate, x509.ExtendedKeyUsage)
    if value is None:
        return None
    return [EXTENDED_KEY_USAGES.get(oid.dotted_string, oid.dotted_string) for oid in value]


def basic_constraints(certificate: x509.Certificate) -> dict[str, Any] | None:
    from cryptography import x509

    value = extension(certificate, x509.BasicConstraints)
    if value is None:
        return None
    return {"ca": value.ca} | ({} if value.path_length is None else {"pathLength": value.path_length})


def alternative_names(certificate: x509.Certificate) -> dict[str, list[str]]:
    """`{dns: [...], ip: [...], uri: [...], email: [...]}`; kinds that do not occur are empty."""
    from cryptography import x509

    value = extension(certificate, x509.SubjectAlternativeName)
    names: dict[str, list[str]] = {"dns": [], "ip": [], "uri": [], "email": []}
    for general in value or ():
        if isinstance(general, x509.DNSName):
            names["dns"].append(general.value)
        elif isinstance(general, x509.IPAddress):
            names["ip"].append(str(general.value))
        elif isinstance(general, x509.UniformResourceIdentifier):
            names["uri"].append(general.value)
        elif isinstance(general, x509.RFC822Name):
            names["email"].append(general.value)
    return names


def key_facts(certificate: x509.Certificate) -> dict[str, Any]:
    """`{type: rsa | ec | ed25519 | ..., size: bits, curve: ...}`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return {"type": certificate.public_key_algorithm_oid.dotted_string}
    if isinstance(key, rsa.RSAPublicKey):
        return {"type": "rsa", "size": key.key_size}
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"type": "ec", "size": key.curve.key_size, "curve": key.curve.name}
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {"type": "ed25519", "size": 256}
    if isinstance(key, ed448.Ed448PublicKey):
        return {"type": "ed448", "size": 456}
    return {"type": type(key).__name__.removesuffix("PublicKey").lstrip("_").lower()}


def signature_algorithm(certificate: x509.Certificate) -> str:
    """As OpenSSL prints it: `sha256WithRSAEncryption`, `ecdsa-with-SHA256`, `ED25519`."""
    return _SIGNATURES.get(
        certificate.signature_algorithm_oid.dotted_string, certificate.signature_algorithm_oid.dotted_string
    )


_SIGNATURES: Final = {
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption", "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.10": "rsassaPss", "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption", "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1", "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384", "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.3.101.112": "ED25519", "1.3.101.113": "ED448",
}  # fmt: skip


def version_number(certificate: x509.Certificate) -> int:
    """1 or 3, as people say it (the encoding counts from 0)."""
    return int(certificate.version.value) + 1


def self_signed(certificate: x509.Certificate) -> bool:
    """Whether its own key signed it, not just whether subject and issuer are alike."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def remaining_days(certificate: x509.Certificate, now: datetime | None = None) -> float:
    return ((certificate.not_valid_after_utc - (now or datetime.now(UTC))).total_seconds()) / DAY


def total_days(certificate: x509.Certificate) -> float:
    return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() / DAY


def covers_host(certificate: x509.Certificate, host: str) -> bool:
    """Whether a TLS client that calls this host accepts the names (RFC 9525: SAN only, the CN is not looked at).

    A wildcard stands for exactly one label, the leftmost; an address must be an IP entry.
    """
    names = alternative_names(certificate)
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return any(_dns_matches(pattern, host) for pattern in names["dns"])
    return any(_same_address(text, address) for text in names["ip"])


def _same_address(text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.ip_address(text) == address
    except ValueError:
        return False


def _dns_matches(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return bool(pattern) and pattern == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == pattern[2:] and "." in pattern[2:]
