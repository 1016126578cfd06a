"""`od`, `hexdump`, `xxd` and `strings`."""

from __future__ import annotations

import itertools
import re

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.inputs import Inputs
from labrunner.sandbox.workload.programs.table import program


@program("od", "hexdump", "xxd")
async def od(process: Process) -> int:
    kind = process.name
    flags = "".join(w[1:] for w in process.argv[1:] if w.startswith("-"))
    taking = ("-A", "-t", "-n", "-N", "-l")
    names = [w for before, w in itertools.pairwise(process.argv) if not w.startswith("-") and before not in taking]
    data = b""
    inputs = Inputs(process, names)
    async for _, piece in inputs.whole():
        data += piece
    radix = next((w[2:] or after for w, after in itertools.pairwise([*process.argv, ""]) if w.startswith("-A")), "o")
    hexadecimal = "x" in flags.replace("An", "")
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        if kind == "xxd":
            cells = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
            await process.line(f"{start:08x}: {cells:<39}  {shown}")
        elif kind == "od" and hexadecimal and "1" in flags:
            await process.line(f"{_offset(start, radix)} {' '.join(f'{b:02x}' for b in row)}")
        elif kind == "hexdump" or hexadecimal:
            cells = " ".join(f"{b:02x}" for b in row[:8]) + "  " + " ".join(f"{b:02x}" for b in row[8:])
            await process.line(f"{start:08x}  {cells:<49} |{shown}|")
        elif "c" in flags:
            names_ = {0: "\\0", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
            cells = " ".join(f"{names_.get(b, chr(b) if 32 <= b < 127 else f'{b:03o}'):>3}" for b in row)
            await process.line(f"{_offset(start, radix)} {cells}")
        else:
            words = " ".join(f"{int.from_bytes(row[i : i + 2], 'little'):06o}" for i in range(0, len(row), 2))
            await process.line(f"{_offset(start, radix)} {words}")
        await process.breathe()
    if kind == "od" and radix != "n":
        await process.line(_offset(len(data), radix))
    elif kind == "hexdump" and data:
        await process.line(f"{len(data):08x}")
    return inputs.status


def _offset(value: int, radix: str) -> str:
    return {"n": "", "d": f"{value:07d}", "x": f"{value:06x}"}.get(radix, f"{value:07o}")


@program("strings")
async def strings(process: Process) -> int:
    async for _, data in Inputs(process, [w for w in process.argv[1:] if not w.startswith("-")]).whole():
        for found in re.findall(rb"[\x20-\x7e\t]{4,}", data):
            await process.write(found + b"\n")
    return 0
