"""base64, checksums, gzip."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.inputs import Inputs
from labrunner.sandbox.workload.programs.options import OptionFault, parse, wrong
from labrunner.sandbox.workload.programs.table import program

_MAX_UNPACKED = 64 * 1024 * 1024


@program("base64")
async def base64_(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "dDw:i", {"decode": "d", "wrap": "w=", "ignore-garbage": "i"})
    except OptionFault as error:
        return await wrong(process, error)
    inputs = Inputs(process, options.rest[:1])
    async for _, data in inputs.whole():
        if options.flag("d", "D"):
            text = re.sub(rb"\s", b"", data)
            good = re.match(rb"[A-Za-z0-9+/]*={0,2}", text)
            body = good[0] if good else b""
            try:
                await process.write(
                    base64.b64decode(body + b"=" * (-len(body) % 4) if len(body) % 4 != 1 else body[:-1])
                )
            except ValueError:
                return await process.fail("invalid input")
            if len(body) != len(text) or len(body) % 4:
                gnu = process.container.family == "debian"
                return await process.fail("invalid input" if gnu else "truncated input")
            continue
        encoded = base64.b64encode(data).decode()
        width = int(options.value("w", "76")) if options.value("w", "76").isdigit() else 76
        if not width:
            await process.write(encoded)
        else:
            await process.write("".join(encoded[i : i + width] + "\n" for i in range(0, len(encoded), width)))
    return inputs.status


@program("md5sum", "sha1sum", "sha256sum", "sha512sum")
async def checksum(process: Process) -> int:
    kind = process.name.removesuffix("sum")
    try:
        options = parse(process.argv[1:], "cbtsw", {"check": "c", "binary": "b", "quiet": "quiet", "status": "s"})
    except OptionFault as error:
        return await wrong(process, error)
    inputs = Inputs(process, options.rest)
    failed = 0
    async for name, data in inputs.whole():
        if not options.flag("c"):
            await process.line(f"{hashlib.new(kind, data, usedforsecurity=False).hexdigest()}  {name}")
            continue
        for line in data.decode("utf-8", "replace").splitlines():
            digest, _, path = line.partition("  ")
            try:
                good = (
                    hashlib.new(kind, process.read_file(path.lstrip("*")), usedforsecurity=False).hexdigest() == digest
                )
            except OSError as error:
                await process.say(f"{path}: {error.strerror}")
                failed += 1
                continue
            failed += not good
            await process.line(f"{path}: {'OK' if good else 'FAILED'}")
    if failed:
        await process.say(f"WARNING: {failed} of {failed} computed checksums did NOT match")
    return inputs.status or int(failed > 0)


@program("cksum")
async def cksum(process: Process) -> int:
    async for name, data in Inputs(process, process.argv[1:]).whole():
        await process.line(f"{zlib.crc32(data)} {len(data)}{'' if name == '-' else ' ' + name}")
    return 0


@program("gzip", "gunzip", "zcat")
async def gzip_(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "cdfkvtn123456789", {"stdout": "c", "decompress": "d", "keep": "k", "force": "f"}
        )
    except OptionFault as error:
        return await wrong(process, error)
    unpack = options.flag("d") or process.name != "gzip"
    to_stdout = options.flag("c") or process.name == "zcat"
    status = 0
    inputs = Inputs(process, options.rest)
    async for name, data in inputs.whole():
        if unpack:
            unpacked = gunzipped(data)
            if unpacked is None:
                status = await process.fail(
                    f"{name}: not in gzip format" if process.container.family == "debian" else "invalid magic"
                )
                continue
            out, target = unpacked, name.removesuffix(".gz")
            if name != "-" and not to_stdout and target == name:
                status = await process.fail(f"{name}: unknown suffix -- ignored")
                continue
        else:
            out, target = gzipped(data), f"{name}.gz"
        if name == "-" or to_stdout:
            await process.write(out)
            continue
        process.fs.write(target, out, process.cwd, process.owner)
        if not options.flag("k"):
            process.fs.remove(name, process.cwd, process.owner)
    return status or inputs.status


def gzipped(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def gunzipped(data: bytes) -> bytes | None:
    """None when it is no gzip data or unpacks to too much."""
    out = b""
    while data:
        unpacker = zlib.decompressobj(31)
        try:
            out += unpacker.decompress(data, _MAX_UNPACKED - len(out))
        except zlib.error:
            return None
        if unpacker.unconsumed_tail or not unpacker.eof:
            return None
        data = unpacker.unused_data.lstrip(b"\0")
    return out
