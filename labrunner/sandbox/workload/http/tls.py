"""TLS as OpenSSL based tools speak of it: contexts from files in containers, and the words of failures."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterator

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def client_context(*, insecure: bool, tls_min: str = "", tls_max: str = "") -> ssl.SSLContext:
    """Trusts nobody yet; `insecure` looks at nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls_min == "tlsv1.3" else ssl.TLSVersion.TLSv1_2
    if tls_max == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def load_authorities(context: ssl.SSLContext, pem: bytes) -> None:
    """Trust these certificates. Raises ssl.SSLError or OSError when there are none."""
    if not _CERTIFICATE.search(pem):
        raise OSError("no certificates")
    context.load_verify_locations(cadata=pem.decode("latin-1"))


def load_identity(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Raises ssl.SSLError or OSError. The standard library only reads files, so they exist for that moment."""
    with private_file(certificate) as certificate_path, private_file(key) as key_path:
        context.load_cert_chain(certificate_path, key_path, password=lambda: b"")


@contextlib.contextmanager
def private_file(data: bytes) -> Iterator[str]:
    """A file that only this user can read and that is gone afterwards."""
    descriptor, path = tempfile.mkstemp(prefix="labrunner-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        yield path
    finally:
        os.unlink(path)


def reason(error: ssl.SSLError) -> str:
    """`error:0A000410:SSL routines::ssl/tls alert handshake failure`"""
    text = (error.reason or str(error)).lower().replace("_", " ")
    text = text.replace("sslv3 alert", "ssl/tls alert").replace("tlsv1 alert", "tlsv1 alert")
    numbers = {
        "ssl/tls alert handshake failure": "0A000410", "wrong version number": "0A00010B",
        "certificate required": "0A00045C",
        "tlsv13 alert certificate required": "0A00045C", "tlsv1 unrecognized name": "0A000458",
        "unexpected eof while reading": "0A000126", "tlsv1 alert unknown ca": "0A000418",
        "tlsv1 alert protocol version": "0A00042E", "unsupported protocol": "0A000102", "unknown ca": "0A000418",
        "ssl/tls alert certificate unknown": "0A000416", "tlsv1 alert internal error": "0A000438",
    }  # fmt: skip
    return f"error:{numbers.get(text, '0A000000')}:SSL routines::{text}"


def handshake_text(error: ssl.SSLError) -> str:
    """curl's message for exit code 35."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or "EOF" in (error.reason or ""):
        return "TLS connect error: error:0A000126:SSL routines::unexpected eof while reading"
    return f"TLS connect error: {reason(error)}"


def verification_text(error: ssl.SSLCertVerificationError, host: str) -> str:
    """curl's message for exit code 60."""
    more = (
        "\nMore details here: https://curl.se/docs/sslcerts.html\n\ncurl failed to verify the legitimacy of the "
        "server and "
        "therefore could not\nestablish a secure connection to it. To learn more about this situation and\nhow to "
        "fix it, "
        "please visit the webpage mentioned above."
    )
    text = error.verify_message
    if error.verify_code in (62, 64) or "mismatch" in text.lower():
        return f"SSL: no alternative certificate subject name matches target host name '{host}'{more}"
    return f"SSL certificate problem: {text}{more}"


def name_text(name: object) -> str:
    """`O=Example; CN=host`, as OpenSSL's one line form in curl."""
    from cryptography import x509

    assert isinstance(name, x509.Name)
    short = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
             "stateOrProvinceName": "ST", "localityName": "L"}  # fmt: skip
    return "; ".join(f"{short.get(a.oid._name, a.oid._name)}={a.value!s}" for a in name)


def certificate_lines(der: bytes | None, host: str, *, insecure: bool) -> list[str]:
    """What `curl -v` says of the server's certificate."""
    if not der:
        return []
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    layout = "%b %e %H:%M:%S %Y GMT"
    lines = [
        "Server certificate:",
        f" subject: {name_text(certificate.subject)}",
        f" start date: {certificate.not_valid_before_utc.strftime(layout)}",
        f" expire date: {certificate.not_valid_after_utc.strftime(layout)}",
    ]
    if not insecure:
        lines.append(f' subjectAltName: host "{host}" matched cert\'s "{host}"')
    lines.append(f" issuer: {name_text(certificate.issuer)}")
    lines.append(" SSL certificate verify ok." if not insecure else
                 " SSL certificate verify result: self-signed certificate (18), continuing anyway.")  # fmt: skip
    return lines
