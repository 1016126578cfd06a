"""`openssl`: s_client, x509, verify, version, rand. By the `cryptography` package and the pod's own network."""

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
        case "":
            await process.error(
                "help:\n\nStandard commands\nrand              s_client          verify            version\nx509\n"
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
