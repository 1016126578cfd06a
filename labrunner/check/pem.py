"""PEM as people get it wrong: what is in a file, block by block, with the line where a problem is.

Format: RFC 7468. Only the envelope is judged here; what a block holds is for `cryptography` to say.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

_BEGIN = re.compile(r"^-----BEGIN ([A-Z0-9 ]*)-----\s*$")
_END = re.compile(r"^-----END ([A-Z0-9 ]*)-----\s*$")
_BASE64 = re.compile(r"^[A-Za-z0-9+/=]*$")
_HEADER = re.compile(r"^[A-Za-z0-9-]+: ?.*$")


class PemError(ValueError):
    """Not PEM: one sentence, and the line (from 1; 0 when it is about the whole file)."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True, slots=True)
class PemBlock:
    """`label`: CERTIFICATE, RSA PRIVATE KEY ... `line`: where it begins, from 1. `encrypted`: by an RFC 1421 header."""

    label: str
    der: bytes
    line: int
    encrypted: bool = False

    def pem(self) -> bytes:
        body = base64.encodebytes(self.der).decode()
        return f"-----BEGIN {self.label}-----\n{body}-----END {self.label}-----\n".encode()


def read_pem(raw: bytes) -> list[PemBlock]:
    """The blocks of a file; text between them is allowed, as OpenSSL allows it. Raises PemError."""
    if not raw.strip():
        raise PemError("it is empty")
    if raw[:1] == b"\x30" and b"-----BEGIN" not in raw:
        raise PemError("it is DER, not PEM (openssl x509 -inform der -in ... -out ...)")
    text = raw.decode("utf-8-sig", errors="replace")
    blocks: list[PemBlock] = []
    label, start, body, encrypted = "", 0, [], False  # type: str, int, list[str], bool
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if begin := _BEGIN.match(stripped):
            if label:
                raise PemError(f"the {label} that begins in line {start} does not end before the next begins", number)
            label, start, body, encrypted = begin.group(1), number, [], False
        elif end := _END.match(stripped):
            if not label:
                raise PemError(f"an END {end.group(1)} without its BEGIN", number)
            if end.group(1) != label:
                raise PemError(f"BEGIN {label} in line {start} is ended by END {end.group(1)}", number)
            blocks.append(PemBlock(label, _decode(body, start), start, encrypted))
            label = ""
        elif stripped.startswith("-----"):
            raise PemError(f"a damaged delimiter: {stripped[:60]}", number)
        elif label and _HEADER.match(stripped):
            encrypted = encrypted or stripped.startswith(("Proc-Type: 4,ENCRYPTED", "DEK-Info"))
        elif label:
            if not _BASE64.match(stripped):
                raise PemError(f"a line that is not base64: {stripped[:40]}", number)
            body.append(stripped)
    if label:
        raise PemError(f"the {label} that begins in line {start} has no END: is the file cut off?", start)
    if not blocks:
        raise PemError("it has no -----BEGIN ...----- line: this is not PEM")
    return blocks


def _decode(body: list[str], start: int) -> bytes:
    try:
        return base64.b64decode("".join(body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PemError("its base64 is damaged: characters are missing or changed", start) from error
