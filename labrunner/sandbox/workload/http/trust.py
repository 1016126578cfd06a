"""Whom a curl trusts, and as whom it comes: its TLS context, from files of the container."""

from __future__ import annotations

import ssl

from labrunner.sandbox.workload.http import tls
from labrunner.sandbox.workload.http.job import Settings, TransferFault
from labrunner.sandbox.workload.machine.process import Process

_SYSTEM = "/etc/ssl/certs/ca-certificates.crt"


def context_of(process: Process, settings: Settings) -> ssl.SSLContext:
    """Raises TransferFault with curl's exit codes 58 and 77 for files it cannot use."""
    context = tls.client_context(insecure=settings.insecure, tls_min=settings.tls_min, tls_max=settings.tls_max)
    context.set_alpn_protocols(["http/1.1"])
    if not settings.insecure:
        _load_authorities(context, process, settings.cacert)
    if settings.cert:
        _load_identity(context, process, settings)
    return context


def _load_authorities(context: ssl.SSLContext, process: Process, path: str) -> None:
    try:
        tls.load_authorities(context, process.read_file(path or _SYSTEM))
    except (OSError, ssl.SSLError):
        if path:
            raise TransferFault(77, f"error setting certificate file: {path}") from None


def _load_identity(context: ssl.SSLContext, process: Process, settings: Settings) -> None:
    path, _, _password = settings.cert.partition(":")
    try:
        certificate = process.read_file(path)
    except OSError:
        raise TransferFault(58, f"could not load PEM client certificate from {path}, OpenSSL error "
                            "error:80000002:system library::No such file or directory, (no key found, wrong pass "
                            "phrase, or wrong file format?)") from None  # fmt: skip
    try:
        key = process.read_file(settings.key) if settings.key else certificate
        tls.load_identity(context, certificate, key)
    except (OSError, ssl.SSLError):
        name = settings.key or path
        raise TransferFault(58, f"unable to set private key file: '{name}' type PEM") from None
