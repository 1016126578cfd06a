"""`openssl s_client`"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

from labrunner.sandbox.workload.http import tls
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.network import network_of
from labrunner.sandbox.workload.programs.openssl_x509 import date, name_line

_TAKES = {"-connect", "-servername", "-CAfile", "-cert", "-key", "-alpn", "-starttls", "-cipher", "-verify", "-host",
          "-port",
          "-CApath", "-verify_hostname", "-sess_out", "-proxy", "-ciphersuites"}  # fmt: skip


async def s_client(process: Process, words: list[str]) -> int:
    given: dict[str, str] = {}
    flags: set[str] = set()
    index = 0
    while index < len(words):
        word = words[index]
        if word in _TAKES:
            index += 1
            given[word] = words[index] if index < len(words) else ""
        elif word.startswith("-"):
            flags.add(word)
        elif ":" in word:
            given.setdefault("-connect", word)
        index += 1
    host, _, port_text = given.get(
        "-connect", f"{given.get('-host', 'localhost')}:{given.get('-port', '4433')}"
    ).rpartition(":")
    if not port_text.isdigit():
        await process.error("s_client: -connect argument or target parameter malformed or ambiguous\n")
        return 1
    network, machine = network_of(process), process.container.pod
    found = network.resolve(machine, host)
    if not found:
        await process.error(f"{_error_prefix()}BIO_lookup_ex:system lib:crypto/bio/bio_addr.c:738:Name or service "
                            f"not known\n"
                            "connect:errno=22\n")  # fmt: skip
        return 1
    try:
        async with asyncio.timeout(127):
            reader, writer = await network.connect(machine, found[0], int(port_text))
    except TimeoutError:
        await process.error("connect:errno=110\n")
        return 1
    except OSError as error:
        await process.error(f"{_error_prefix()}BIO_connect:{error.strerror}:crypto/bio/bio_sock2.c:114:calling "
                            f"connect()\n"
                            f"connect:errno={error.errno}\n")  # fmt: skip
        return 1
    await process.line("CONNECTED(00000003)")
    return await _handshake(process, given, flags, host, reader, writer)


def _error_prefix() -> str:
    return "40172B2B2F7F0000:error:8000006F:system library:"


async def _handshake(
    process: Process, given: dict[str, str], flags: set[str], host: str, reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> int:  # fmt: skip
    context = tls.client_context(insecure=True)
    if given.get("-alpn"):
        context.set_alpn_protocols(given["-alpn"].split(","))
    if "-tls1_2" in flags:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if "-tls1_3" in flags:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        if given.get("-cert"):
            certificate = process.read_file(given["-cert"])
            tls.load_identity(
                context, certificate, process.read_file(given["-key"]) if given.get("-key") else certificate
            )
        authorities = process.read_file(given["-CAfile"]) if given.get("-CAfile") else b""
    except (OSError, ssl.SSLError):
        await process.error("Could not open file or uri for loading client certificate file or CA file\n")
        return 1
    name = given.get("-servername") or (
        host if "-noservername" not in flags and not host.replace(".", "").isdigit() else None
    )
    if "-noservername" in flags:
        name = None
    try:
        async with asyncio.timeout(60):
            await writer.start_tls(context, server_hostname=name or "")
    except (ssl.SSLError, OSError, EOFError, ValueError, TimeoutError) as error:
        reason = (
            tls.reason(error)
            if isinstance(error, ssl.SSLError)
            else "error:0A000126:SSL routines::unexpected eof while reading"
        )
        code = reason.split(":")[1] if ":" in reason else "0A000126"
        words = reason.rpartition("::")[2]
        reset = isinstance(error, ConnectionResetError)
        if reset:
            await process.error("write:errno=104\n")
        else:
            await process.error(
                f"40172B2B2F7F0000:error:{code}:SSL routines:ssl3_read_n:{words}:ssl/record/rec_layer_s3.c:322:\n"
            )
        await process.write(_summary(None, None, [], name, verify="0 (ok)"))
        return 1
    handle: Any = writer.get_extra_info("ssl_object")
    chain = _chain(handle)
    verify = _verification(chain, authorities, name)
    for line in _depths(chain, verify):
        await process.error(line + "\n")
    await process.write(_chain_text(chain, show=("-showcerts" in flags)))
    await process.write(_summary(handle, chain[0] if chain else None, chain, name, verify=verify))
    status = 0
    if "-brief" not in flags:
        status = await _talk(process, reader, writer, quiet="-quiet" in flags, ignore_eof="-ign_eof" in flags)
    writer.close()
    if "-verify_return_error" in flags and not verify.startswith("0"):
        return 1
    return status


def _chain(handle: Any) -> list[Any]:
    """The certificates the server sent, its own first."""
    from cryptography import x509

    inner = getattr(handle, "_sslobj", handle)
    ders: list[bytes] = []
    get = getattr(inner, "get_unverified_chain", None)
    if get is not None:
        for certificate in get() or ():
            ders.append(certificate if isinstance(certificate, bytes) else certificate.public_bytes(2))
    else:
        der = handle.getpeercert(binary_form=True)
        ders = [der] if der else []
    return [x509.load_der_x509_certificate(der) for der in ders]


def _verification(chain: list[Any], authorities: bytes, name: str | None) -> str:
    """`Verify return code`'s text."""
    from cryptography import x509

    from labrunner.sandbox.workload.programs.openssl_x509 import _CERTIFICATE, _chain_problem

    trusted = [x509.load_pem_x509_certificate(m) for m in _CERTIFICATE.findall(authorities)]
    if not chain:
        return "0 (ok)"
    problem = _chain_problem(chain[0], trusted, chain[1:])
    if problem is None:
        return "0 (ok)"
    number, _, text, _ = problem
    if number == 20 and len(chain) == 1:
        return "21 (unable to verify the first certificate)"
    if number == 18 and len(chain) > 1:
        return "19 (self-signed certificate in certificate chain)"
    return f"{number} ({text})"


def _depths(chain: list[Any], verify: str) -> list[str]:
    lines = []
    number, _, text = verify.partition(" ")
    for depth in range(len(chain) - 1, -1, -1):
        lines.append(f"depth={depth} {name_line(chain[depth].subject)}")
        if depth == len(chain) - 1 and number != "0":
            shown = "20:unable to get local issuer certificate" if number == "21" else f"{number}:{text.strip('()')}"
            lines.append(f"verify error:num={shown}")
        lines.append("verify return:1")
    return lines


def _chain_text(chain: list[Any], *, show: bool) -> str:
    from cryptography.hazmat.primitives import serialization

    if not chain:
        return ""
    out = "---\nCertificate chain\n"
    for number, certificate in enumerate(chain):
        out += f" {number} s:{name_line(certificate.subject)}\n   i:{name_line(certificate.issuer)}\n"
        size = getattr(certificate.public_key(), "key_size", 0)
        out += f"   a:PKEY: rsaEncryption, {size} (bit); sigalg: {certificate.signature_algorithm_oid._name}\n"
        after = date(certificate.not_valid_after_utc)
        out += f"   v:NotBefore: {date(certificate.not_valid_before_utc)}; NotAfter: {after}\n"
        if show:
            out += certificate.public_bytes(serialization.Encoding.PEM).decode()
    return out


def _summary(handle: Any, certificate: Any, chain: list[Any], name: str | None, *, verify: str) -> str:
    from cryptography.hazmat.primitives import serialization

    if certificate is None:
        return (
            "---\nno peer certificate available\n---\nNo client certificate CA names sent\n---\nSSL handshake has "
            "read 0 bytes "
            "and written 293 bytes\nVerification: OK\n---\nNew, (NONE), Cipher is (NONE)\nThis TLS version forbids "
            "renegotiation.\nCompression: NONE\nExpansion: NONE\nNo ALPN negotiated\nEarly data was not sent\n"
            f"Verify return code: {verify}\n---\n"
        )
    version, cipher = handle.version(), (handle.cipher() or ("", "", 0))
    protocol = handle.selected_alpn_protocol()
    size = getattr(certificate.public_key(), "key_size", 0)
    number = verify.split(" ")[0]
    good = "Verification: OK" if number == "0" else f"Verification error: {verify.partition(' ')[2].strip('()')}"
    return (
        f"---\nServer certificate\n{certificate.public_bytes(serialization.Encoding.PEM).decode()}"
        f"subject={name_line(certificate.subject)}\nissuer={name_line(certificate.issuer)}\n---\n"
        "No client certificate CA names sent\nPeer signing digest: SHA256\nPeer signature type: RSA-PSS\n"
        f"Server Temp Key: X25519, 253 bits\n---\nSSL handshake has read {1000 * len(chain) + 300} bytes and "
        f"written 373 bytes\n"
        f"{good}\n---\nNew, {version}, Cipher is {cipher[0]}\nServer public key is {size} bit\n"
        "This TLS version forbids renegotiation.\nCompression: NONE\nExpansion: NONE\n"
        f"{'ALPN protocol: ' + protocol if protocol else 'No ALPN negotiated'}\nEarly data was not sent\n"
        f"Verify return code: {verify}\n---\n"
    )


async def _talk(
    process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, quiet: bool, ignore_eof: bool
) -> int:
    """What is typed goes to the server, until `Q`, the end of input or of the connection."""

    async def inwards() -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                await process.write(data)

    receiving = asyncio.ensure_future(inwards())

    async def outwards() -> None:
        while line := await process.stdin.readline():
            if line in (b"Q\n", b"Q\r\n") and not quiet:
                await process.error("DONE\n")
                return
            writer.write(line)
            await writer.drain()
        if quiet or ignore_eof:
            await receiving
        else:
            await process.error("DONE\n")

    sending = asyncio.ensure_future(outwards())
    try:
        await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
        if receiving.done() and not sending.done():
            await process.line("closed")
    finally:
        for task in (receiving, sending):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await task
    return 0
