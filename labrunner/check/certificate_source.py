"""Where certificates and keys of checks come from: the learner's files, or Secrets of the cluster."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from labrunner.check.kind import CheckContext
from labrunner.check.local_file import FileProblem, read_bytes
from labrunner.check.pem import PemBlock, PemError, read_pem
from labrunner.check.phrase import did_you_mean, listed
from labrunner.check.result import Finding
from labrunner.check.selection import Selection, missing

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

SOURCE_PROPERTIES: Final[Mapping[str, Any]] = {
    "file": {"type": "string", "minLength": 1, "description": "A PEM file; relative to the shell's directory."},
    "secret": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "description": "A Secret that holds it.",
        "properties": {
            "name": {"type": "string", "description": "The Secret's name."},
            "namespace": {"type": "string", "description": "Default: the context's namespace."},
            "key": {"type": "string", "description": "The entry of its data; default tls.crt, tls.key or ca.crt."},
        },
    },
}
SOURCE_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "oneOf": [{"required": ["file"]}, {"required": ["secret"]}],
    "properties": SOURCE_PROPERTIES,
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """One certificate and where it stands: `certs/server.crt:1`, `Secret default/web: data["tls.crt"]`."""

    certificate: x509.Certificate
    where: str


def source_name(source: Mapping[str, Any], default_key: str = "tls.crt") -> str:
    """The source as the learner knows it."""
    if "file" in source:
        return str(source["file"])
    secret = source["secret"]
    namespace = f"{secret['namespace']}/" if secret.get("namespace") else ""
    return f'Secret {namespace}{secret["name"]}: data["{secret.get("key", default_key)}"]'


def _read(source: Mapping[str, Any], context: CheckContext, default_key: str) -> tuple[bytes, str]:
    """The bytes and where they stand. Raises FileProblem."""
    if "file" in source:
        return read_bytes(source["file"], context), str(source["file"])
    secret = source["secret"]
    client = context.target.kube()
    selection = Selection("v1", "Secret", secret["name"], secret.get("namespace", "")).resolved(client)
    objects = selection.fetch(client)
    if not objects:
        raise FileProblem(missing(client, selection))
    key = secret.get("key", default_key)
    data = objects[0].get("data") or {}
    where = f'{selection}: data["{key}"]'
    if key not in data:
        there = listed(sorted(data)) or "nothing"
        message = f"{selection} has no entry {key}; it has {there}.{did_you_mean(key, data)}"
        raise FileProblem(Finding("missing", message, key, there, where))
    try:
        return base64.b64decode(data[key], validate=True), where
    except (binascii.Error, ValueError) as error:
        raise FileProblem(
            Finding("not-a-certificate", f"{where} is not base64.", "base64", "something else", where)
        ) from error


def _blocks(source: Mapping[str, Any], context: CheckContext, key: str, reason: str, wanted: str) -> tuple[
    list[PemBlock], str
]:  # fmt: skip
    raw, where = _read(source, context, key)
    try:
        return read_pem(raw), where
    except PemError as error:
        place = f"{where}:{error.line}" if error.line else where
        observed = error.message
        message = f"{source_name(source, key)} holds no {wanted}: {error.message}" + (
            f" (line {error.line})." if error.line else "."
        )
        raise FileProblem(Finding(reason, message, f"a PEM {wanted}", observed, place)) from error


def load_certificates(source: Mapping[str, Any], context: CheckContext, key: str = "tls.crt") -> list[Loaded]:
    """All certificates of the source, in order. Raises FileProblem: missing, unreadable, not-a-certificate."""
    from cryptography import x509

    blocks, where = _blocks(source, context, key, "not-a-certificate", "certificate")
    found: list[Loaded] = []
    for block in blocks:
        if block.label not in ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"):
            continue
        place = f"{where}:{block.line}"
        try:
            found.append(Loaded(x509.load_der_x509_certificate(block.der), place))
        except (ValueError, x509.InvalidVersion) as error:
            message = f"{source_name(source, key)} is no certificate that can be read: its content is damaged."
            raise FileProblem(
                Finding("not-a-certificate", message, "an X.509 certificate", "damaged content", place)
            ) from error
    if not found:
        kinds = listed([f"a {_kind(block.label)}" for block in blocks])
        message = f"{source_name(source, key)} holds {kinds}, not a certificate."
        place = f"{where}:{blocks[0].line}"
        raise FileProblem(Finding("not-a-certificate", message, "a certificate", kinds, place))
    return found


def load_public_key(source: Mapping[str, Any], context: CheckContext) -> tuple[PublicKeyTypes, str]:
    """The public half of a private key. Raises FileProblem: missing, unreadable, not-a-key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    blocks, where = _blocks(source, context, "tls.key", "not-a-key", "private key")
    block = next((b for b in blocks if b.label.endswith("PRIVATE KEY")), None)
    name = source_name(source, "tls.key")
    if block is None:
        kinds = listed([f"a {_kind(b.label)}" for b in blocks])
        raise FileProblem(
            Finding("not-a-key", f"{name} holds {kinds}, not a private key.", "a private key", kinds, where)
        )
    place = f"{where}:{block.line}"
    if block.encrypted or block.label == "ENCRYPTED PRIVATE KEY":
        message = f"{name} is encrypted with a passphrase; a server could not read it (openssl ... -nodes)."
        raise FileProblem(Finding("not-a-key", message, "an unencrypted key", "an encrypted key", place))
    try:
        return load_pem_private_key(block.pem(), password=None).public_key(), place
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{name} is no private key that can be read."
        raise FileProblem(Finding("not-a-key", message, "a private key", "damaged content", place)) from error


def _kind(label: str) -> str:
    return {
        "CERTIFICATE REQUEST": "certificate request (CSR)",
        "NEW CERTIFICATE REQUEST": "certificate request (CSR)",
        "X509 CRL": "revocation list (CRL)",
        "PUBLIC KEY": "public key",
    }.get(label, "private key" if label.endswith("PRIVATE KEY") else label.lower())
