"""`openssl x509` and `openssl verify`."""

from __future__ import annotations

import re
from typing import Any

from labrunner.sandbox.workload.machine.process import Process

_SHORT = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
          "stateOrProvinceName": "ST", "localityName": "L", "emailAddress": "emailAddress"}  # fmt: skip
_USAGES = (
    ("digital_signature", "Digital Signature"), ("content_commitment", "Non Repudiation"),
    ("key_encipherment", "Key Encipherment"), ("data_encipherment", "Data Encipherment"),
    ("key_agreement", "Key Agreement"), ("key_cert_sign", "Certificate Sign"), ("crl_sign", "CRL Sign"),
)  # fmt: skip
_PURPOSES = {"serverAuth": "TLS Web Server Authentication", "clientAuth": "TLS Web Client Authentication",
             "codeSigning": "Code Signing", "emailProtection": "E-mail Protection"}  # fmt: skip
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def name_line(name: Any) -> str:
    """`CN = host, O = Example`"""
    return ", ".join(f"{_SHORT.get(a.oid._name, a.oid._name)} = {a.value}" for a in name)


def date(when: Any) -> str:
    """`Nov  1 12:00:00 2026 GMT`"""
    return str(when.strftime("%b %e %H:%M:%S %Y GMT"))


async def x509(process: Process, words: list[str]) -> int:
    """Reads one certificate and shows what is asked for, in the order of the options."""
    from cryptography import x509 as crypto
    from cryptography.hazmat.primitives import hashes, serialization

    path, kind, wanted, out = "", "PEM", [], True
    index = 0
    digest: Any = hashes.SHA1()
    extension = ""
    seconds: int | None = None
    while index < len(words):
        word = words[index]
        if word in ("-in", "-inform", "-ext", "-checkend", "-nameopt", "-outform", "-out", "-checkhost"):
            index += 1
            value = words[index] if index < len(words) else ""
            path = value if word == "-in" else path
            kind = value.upper() if word == "-inform" else kind
            if word == "-ext":
                extension = value
                wanted.append("-ext")
            if word == "-checkend":
                seconds = int(value) if value.isdigit() else 0
        elif word == "-noout":
            out = False
        elif word in ("-sha256", "-sha1", "-sha512"):
            digest = {"-sha256": hashes.SHA256(), "-sha1": hashes.SHA1(), "-sha512": hashes.SHA512()}[word]
        else:
            wanted.append(word)
        index += 1
    try:
        data = process.read_file(path) if path else await process.stdin.readall()
    except OSError:
        await process.error(
            f"Could not open file or uri for loading certificate from {path}\nUnable to load certificate\n"
        )
        return 1
    found = _CERTIFICATE.search(data)
    try:
        certificate = crypto.load_der_x509_certificate(data) if kind == "DER" else crypto.load_pem_x509_certificate(
            found[0] if found else b"")  # fmt: skip
    except ValueError:
        await process.error(f"Could not read certificate from {path or '<stdin>'}\nUnable to load certificate\n")
        return 1
    for word in wanted:
        match word:
            case "-subject":
                await process.line(f"subject={name_line(certificate.subject)}")
            case "-issuer":
                await process.line(f"issuer={name_line(certificate.issuer)}")
            case "-dates" | "-startdate" | "-enddate":
                if word != "-enddate":
                    await process.line(f"notBefore={date(certificate.not_valid_before_utc)}")
                if word != "-startdate":
                    await process.line(f"notAfter={date(certificate.not_valid_after_utc)}")
            case "-serial":
                await process.line(f"serial={certificate.serial_number:X}".replace("=", "=0", 1) if len(
                    f"{certificate.serial_number:X}") % 2 else f"serial={certificate.serial_number:X}")  # fmt: skip
            case "-fingerprint":
                text = ":".join(f"{b:02X}" for b in certificate.fingerprint(digest))
                await process.line(f"{digest.name.lower() if digest.name != 'sha1' else 'SHA1'} Fingerprint={text}")
            case "-text":
                await process.write(text_of(certificate))
            case "-pubkey":
                key = certificate.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
                await process.write(key)
            case "-ext":
                await process.write("".join(_extension_lines(certificate, set(extension.split(",")))))
            case "-hash" | "-email" | "-purpose" | "-modulus" | "-ocsp_uri" | "-trustout":
                continue
            case _:
                await process.error(
                    f"x509: Unknown option or cipher: {word.lstrip('-')}\nx509: Use -help for summary.\n"
                )
                return 1
    if out:
        await process.write(certificate.public_bytes(serialization.Encoding.PEM))
    if seconds is not None:
        from datetime import UTC, datetime, timedelta

        over = certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(seconds=seconds)
        await process.line("Certificate will expire" if over else "Certificate will not expire")
        return int(over)
    return 0


def text_of(certificate: Any) -> str:
    """As `-text` shows it."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = certificate.public_key()
    serial = certificate.serial_number
    hexadecimal = f"{serial:x}"
    hexadecimal = "0" * (len(hexadecimal) % 2) + hexadecimal
    lines = [
        "Certificate:",
        "    Data:",
        f"        Version: {certificate.version.value + 1} ({certificate.version.value:#x})",
    ]
    if serial < 1 << 63:
        lines.append(f"        Serial Number: {serial} ({serial:#x})")
    else:
        pairs = ":".join(hexadecimal[i : i + 2] for i in range(0, len(hexadecimal), 2))
        lines += ["        Serial Number:", f"            {pairs}"]
    algorithm = certificate.signature_algorithm_oid._name
    lines += [
        f"        Signature Algorithm: {algorithm}", f"        Issuer: {name_line(certificate.issuer)}",
        "        Validity",
        f"            Not Before: {date(certificate.not_valid_before_utc)}",
        f"            Not After : {date(certificate.not_valid_after_utc)}",
        f"        Subject: {name_line(certificate.subject)}", "        Subject Public Key Info:",
    ]  # fmt: skip
    if isinstance(key, rsa.RSAPublicKey):
        lines += [
            "            Public Key Algorithm: rsaEncryption",
            f"                Public-Key: ({key.key_size} bit)",
        ]
        modulus = f"00{key.public_numbers().n:x}"
        lines += ["                Modulus:", *_hex_block(modulus, 20),
                  f"                Exponent: {key.public_numbers().e} "
                  f"({key.public_numbers().e:#x})"]  # fmt: skip
    elif isinstance(key, ec.EllipticCurvePublicKey):
        curve = "prime256v1" if key.curve.name == "secp256r1" else key.curve.name
        lines += ["            Public Key Algorithm: id-ecPublicKey", f"                Public-Key: ({key.key_size} "
            f"bit)",
                  f"                ASN1 OID: {curve}"]  # fmt: skip
    extensions = _extension_lines(certificate, None)
    if extensions:
        lines.append("        X509v3 extensions:")
        text = "".join(extensions).rstrip("\n")
        lines += [f"            {line}" for line in text.split("\n")]
    lines += [
        f"    Signature Algorithm: {algorithm}",
        "    Signature Value:",
        *_hex_block(certificate.signature.hex(), 8, 18),
    ]
    return "\n".join(lines) + "\n"


def _hex_block(text: str, indent: int, width: int = 15) -> list[str]:
    pairs = [text[i : i + 2] for i in range(0, len(text), 2)]
    rows = [pairs[i : i + width] for i in range(0, len(pairs), width)]
    return [" " * indent + ":".join(row) + (":" if index < len(rows) - 1 else "") for index, row in enumerate(rows)]


def _extension_lines(certificate: Any, names: set[str] | None) -> list[str]:
    from cryptography import x509 as crypto

    found: list[str] = []
    try:
        extensions = list(certificate.extensions)
    except ValueError:
        return []
    for extension in extensions:
        value = extension.value
        critical = "critical" if extension.critical else ""
        short, title, text = "", extension.oid._name, ""
        if isinstance(value, crypto.SubjectAlternativeName):
            short, title = "subjectAltName", "X509v3 Subject Alternative Name"
            parts = []
            for name in value:
                prefix = {"DNSName": "DNS", "IPAddress": "IP Address", "UniformResourceIdentifier": "URI",
                          "RFC822Name": "email"}.get(type(name).__name__, "othername")  # fmt: skip
                parts.append(f"{prefix}:{name.value}")
            text = ", ".join(parts)
        elif isinstance(value, crypto.BasicConstraints):
            short, title = "basicConstraints", "X509v3 Basic Constraints"
            text = f"CA:{'TRUE' if value.ca else 'FALSE'}" + (
                f", pathlen:{value.path_length}" if value.path_length is not None else ""
            )
        elif isinstance(value, crypto.KeyUsage):
            short, title = "keyUsage", "X509v3 Key Usage"
            text = ", ".join(label for field, label in _USAGES if getattr(value, field))
        elif isinstance(value, crypto.ExtendedKeyUsage):
            short, title = "extendedKeyUsage", "X509v3 Extended Key Usage"
            text = ", ".join(_PURPOSES.get(usage._name, usage.dotted_string) for usage in value)
        elif isinstance(value, crypto.SubjectKeyIdentifier):
            short, title = "subjectKeyIdentifier", "X509v3 Subject Key Identifier"
            text = ":".join(f"{b:02X}" for b in value.digest)
        elif isinstance(value, crypto.AuthorityKeyIdentifier):
            short, title = "authorityKeyIdentifier", "X509v3 Authority Key Identifier"
            text = ":".join(f"{b:02X}" for b in value.key_identifier or b"")
        if names is not None and short not in names:
            continue
        found.append(f"{title}: {critical}\n    {text}\n")
    return found


async def verify(process: Process, words: list[str]) -> int:
    """`verify -CAfile CA [-untrusted CHAIN] CERT...`"""
    from cryptography import x509 as crypto

    authorities: list[Any] = []
    others: list[Any] = []
    targets: list[str] = []
    index = 0
    while index < len(words):
        if words[index] in ("-CAfile", "-untrusted", "-trusted", "-purpose", "-verify_hostname") and index + 1 < len(
            words
        ):
            if words[index] in ("-CAfile", "-untrusted", "-trusted"):
                try:
                    data = process.read_file(words[index + 1])
                except OSError:
                    await process.error(f"Error loading file {words[index + 1]}\n")
                    return 1
                loaded = [crypto.load_pem_x509_certificate(m) for m in _CERTIFICATE.findall(data)]
                (others if words[index] == "-untrusted" else authorities).extend(loaded)
            index += 2
            continue
        if not words[index].startswith("-"):
            targets.append(words[index])
        index += 1
    status = 0
    for target in targets:
        try:
            certificate = crypto.load_pem_x509_certificate(process.read_file(target))
        except (OSError, ValueError):
            await process.error(f"Could not read certificate from {target}\nUnable to load certificate\n")
            return 2
        problem = _chain_problem(certificate, authorities, others)
        if problem:
            number, depth, text, shown = problem
            await process.error(f"{name_line(shown.subject)}\nerror {number} at {depth} depth lookup: {text}\n"
                                f"error {target}: verification failed\n")  # fmt: skip
            status = 2
        else:
            await process.line(f"{target}: OK")
    return status


def _chain_problem(certificate: Any, authorities: list[Any], others: list[Any]) -> tuple[int, int, str, Any] | None:
    """(error number, depth, words, certificate) of the first thing wrong with a chain."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    current, depth = certificate, 0
    while depth < 10:
        if now > current.not_valid_after_utc:
            return 10, depth, "certificate has expired", current
        if now < current.not_valid_before_utc:
            return 9, depth, "certificate is not yet valid", current
        if current in authorities:
            return None
        issuer = next((c for c in [*authorities, *others] if c.subject == current.issuer and _signed(current, c)), None)
        if issuer is None:
            if current.issuer == current.subject:
                return 18, depth, "self-signed certificate", current
            return 20, depth, "unable to get local issuer certificate", current
        if depth > 10 or not _is_authority(issuer):
            return 79, depth + 1, "invalid CA certificate", issuer
        if issuer in authorities:
            if now > issuer.not_valid_after_utc:
                return 10, depth + 1, "certificate has expired", issuer
            return None
        current, depth = issuer, depth + 1
    return 22, depth, "certificate chain too long", current


def _signed(certificate: Any, issuer: Any) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(certificate: Any) -> bool:
    from cryptography import x509 as crypto

    try:
        return bool(certificate.extensions.get_extension_for_class(crypto.BasicConstraints).value.ca)
    except crypto.ExtensionNotFound:
        return bool(certificate.version.value == 0)
