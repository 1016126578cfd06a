"""`cmp` and `diff`."""

from __future__ import annotations

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import reason
from labrunner.sandbox.workload.programs.inputs import Inputs, text_of
from labrunner.sandbox.workload.programs.options import lacking
from labrunner.sandbox.workload.programs.table import program


@program("cmp")
async def cmp(process: Process) -> int:
    words = [w for w in process.argv[1:] if not w.startswith("-") or w == "-"]
    if len(words) < 2:
        return await lacking(process, 2)
    found = []
    async for _, data in Inputs(process, words[:2], missing=2).whole():
        found.append(data)
    if len(found) < 2:
        return 2
    a, b = found
    if a == b:
        return 0
    index = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if "-s" not in process.argv:
        if index < min(len(a), len(b)):
            unit = "byte" if process.container.family == "debian" else "char"
            await process.line(
                f"{words[0]} {words[1]} differ: {unit} {index + 1}, line {a.count(bytes((10,)), 0, index) + 1}"
            )
        else:
            await process.error(f"cmp: EOF on {words[0] if len(a) < len(b) else words[1]}\n")
    return 1


@program("diff")
async def diff(process: Process) -> int:
    import difflib

    words = [w for w in process.argv[1:] if not w.startswith("-") or w == "-"]
    if len(words) != 2:
        return await lacking(process, 2)
    found = []
    for word in words:
        try:
            stream = process.stdin.retain() if word == "-" else process.open(word)
        except OSError as error:
            gnu = process.container.family == "debian"
            return await process.fail(f"{word}: {reason(error)}" if gnu else f"can't stat '{word}': {reason(error)}", 2)
        try:
            found.append(text_of(await stream.readall()).splitlines(keepends=True))
        finally:
            stream.release()
    if found[0] == found[1]:
        return 0
    if any(w in ("-q", "--brief") for w in process.argv):
        await process.line(f"Files {words[0]} and {words[1]} differ")
        return 1
    if sum(map(len, found)) > 20_000:
        return await process.fail("files too large", 2)
    flags = [w for w in process.argv[1:] if w.startswith("-") and w != "-"]
    if process.container.family == "debian" and not any(f.startswith(("-u", "-U", "--unified")) for f in flags):
        lines = normal_diff(found[0], found[1])
    else:
        lines = list(difflib.unified_diff(found[0], found[1], words[0], words[1]))
    for line in lines:
        await process.write(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    return 1


def normal_diff(old: list[str], new: list[str]) -> list[str]:
    """The format of `diff` without options: `2c2`, `< old`, `---`, `> new`."""
    import difflib

    def span(start: int, end: int) -> str:
        return f"{start + 1},{end}" if end - start > 1 else str(max(start + 1 if end > start else start, 0))

    out: list[str] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        out.append(f"{span(i1, i2)}{ {'replace': 'c', 'delete': 'd', 'insert': 'a'}[tag] }{span(j1, j2)}\n")
        out.extend(f"< {line}" for line in old[i1:i2])
        if tag == "replace":
            out.append("---\n")
        out.extend(f"> {line}" for line in new[j1:j2])
    return out
