"""Which TLS clients would accept a server certificate, beyond what RFC 5280 asks.

BoringSSL (Envoy and gRPC as clients, Chrome, Android) refuses a certificate whose keyUsage does not allow what the
cipher suite does: an ECDHE suite, and every suite of TLS 1.3, signs the handshake, so it needs digitalSignature
(KEY_USAGE_BIT_INCORRECT; ssl_cert_check_key_usage in BoringSSL's ssl/). OpenSSL does not look. Go (kubectl, most
controllers) takes names from the SAN only (crypto/x509); the two libraries in C still fall back to the CN, though
browsers on top of them do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from labrunner.check.certificate_facts import alternative_names, extended_key_usage, key_facts, key_usage
from labrunner.check.result import Finding

if TYPE_CHECKING:
    from cryptography import x509

CLIENTS: Final = ("boringssl", "openssl", "go")


def refusals(certificate: x509.Certificate, client: str, where: str) -> list[Finding]:
    """Why this client library would refuse the certificate of a server, its chain and dates aside."""
    found: list[Finding] = []
    usages = key_usage(certificate)
    if client == "boringssl" and usages is not None and "digitalSignature" not in usages:
        message = (
            "TLS clients built on BoringSSL (Envoy, Chrome) refuse this certificate for ECDHE and TLS 1.3 with "
            "KEY_USAGE_BIT_INCORRECT: its keyUsage lacks digitalSignature."
        )
        found.append(Finding("key-usage", message, "digitalSignature", ", ".join(usages) or "none", where))
    purposes = extended_key_usage(certificate)
    if purposes is not None and not {"serverAuth", "anyExtendedKeyUsage"} & set(purposes):
        message = "TLS clients refuse this certificate for a server: its extendedKeyUsage lacks serverAuth."
        found.append(Finding("key-usage", message, "serverAuth", ", ".join(purposes) or "none", where))
    if client == "go" and not any(alternative_names(certificate).values()):
        message = "It has no subjectAltName; clients written in Go do not look at the CN."
        found.append(Finding("san-missing", message, "a subjectAltName", "none", where))
    key = key_facts(certificate)
    if client == "go" and key.get("type") == "rsa" and key.get("size", 0) < 1024:
        message = "Clients written in Go refuse RSA keys below 1024 bits."
        found.append(Finding("key", message, "at least 1024 bits", f"{key.get('size')} bits", where))
    return found
