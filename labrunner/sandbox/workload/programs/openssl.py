"""`openssl`: s_client, x509, verify, version, rand, dgst, base64; by `cryptography` and the pod's own network."""

from __future__ import annotations

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.table import program


@program("openssl")
async def openssl(process: Process) -> int:
    from labrunner.sandbox.workload.programs import openssl_client, openssl_x509

    words = process.argv[1:]
    command = words[0] if words else ""
    match command:
        case "s_client":
            return await openssl_client.s_client(process, words[1:])
        case "x509":
            return await openssl_x509.x509(process, words[1:])
        case "verify":
            return await openssl_x509.verify(process, words[1:])
        case "version":
            await process.line("OpenSSL 3.0.16 11 Feb 2025 (Library: OpenSSL 3.0.16 11 Feb 2025)")
            return 0
        case "rand":
            return await _rand(process, words[1:])
        case "base64" | "enc":
            return await _base64(process, words[1:])
        case "dgst" | "sha1" | "sha256" | "sha384" | "sha512" | "md5":
            return await _digest(process, words if command != "dgst" else words[1:])
        case "":
            await process.error(
                "help:\n\nStandard commands\ndgst              enc               rand              s_client\n"
                "verify            version           x509\n"
            )
            return 0
    await process.error(f"Invalid command '{command}'; type \"help\" for a list.\n")
    return 1


async def _rand(process: Process, words: list[str]) -> int:
    import base64
    import os

    count = next((int(w) for w in reversed(words) if w.isdigit()), 0)
    data = os.urandom(min(count, 1 << 20))
    if "-hex" in words:
        await process.line(data.hex())
    elif "-base64" in words:
        await process.line(base64.b64encode(data).decode())
    else:
        await process.write(data)
    return 0


async def _base64(process: Process, words: list[str]) -> int:
    """`base64` and `enc -base64`; without the latter's ciphers."""
    import base64
    import binascii

    if process.argv[1] == "enc" and not {"-base64", "-a"} & set(words):
        return await process.fail("enc: only -base64 is pretended in this sandbox")
    path = words[words.index("-in") + 1] if "-in" in words[:-1] else ""
    try:
        data = process.read_file(path) if path else await process.stdin.readall()
    except OSError as error:
        await process.error(f'Can\'t open "{path}" for reading, {error.strerror}\n')
        return 1
    if "-d" in words:
        try:
            await process.write(base64.b64decode(b"".join(data.split()), validate=True))
        except binascii.Error:
            return 1
        return 0
    text = base64.b64encode(data)
    step = len(text) or 1 if "-A" in words else 64
    lines = [text[i : i + step] for i in range(0, len(text), step)]
    await process.write(b"\n".join(lines) if "-A" in words else b"".join(line + b"\n" for line in lines))
    return 0


async def _digest(process: Process, words: list[str]) -> int:
    """`dgst -sha256 FILE`: `SHA2-256(FILE)= ...` as OpenSSL 3 shows it."""
    import hashlib

    shown = {"md5": "MD5", "sha1": "SHA1", "sha256": "SHA2-256", "sha384": "SHA2-384", "sha512": "SHA2-512"}
    kind = next((w.lstrip("-") for w in words if w.lstrip("-") in shown), "sha256")
    names = [w for w in words if not w.startswith("-") and w not in shown]
    status = 0
    for name in names or [""]:
        try:
            data = process.read_file(name) if name else await process.stdin.readall()
        except OSError as error:
            await process.error(f"dgst: {name}: {error.strerror}\n")
            status = 1
            continue
        found = hashlib.new(kind, data, usedforsecurity=False).hexdigest()
        prefix = "" if "-r" in words else f"{shown[kind]}({name or 'stdin'})= "
        await process.line(f"{found} *{name or 'stdin'}" if "-r" in words else f"{prefix}{found}")
    return status
