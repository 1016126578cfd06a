"""Programs about files: cat, ls, cp, mv, rm, find and their like."""

from __future__ import annotations

import errno
import posixpath
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from labrunner.sandbox.workload.filesystem.node import Device, Directory, File, Node, Symlink, total_size
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.options import OptionFault, Options, lacking, parse, wrong
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


# ls

_KILO = ("", "K", "M", "G", "T")


def human(size: float) -> str:
    """`4.0K` as `-h` shows."""
    for unit in _KILO:
        if size < 1024 or unit == "T":
            if unit == "":
                return str(int(size))
            return f"{size:.1f}{unit}" if size < 10 else f"{size:.0f}{unit}"
        size /= 1024
    return ""


def mode_text(node: Node) -> str:
    """`drwxr-xr-x`"""
    out = node.letter
    for shift, special, letter in ((6, 0o4000, "s"), (3, 0o2000, "s"), (0, 0o1000, "t")):
        bits = node.mode >> shift
        out += "r" if bits & 4 else "-"
        out += "w" if bits & 2 else "-"
        execute = bool(bits & 1)
        if node.mode & special:
            out += letter if execute else letter.upper()
        else:
            out += "x" if execute else "-"
    return out


def _size(node: Node) -> int:
    return len(node.read()) if isinstance(node, File) else node.size


@program("ls")
async def ls(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "1aAlhrtSRdFingopskCxLHc", {"all": "a", "almost-all": "A", "recursive": "R",
                                                          "human-readable": "h",
                                                   "reverse": "r", "color": "color=?", "directory": "d",
                                                   "full-time": "full"}
        )  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error, 2 if process.container.family == "debian" else 1)
    status = 0
    files: list[tuple[str, Node]] = []
    folders: list[str] = []
    for name in options.rest or ["."]:
        try:
            node = process.fs.node(name, process.cwd, follow=not (options.flag("l") and not name.endswith("/")),
                                   owner=process.owner)  # fmt: skip
            target = node
            if isinstance(node, Symlink):
                try:
                    target = process.fs.node(name, process.cwd, owner=process.owner)
                except OSError:
                    target = node
        except OSError as error:
            gnu = process.container.family == "debian"
            await process.say(f"cannot access '{name}': {reason(error)}" if gnu else f"{name}: {reason(error)}")
            status = 2 if gnu else 1
            continue
        if isinstance(target, Directory) and not options.flag("d") and not (options.flag("l") and target is not node):
            folders.append(name)
        else:
            files.append((name, node))
    if files:
        await _list(process, options, files, "")
    several = len(options.rest) > 1 or options.flag("R")
    for index, folder in enumerate(folders):
        if files or index:
            await process.write("\n")
        if several:
            await process.line(f"{folder}:")
        status = await _folder(process, options, folder, 0) or status
    return status


async def _folder(process: Process, options: Options, folder: str, depth: int) -> int:
    try:
        entries = process.fs.listing(folder, process.cwd, process.owner)
    except OSError as error:
        gnu = process.container.family == "debian"
        await process.say(f"cannot open directory '{folder}': {reason(error)}" if gnu else
                          f"can't open '{folder}': {reason(error)}")  # fmt: skip
        return 2 if gnu else 1
    shown = [(n, node) for n, node in entries.items() if not n.startswith(".") or options.flag("a", "A")]
    if options.flag("a"):
        here = process.fs.node(folder, process.cwd)
        shown = [(".", here), ("..", process.fs.node(posixpath.join(folder, ".."), process.cwd)), *shown]
    if options.flag("l", "s"):
        total = sum(-(-_size(node) // 4096) * 4 if isinstance(node, File) else 4 * isinstance(node, Directory)
                    for _, node in shown)  # fmt: skip
        await process.line(f"total {human(total * 1024) if options.flag('h') else total}")
    await _list(process, options, shown, folder)
    if options.flag("R") and depth < MAX_DEPTH:
        for name, node in shown:
            if isinstance(node, Directory) and name not in (".", ".."):
                path = posixpath.join(folder, name)
                await process.write(f"\n{path}:\n")
                await _folder(process, options, path, depth + 1)
                await process.breathe()
    return 0


async def _list(process: Process, options: Options, shown: list[tuple[str, Node]], folder: str) -> None:
    if options.flag("t"):
        shown.sort(key=lambda item: -item[1].mtime)
    elif options.flag("S"):
        shown.sort(key=lambda item: -_size(item[1]))
    if options.flag("r"):
        shown.reverse()
    names = []
    for name, node in shown:
        mark = ""
        if options.flag("F", "p"):
            mark = "/" if isinstance(node, Directory) else ""
            if options.flag("F"):
                mark = mark or (
                    "@" if isinstance(node, Symlink) else "*" if node.mode & 0o111 and isinstance(node, File) else ""
                )
        names.append(name + mark)
    if options.flag("l", "n", "o", "g", "full"):
        await _long(process, options, shown, names)
        return
    if options.flag("i"):
        names = [f"{node.inode:7d} {name}" for name, (_, node) in zip(names, shown, strict=True)]
    out = process.descriptors.get(1)
    if out is not None and out.is_tty and not options.flag("1") and names:
        width = process.terminal.columns if process.terminal else 80
        await process.write(_columns(names, width))
        return
    await process.write("".join(f"{name}\n" for name in names))


def _columns(names: list[str], width: int) -> str:
    longest = max(len(name) for name in names) + 2
    count = max(1, width // longest)
    rows = -(-len(names) // count)
    lines = []
    for row in range(rows):
        cells = names[row::rows]
        lines.append("".join(cell.ljust(longest) for cell in cells[:-1]) + cells[-1])
    return "\n".join(lines) + "\n"


async def _long(process: Process, options: Options, shown: list[tuple[str, Node]], names: list[str]) -> None:
    container = process.container
    rows = []
    for (_name, node), shown_name in zip(shown, names, strict=True):
        numeric = options.flag("n")
        user = str(node.uid) if numeric else container.user_name(node.uid) or str(node.uid)
        group = str(node.gid) if numeric else container.group_name(node.gid) or str(node.gid)
        links = (
            2 + sum(isinstance(c, Directory) for c in node.children().values()) if isinstance(node, Directory) else 1
        )
        size = "1,   3" if isinstance(node, Device) else human(_size(node)) if options.flag("h") else str(_size(node))
        if options.flag("full"):
            when = datetime.fromtimestamp(node.mtime, UTC).strftime("%Y-%m-%d %H:%M:%S.%f000 +0000")
        else:
            moment = datetime.fromtimestamp(node.mtime, UTC)
            recent = time.time() - node.mtime < 182 * 86400
            when = (
                moment.strftime("%b ")
                + f"{moment.day:2d} "
                + (moment.strftime("%H:%M") if recent else f" {moment.year}")
            )
        label = f"{shown_name} -> {node.target}" if isinstance(node, Symlink) else shown_name
        rows.append((mode_text(node), str(links), user, group, size, when, label))
    if not rows:
        return
    if container.family == "debian":
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            f"{r[0]} {r[1]:>{widths[1]}} {r[2]:<{widths[2]}} {r[3]:<{widths[3]}} {r[4]:>{widths[4]}} {r[5]} {r[6]}"
            for r in rows
        ]
    else:
        lines = [f"{r[0]} {r[1]:>4} {r[2]:<8} {r[3]:<8} {r[4]:>9} {r[5]} {r[6]}" for r in rows]
    await process.write("\n".join(lines) + "\n")


# making and removing


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
        status = await _remove(process, name, 0, gnu) or status
    return status


async def _remove(process: Process, path: str, depth: int, gnu: bool) -> int:
    status = 0
    try:
        node = process.fs.node(path, process.cwd, follow=False, owner=process.owner)
        if isinstance(node, Directory) and depth < MAX_DEPTH:
            for name in list(process.fs.listing(path, process.cwd, process.owner)):
                status = await _remove(process, posixpath.join(path, name), depth + 1, gnu) or status
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


# copying


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
        await _remove(process, source, 0, False)


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


# modes and owners


def changed_mode(text: str, old: int, directory: bool) -> int | None:
    """The mode after `755`, `u+x`, `go-w,a=r`; None when it is wrong."""
    if text.isdigit():
        return int(text, 8) if set(text) <= set("01234567") and len(text) <= 4 else None
    mode = old
    for clause in text.split(","):
        at = 0
        while at < len(clause) and clause[at] in "ugoa":
            at += 1
        who = clause[:at] or "a"
        if "a" in who:
            who = "ugo"
        if at >= len(clause):
            return None
        while at < len(clause):
            op = clause[at]
            if op not in "+-=":
                return None
            at += 1
            bits = 0
            special = 0
            while at < len(clause) and clause[at] in "rwxXst":
                letter = clause[at]
                if letter == "X":
                    bits |= 1 if directory or mode & 0o111 else 0
                elif letter == "s":
                    special |= (0o4000 if "u" in who else 0) | (0o2000 if "g" in who else 0)
                elif letter == "t":
                    special |= 0o1000
                else:
                    bits |= {"r": 4, "w": 2, "x": 1}[letter]
                at += 1
            for letter, shift in (("u", 6), ("g", 3), ("o", 0)):
                if letter not in who:
                    continue
                if op == "=":
                    mode &= ~(7 << shift)
                mode = mode & ~(bits << shift) if op == "-" else mode | bits << shift
            mode = mode & ~special if op == "-" else mode | special
    return mode


@program("chmod")
async def chmod(process: Process) -> int:
    words = process.argv[1:]
    recursive = any(w in ("-R", "--recursive") for w in words)
    words = [w for w in words if w not in ("-R", "--recursive", "-v", "-f", "-c", "--")]
    if len(words) < 2:
        return await lacking(process)
    status = 0
    for name in words[1:]:
        for path in walk(process, name) if recursive else [name]:
            try:
                node = process.fs.node(path, process.cwd)
                mode = changed_mode(words[0], node.mode, isinstance(node, Directory))
                if mode is None:
                    return await process.fail(f"invalid mode: ‘{words[0]}’" if process.container.family == "debian" else
                                              f"invalid mode '{words[0]}'")  # fmt: skip
                if process.owner.uid not in (0, node.uid):
                    raise OSError(errno.EPERM, "Operation not permitted")
                process.fs.change(path, process.cwd).mode = mode
            except OSError as error:
                gnu = process.container.family == "debian"
                missing = error.errno == errno.ENOENT
                words_ = (
                    (f"cannot access '{path}'" if missing else f"changing permissions of '{path}'") if gnu else path
                )
                status = await process.fail(f"{words_}: {reason(error)}")
            await process.breathe()
    return status


@program("chown", "chgrp")
async def chown(process: Process) -> int:
    words = process.argv[1:]
    recursive = any(w in ("-R", "--recursive") for w in words)
    words = [w for w in words if not w.startswith("-")]
    if len(words) < 2:
        return await lacking(process)
    user, _, group = words[0].partition(":") if process.name == "chown" else ("", "", words[0])
    container, status = process.container, 0
    if user and not user.isdigit() and not any(row[0] == user for row in container.table("/etc/passwd")):
        return await process.fail(
            f"invalid user: ‘{words[0]}’" if container.family == "debian" else f"unknown user {user}"
        )
    uid = container.owner_of(user).uid if user else None
    gid = container.owner_of(f"root:{group}").gid if group else None
    for name in words[1:]:
        for path in walk(process, name) if recursive else [name]:
            try:
                process.fs.node(path, process.cwd)
                if process.owner.uid != 0:
                    raise OSError(errno.EPERM, "Operation not permitted")
                node = process.fs.change(path, process.cwd)
                node.uid = node.uid if uid is None else uid
                node.gid = node.gid if gid is None else gid
            except OSError as error:
                gnu = container.family == "debian"
                text = f"changing ownership of '{path}'" if gnu else path
                status = await process.fail(f"{text}: {reason(error)}")
            await process.breathe()
    return status


# looking


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


@program("stat")
async def stat(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "c:tLf", {"format": "c=", "printf": "printf=", "terse": "t", "dereference": "L"}
        )
    except OptionFault as error:
        return await wrong(process, error)
    status = 0
    for name in options.rest:
        try:
            node = process.fs.node(name, process.cwd, follow=options.flag("L"), owner=process.owner)
        except OSError as error:
            gnu = process.container.family == "debian"
            status = await process.fail(
                f"cannot statx '{name}': {reason(error)}" if gnu else f"can't stat '{name}': {reason(error)}"
            )
            continue
        layout = options.value("c") or options.value("printf")
        text = _formatted(process, name, node, layout) if layout else _stat_text(process, name, node)
        await process.write(text if options.value("printf") else text + "\n")
    return status


def _kind(node: Node) -> str:
    if isinstance(node, File):
        return "regular empty file" if not _size(node) else "regular file"
    if isinstance(node, Directory):
        return "directory"
    return "symbolic link" if isinstance(node, Symlink) else "character special file"


def _formatted(process: Process, name: str, node: Node, layout: str) -> str:
    stamp = datetime.fromtimestamp(node.mtime, UTC)
    container = process.container
    table = {
        "n": name, "N": f"'{name}'", "s": str(_size(node)), "a": f"{node.mode:o}", "A": mode_text(node),
        "F": _kind(node),
        "u": str(node.uid), "g": str(node.gid), "U": container.user_name(node.uid) or "UNKNOWN",
        "G": container.group_name(node.gid) or "UNKNOWN", "Y": str(int(node.mtime)), "X": str(int(node.mtime)),
        "Z": str(int(node.mtime)), "y": stamp.strftime("%Y-%m-%d %H:%M:%S.%f000 +0000"), "i": str(node.inode), "h": "1",
        "b": str(-(-_size(node) // 512)), "B": "512", "%": "%",
    }  # fmt: skip
    out, at = [], 0
    while at < len(layout):
        if layout[at] == "%" and at + 1 < len(layout):
            out.append(table.get(layout[at + 1], "?"))
            at += 2
        elif layout[at] == "\\" and at + 1 < len(layout) and layout[at + 1] in "nt":
            out.append({"n": "\n", "t": "\t"}[layout[at + 1]])
            at += 2
        else:
            out.append(layout[at])
            at += 1
    return "".join(out)


def _stat_text(process: Process, name: str, node: Node) -> str:
    stamp = datetime.fromtimestamp(node.mtime, UTC).strftime("%Y-%m-%d %H:%M:%S.%f000 +0000")
    user = process.container.user_name(node.uid) or "UNKNOWN"
    group = process.container.group_name(node.gid) or "UNKNOWN"
    label = f"{name} -> {node.target}" if isinstance(node, Symlink) else name
    return (
        f"  File: {label}\n  Size: {_size(node):<10}\tBlocks: {-(-_size(node) // 512):<10} IO Block: 4096   "
        f"{_kind(node)}\n"
        f"Device: 8,1\tInode: {node.inode:<11} Links: 1\n"
        f"Access: ({node.mode:04o}/{mode_text(node)})  Uid: ({node.uid:5d}/{user:>8})   Gid: "
        f"({node.gid:5d}/{group:>8})\n"
        f"Access: {stamp}\nModify: {stamp}\nChange: {stamp}"
    )


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


@program("du")
async def du(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "sahkmcd:x", {"human-readable": "h", "summarize": "s", "max-depth": "d=", "total": "c"}
        )
    except OptionFault as error:
        return await wrong(process, error)

    def shown(size: int) -> str:
        if options.flag("h"):
            return human(size)
        return str(-(-size // (1024 * 1024 if options.flag("m") else 1024)))

    depth_limit = 0 if options.flag("s") else int(options.value("d", "1000") or 0)
    for name in options.rest or ["."]:
        try:
            process.fs.node(name, process.cwd)
        except OSError as error:
            return await process.fail(f"{name}: {reason(error)}")
        base = name.rstrip("/").count("/")
        for path in reversed(list(walk(process, name))):
            node = process.fs.node(path, process.cwd, follow=False)
            if path == name or (
                path.count("/") - base <= depth_limit and (isinstance(node, Directory) or options.flag("a"))
            ):
                await process.line(f"{shown(max(4096, total_size(node)))}\t{path}")
            await process.breathe()
    return 0


@program("df")
async def df(process: Process) -> int:
    flags = "".join(w[1:] for w in process.argv[1:] if w.startswith("-"))
    head = "Filesystem                Size      Used Available Use% Mounted on" if "h" in flags else (
        "Filesystem           1K-blocks      Used Available Use% Mounted on")  # fmt: skip
    rows = [("overlay", 129_886_128, 24_312_908, "/")]
    rows += [(mount.source, 65_536 if mount.kind == "tmpfs" else 129_886_128,
              0 if mount.kind == "tmpfs" else 24_312_908, path)
             for path, mount in process.fs.mounts.items() if mount.kind in ("tmpfs", "ext4")]  # fmt: skip
    wanted = [w for w in process.argv[1:] if not w.startswith("-")]
    if wanted:
        points = {process.fs.mount_of(process.fs.canonical(w, process.cwd))[0] for w in wanted}
        rows = [row for row in rows if row[3] in points]
    await process.line(head)
    for source, size, used, path in rows:
        free = size - used
        cells = (human(size * 1024), human(used * 1024), human(free * 1024)) if "h" in flags else (size, used, free)
        await process.line(
            f"{source:<20} {cells[0]:>9} {cells[1]:>9} {cells[2]:>9} {round(used * 100 / size):3d}% {path}"
        )
    return 0


@program("mount")
async def mount(process: Process) -> int:
    from labrunner.sandbox.workload import procfs

    if len(process.argv) > 1:
        return await process.fail("permission denied (are you root?)")
    for line in procfs.mounts(process.container).splitlines():
        source, path, kind, options, *_ = line.split(" ")
        await process.line(f"{source} on {path} type {kind} ({options})")
    return 0


@program("tree")
async def tree(process: Process) -> int:
    top = next((w for w in process.argv[1:] if not w.startswith("-")), ".")
    counts = [0, 0]

    async def show(path: str, prefix: str, depth: int) -> None:
        entries = [
            (n, c) for n, c in process.fs.listing(path, process.cwd, process.owner).items() if not n.startswith(".")
        ]
        for index, (name, node) in enumerate(entries):
            last = index == len(entries) - 1
            await process.line(f"{prefix}{'└── ' if last else '├── '}{name}")
            counts[isinstance(node, File)] += 1
            if isinstance(node, Directory) and depth < MAX_DEPTH:
                await show(posixpath.join(path, name), prefix + ("    " if last else "│   "), depth + 1)

    await process.line(top)
    await show(top, "", 0)
    await process.line(f"\n{counts[0]} directories, {counts[1]} files")
    return 0
