"""`cp`, `mv`, `install` and `dd`."""

from __future__ import annotations

import errno
import posixpath
import time

from labrunner.sandbox.workload.filesystem.node import Device, Directory, File, Symlink
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import MAX_DEPTH, reason, remove_tree
from labrunner.sandbox.workload.programs.listing import human
from labrunner.sandbox.workload.programs.mode_words import changed_mode
from labrunner.sandbox.workload.programs.options import OptionFault, Options, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import program


@program("cp")
async def cp(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "rRafpPdivnLTu", {"recursive": "r", "archive": "a", "force": "f", "verbose": "v"}
        )
    except OptionFault as error:
        return await wrong(process, error)
    return await _transfer(process, options, copy=True)


@program("mv")
async def mv(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "finvT", {"force": "f", "verbose": "v"})
    except OptionFault as error:
        return await wrong(process, error)
    return await _transfer(process, options, copy=False)


async def _transfer(process: Process, options: Options, *, copy: bool) -> int:
    fs, cwd, gnu = process.fs, process.cwd, process.container.family == "debian"
    if len(options.rest) < 2:
        what = f"missing destination file operand after '{options.rest[0]}'" if options.rest else "missing file operand"
        return await lacking(process, text=what)
    *sources, target = options.rest
    into = fs.is_dir(target, cwd) and not options.flag("T")
    if len(sources) > 1 and not into:
        return await process.fail(
            f"target '{target}' is not a directory" if gnu else f"target '{target}': Not a directory"
        )
    status = 0
    if target.endswith("/") and not into:
        parent = target.rstrip("/")
        text = f"cannot create regular file '{target}'" if gnu else f"can't create '{target}'"
        if not (fs.exists(posixpath.dirname(parent) or ".", cwd) and fs.is_dir(sources[0], cwd)):
            return await process.fail(f"{text}: {'Not a directory' if gnu else 'Is a directory'}")
    for source in sources:
        where = posixpath.join(target, posixpath.basename(source.rstrip("/"))) if into else target
        try:
            node = fs.node(source, cwd, follow=copy and not options.flag("a", "P", "d"), owner=process.owner)
            if copy and isinstance(node, Directory) and not options.flag("r", "R", "a"):
                text = f"-r not specified; omitting directory '{source}'" if gnu else f"omitting directory '{source}'"
                status = await process.fail(text)
                continue
            if copy:
                await _copy(process, source, where, options, 0)
            else:
                await _move(process, source, where)
        except OSError as error:
            if gnu:
                verb = "cannot stat" if error.errno == errno.ENOENT and not fs.exists(source, cwd) else (
                    "cannot create regular file" if copy else "cannot move")  # fmt: skip
                name = source if verb == "cannot stat" else where if copy else f"{source}' to '{where}"
                text = f"{verb} '{name}'"
            else:
                missing = not fs.exists(source, cwd)
                text = (f"can't stat '{source}'" if missing else f"can't create '{where}'") if copy else (
                    f"can't rename '{source}'")  # fmt: skip
            status = await process.fail(f"{text}: {reason(error)}")
    return status


async def _copy(process: Process, source: str, target: str, options: Options, depth: int) -> None:
    fs, cwd, owner = process.fs, process.cwd, process.owner
    await process.breathe()
    if depth > MAX_DEPTH:
        raise OSError(errno.ELOOP, "Too many levels of symbolic links")
    node = fs.node(source, cwd, follow=not options.flag("a", "P", "d", "r", "R") or depth == 0, owner=owner)
    if isinstance(node, Symlink):
        if fs.exists(target, cwd, follow=False):
            fs.remove(target, cwd, owner)
        fs.add(target, Symlink(node.target), cwd, owner)
        return
    if isinstance(node, Directory):
        here, there = fs.canonical(source, cwd), fs.canonical_lenient(target, cwd)
        if (there + "/").startswith(here.rstrip("/") + "/") and here != "/":
            raise OSError(errno.EINVAL, "Invalid argument")
        if not fs.is_dir(target, cwd):
            fs.mkdir(target, cwd, owner, mode=node.mode)
        for name in list(fs.listing(source, cwd, owner)):
            await _copy(process, posixpath.join(source, name), posixpath.join(target, name), options, depth + 1)
        return
    if options.flag("n") and fs.exists(target, cwd):
        return
    data = fs.read(source, cwd, owner)
    if fs.exists(target, cwd) and isinstance(fs.node(target, cwd), Device):
        stream = process.open(target, "w")
        await stream.write(data)
        stream.release()
        return
    written = fs.write(target, data, cwd, owner, mode=node.mode & ~(0 if options.flag("p", "a") else process.umask))
    written.program = node.program if isinstance(node, File) else ""
    if options.flag("p", "a"):
        written.mtime, written.mode = node.mtime, node.mode
        if owner.uid == 0:
            written.uid, written.gid = node.uid, node.gid


async def _move(process: Process, source: str, target: str) -> None:
    fs, cwd, owner = process.fs, process.cwd, process.owner
    try:
        fs.rename(source, target, cwd, owner)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        options = Options()
        options.given = [("a", "")]
        await _copy(process, source, target, options, 0)
        await remove_tree(process, source, 0, False)


@program("install")
async def install(process: Process) -> int:
    options = parse(process.argv[1:], "dm:o:g:D", {"directory": "d", "mode": "m="})
    mode = changed_mode(options.value("m", "755"), 0o755, False) or 0o755
    if options.flag("d"):
        for name in options.rest:
            process.fs.mkdir(name, process.cwd, process.owner, parents=True, mode=mode)
        return 0
    if len(options.rest) != 2:
        return await process.fail("missing destination file operand")
    data = process.read_file(options.rest[0])
    process.fs.write(options.rest[1], data, process.cwd, process.owner, mode=mode).mode = mode
    return 0


@program("dd")
async def dd(process: Process) -> int:
    given = dict(word.partition("=")[::2] for word in process.argv[1:])
    units = {"k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3, "": 1}

    def number(text: str) -> int:
        digits = text.rstrip("kKMGB")
        return int(digits) * units[text[len(digits) : len(digits) + 1]] if digits.isdigit() else 0

    size = number(given.get("bs", "512")) or 512
    count = number(given["count"]) if "count" in given else None
    source = process.open(given["if"]) if "if" in given else process.stdin.retain()
    target = process.open(given["of"], "w") if "of" in given else process.descriptors[1].retain()
    began, blocks, total = time.monotonic(), 0, 0
    try:
        while count is None or blocks < count:
            data = b""
            while len(data) < size:
                more = await source.read(size - len(data))
                if not more:
                    break
                data += more
            if not data:
                break
            await target.write(data)
            blocks += len(data) == size
            total += len(data)
            await process.breathe()
            if len(data) < size:
                break
    finally:
        source.release()
        target.release()
    partial = int(total % size > 0)
    took = max(time.monotonic() - began, 1e-6)
    await process.error(f"{blocks}+{partial} records in\n{blocks}+{partial} records out\n{total} bytes "
                        f"({human(total)}B) copied, {took:.6f} seconds, {human(total / took)}B/s\n")  # fmt: skip
    return 0
