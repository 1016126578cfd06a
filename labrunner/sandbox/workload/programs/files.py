"""Files made, removed and named; and how tools say that one cannot be opened."""

from __future__ import annotations

import errno
import posixpath
import time
from collections.abc import Iterator

from labrunner.sandbox.workload.filesystem.node import Directory, Symlink
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.mode_words import changed_mode
from labrunner.sandbox.workload.programs.options import OptionFault, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import program

MAX_DEPTH = 100


def reason(error: OSError) -> str:
    return error.strerror or str(error)


@program("cat")
async def cat(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "nbAeEstTuv", {"number": "n", "show-all": "A"})
    except OptionFault as error:
        return await wrong(process, error)
    status, number = 0, 1
    numbered = options.flag("n", "b")
    for name in options.rest or ["-"]:
        try:
            stream = process.stdin.retain() if name == "-" else process.open(name)
        except OSError as error:
            status = await file_fault(process, name, error)
            continue
        try:
            if numbered or options.flag("A", "E", "e", "v", "t", "T"):
                while line := await stream.readline():
                    shown = _visible(line) if options.flag("A", "v", "t", "T") else line
                    if options.flag("A", "E", "e") and line.endswith(b"\n"):
                        shown = shown[:-1] + b"$\n"
                    if numbered and not (options.flag("b") and line == b"\n"):
                        shown = f"{number:6d}\t".encode() + shown
                        number += 1
                    await process.write(shown)
                    await process.breathe()
            else:
                while data := await stream.read():
                    await process.write(data)
                    await process.breathe()
        except IsADirectoryError as error:
            status = await file_fault(process, name, error)
        finally:
            stream.release()
    return status


def _visible(line: bytes) -> bytes:
    """`^I` for a tab, `^M` for a carriage return, `M-x` for what is beyond ASCII."""
    out = bytearray()
    for value in line:
        if value >= 128:
            out += b"M-"
            value -= 128
        if value == 10 or 32 <= value < 127:
            out.append(value)
        else:
            out += b"^" + bytes((value ^ 0x40,))
    return bytes(out)


_NAMING = frozenset(("ls", "stat", "rm", "head", "wc", "sort", "sed", "awk", "gzip", "gunzip", "zcat", "grep", "egrep"))
"""Applets that say `NAME: reason` of a file that they cannot open."""


async def file_fault(process: Process, name: str, error: OSError) -> int:
    """Say it as busybox or GNU do."""
    text = f"{name}: {reason(error)}"
    opening = process.container.family in ("busybox", "alpine") and process.name not in _NAMING
    if opening and error.errno in (errno.ENOENT, errno.EACCES):
        text = f"can't open '{name}': {reason(error)}"
    elif opening and error.errno == errno.EISDIR:
        text = "read error: Is a directory"
    return await process.fail(text)


@program("mkdir")
async def mkdir(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "pm:v", {"parents": "p", "mode": "m=", "verbose": "v"})
    except OptionFault as error:
        return await wrong(process, error)
    status = 0
    mode = 0o777 & ~process.umask
    if text := options.value("m"):
        mode = changed_mode(text, 0o777, True) or 0o755
    for name in options.rest:
        try:
            process.fs.mkdir(name, process.cwd, process.owner, parents=options.flag("p"), mode=mode)
        except OSError as error:
            gnu = process.container.family == "debian"
            words = f"cannot create directory ‘{name}’" if gnu else f"can't create directory '{name}'"
            status = await process.fail(f"{words}: {reason(error)}")
    return status


@program("rmdir")
async def rmdir(process: Process) -> int:
    status = 0
    for name in [w for w in process.argv[1:] if not w.startswith("-")]:
        try:
            if not isinstance(process.fs.node(name, process.cwd, follow=False), Directory):
                raise OSError(errno.ENOTDIR, "Not a directory")
            process.fs.remove(name, process.cwd, process.owner)
        except OSError as error:
            gnu = process.container.family == "debian"
            status = await process.fail(
                f"failed to remove '{name}': {reason(error)}" if gnu else f"'{name}': {reason(error)}"
            )
    return status


@program("rm")
async def rm(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "rRfiv", {"recursive": "r", "force": "f", "verbose": "v"})
    except OptionFault as error:
        return await wrong(process, error)
    gnu = process.container.family == "debian"
    force = options.flag("f")
    if not options.rest and not force:
        return await lacking(process)
    status = 0
    for name in options.rest:
        if posixpath.normpath(posixpath.join(process.cwd, name)) == "/" and options.flag("r", "R"):
            text = "it is dangerous to operate recursively on '/'\nrm: use --no-preserve-root to override this failsafe"
            status = await process.fail(text if gnu else "can't remove '/': Device or resource busy")
            continue
        try:
            node = process.fs.node(name, process.cwd, follow=False, owner=process.owner)
        except OSError as error:
            if not force or error.errno not in (errno.ENOENT, errno.ENOTDIR):
                words = f"cannot remove '{name}'" if gnu else f"can't remove '{name}'"
                status = await process.fail(f"{words}: {reason(error)}")
            continue
        if isinstance(node, Directory) and not options.flag("r", "R"):
            words = f"cannot remove '{name}': Is a directory" if gnu else f"'{name}' is a directory"
            status = await process.fail(words)
            continue
        status = await remove_tree(process, name, 0, gnu) or status
    return status


async def remove_tree(process: Process, path: str, depth: int, gnu: bool) -> int:
    status = 0
    try:
        node = process.fs.node(path, process.cwd, follow=False, owner=process.owner)
        if isinstance(node, Directory) and depth < MAX_DEPTH:
            for name in list(process.fs.listing(path, process.cwd, process.owner)):
                status = await remove_tree(process, posixpath.join(path, name), depth + 1, gnu) or status
                await process.breathe()
        process.fs.remove(path, process.cwd, process.owner)
    except OSError as error:
        words = f"cannot remove '{path}'" if gnu else f"can't remove '{path}'"
        return await process.fail(f"{words}: {reason(error)}")
    return status


@program("touch")
async def touch(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "camt:d:r:", {"no-create": "c", "date": "d="})
    except OptionFault as error:
        return await wrong(process, error)
    status = 0
    for name in options.rest:
        try:
            if process.fs.exists(name, process.cwd):
                process.fs.change(name, process.cwd).mtime = time.time()
            elif not options.flag("c"):
                process.fs.open_file(name, process.cwd, process.owner, create=True, mode=0o666 & ~process.umask)
        except OSError as error:
            words = f"cannot touch '{name}'" if process.container.family == "debian" else name
            status = await process.fail(f"{words}: {reason(error)}")
    return status


@program("truncate")
async def truncate(process: Process) -> int:
    options = parse(process.argv[1:], "s:c", {"size": "s="})
    size = options.value("s", "0")
    factor = {"K": 1024, "M": 1024**2, "G": 1024**3}.get(size[-1:], 1)
    digits = size[:-1] if factor > 1 else size
    if not digits.isdigit():
        return await process.fail(f"Invalid number: ‘{size}’")
    for name in options.rest:
        node = process.fs.open_file(name, process.cwd, process.owner, create=True)
        wanted = int(digits) * factor
        if wanted > process.fs.usage.limit:
            raise OSError(errno.ENOSPC, "No space left on device")
        process.fs.set_data(node, node.data[:wanted] + bytes(max(0, wanted - len(node.data))))
    return 0


@program("ln")
async def ln(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "sfnvT", {"symbolic": "s", "force": "f"})
    except OptionFault as error:
        return await wrong(process, error)
    if not options.rest:
        return await lacking(process, text="missing file operand")
    *targets, link = options.rest if len(options.rest) > 1 else [options.rest[0], posixpath.basename(options.rest[0])]
    for target in targets:
        path = link
        if process.fs.is_dir(link, process.cwd) and not options.flag("n", "T"):
            path = posixpath.join(link, posixpath.basename(target))
        try:
            if options.flag("f") and process.fs.exists(path, process.cwd, follow=False):
                process.fs.remove(path, process.cwd, process.owner)
            if options.flag("s"):
                process.fs.add(path, Symlink(target), process.cwd, process.owner)
            else:
                node = process.fs.node(target, process.cwd, follow=False)
                if isinstance(node, Directory):
                    raise OSError(errno.EPERM, "Operation not permitted")
                process.fs.add(path, process.fs.change(target, process.cwd), process.cwd, process.owner)
        except OSError as error:
            return await process.fail(f"{path}: {reason(error)}")
    return 0


def walk(process: Process, top: str, limit: int = 200_000) -> Iterator[str]:
    """Paths of a tree, parents first; links are not followed."""
    stack = [(top, 0)]
    while stack and limit:
        path, depth = stack.pop()
        limit -= 1
        yield path
        try:
            node = process.fs.node(path, process.cwd, follow=depth == 0)
            if isinstance(node, Directory) and depth < MAX_DEPTH:
                names = process.fs.listing(path, process.cwd, process.owner)
                stack.extend((posixpath.join(path, name), depth + 1) for name in reversed(names))
        except OSError:
            continue


@program("readlink", "realpath")
async def readlink(process: Process) -> int:
    words = process.argv[1:]
    full = process.name == "realpath" or any(w in ("-f", "-e", "-m", "--canonicalize") for w in words)
    status = 0
    for name in [w for w in words if not w.startswith("-")]:
        try:
            if full:
                await process.line(process.fs.canonical(name, process.cwd))
            else:
                node = process.fs.node(name, process.cwd, follow=False)
                if not isinstance(node, Symlink):
                    status = 1
                    continue
                await process.line(node.target)
        except OSError as error:
            status = await process.fail(f"{name}: {reason(error)}") if process.name == "realpath" else 1
    return status


@program("basename")
async def basename(process: Process) -> int:
    words = process.argv[1:]
    if not words:
        return await lacking(process)
    name = posixpath.basename(words[0].rstrip("/")) or "/"
    if len(words) > 1 and name.endswith(words[1]) and name != words[1]:
        name = name[: -len(words[1])]
    await process.line(name)
    return 0


@program("dirname")
async def dirname(process: Process) -> int:
    for word in process.argv[1:]:
        await process.line(posixpath.dirname(word.rstrip("/")) or ("/" if word.startswith("/") else "."))
    return 0 if process.argv[1:] else await lacking(process)


@program("find")
async def find(process: Process) -> int:
    from labrunner.sandbox.workload.programs.find import main

    return await main(process)
