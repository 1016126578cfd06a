"""`tar`: made and taken apart in memory; what `kubectl cp` uses."""

from __future__ import annotations

import io
import posixpath
import tarfile
from datetime import UTC, datetime

from labrunner.sandbox.workload.filesystem.node import Device, Directory, File, Symlink
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.encode import gunzipped, gzipped
from labrunner.sandbox.workload.programs.files import reason, walk
from labrunner.sandbox.workload.programs.options import OptionFault, Options, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import program
from labrunner.sandbox.workload.shell.pattern import fnmatch

_MAX_ARCHIVE = 256 * 1024 * 1024
_LONG = {"create": "c", "extract": "x", "get": "x", "list": "t", "file": "f=", "verbose": "v", "gzip": "z",
         "directory": "C=",
         "exclude": "exclude=", "strip-components": "strip=", "no-same-permissions": "nsp", "no-same-owner": "nso",
         "preserve-permissions": "p", "same-permissions": "p", "dereference": "h", "to-stdout": "O",
         "keep-old-files": "k",
         "overwrite": "overwrite", "no-overwrite-dir": "nod", "warning": "warning=", "owner": "owner=",
         "group": "group=",
         "numeric-owner": "numeric", "ignore-failed-read": "ifr", "absolute-names": "P", "touch": "m"}  # fmt: skip


@program("tar")
async def tar(process: Process) -> int:
    words = process.argv[1:]
    if words and not words[0].startswith("-"):  # old style: tar xf archive
        letters, words = words[0], words[1:]
        given: list[str] = []
        for letter in letters:
            given.append(f"-{letter}")
            if letter in "fC" and words:
                given.append(words.pop(0))
        words = [*given, *words]
    try:
        options = parse(words, "cxtvzf:C:pmOhkPoXjJS", _LONG)
    except OptionFault as error:
        return await wrong(process, error, 2)
    mode = options.last(("c", "x", "t"))
    if not mode:
        gnu = process.container.family == "debian"
        text = "You must specify one of the '-Acdtrux' options" if gnu else "need at least one option"
        return await process.fail(text, 2) if gnu else await lacking(process)
    base = process.cwd
    for folder in options.values("C"):
        base = posixpath.join(base, folder)
        if not process.fs.is_dir(base):
            text = f"{folder}: Cannot open: No such file or directory" if process.container.family == "debian" else (
                f"can't change directory to '{folder}': No such file or directory")  # fmt: skip
            return await process.fail(text, 2 if process.container.family == "debian" else 1)
    if mode == "c":
        return await _create(process, options, base)
    return await _extract(process, options, base, listing=mode == "t")


async def _create(process: Process, options: Options, base: str) -> int:
    out = io.BytesIO()
    status = 0
    gnu = process.container.family == "debian"
    saved = process.cwd
    process.cwd = base
    warned = False
    try:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for top in options.rest:
                if not process.fs.exists(top, follow=False, cwd=base):
                    text = (
                        f"{top}: Cannot stat: No such file or directory" if gnu else f"{top}: No such file or directory"
                    )
                    await process.say(text)
                    status = 2 if gnu else 1
                    continue
                if top.startswith("/") and not warned and not options.flag("P"):
                    await process.say(
                        "Removing leading `/' from member names" if gnu else "removing leading '/' from member names"
                    )
                    warned = True
                for path in walk(process, top):
                    if any(fnmatch(p, path) or fnmatch(p, posixpath.basename(path)) for p in options.values("exclude")):
                        continue
                    try:
                        _add(process, archive, path, follow=options.flag("h"))
                    except OSError as error:
                        await process.say(f"{path}: {reason(error)}")
                        status = 2 if gnu else 1
                        continue
                    if options.flag("v"):
                        await process.error(f"{path}\n")
                    if out.tell() > _MAX_ARCHIVE:
                        return await process.fail("archive too large", 2)
                    await process.breathe()
    finally:
        process.cwd = saved
    data = out.getvalue()
    if options.flag("z"):
        data = gzipped(data)
    name = options.value("f", "-")
    if name == "-":
        await process.write(data)
    else:
        process.fs.write(name, data, process.cwd, process.owner)
    if status:
        words = "Exiting with failure status due to" if gnu else "error exit delayed from"
        await process.say(f"{words} previous errors")
    return status


def _add(process: Process, archive: tarfile.TarFile, path: str, *, follow: bool) -> None:
    node = process.fs.node(path, process.cwd, follow=follow, owner=process.owner)
    if isinstance(node, Device):
        return
    info = tarfile.TarInfo(path.lstrip("/") or ".")
    info.mode, info.mtime, info.uid, info.gid = node.mode, int(node.mtime), node.uid, node.gid
    info.uname = process.container.user_name(node.uid)
    info.gname = process.container.group_name(node.gid)
    if isinstance(node, Directory):
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    elif isinstance(node, Symlink):
        info.type, info.linkname = tarfile.SYMTYPE, node.target
        archive.addfile(info)
    elif isinstance(node, File):
        data = process.fs.read(path, process.cwd, process.owner)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


async def _extract(process: Process, options: Options, base: str, *, listing: bool) -> int:
    name = options.value("f", "-")
    try:
        data = await process.stdin.readall(_MAX_ARCHIVE) if name == "-" else process.read_file(name)
    except OSError as error:
        return await process.fail(f"{name}: Cannot open: {reason(error)}" if process.container.family == "debian" else
                                  f"can't open '{name}': {reason(error)}",
                                  2 if process.container.family == "debian" else 1)  # fmt: skip
    if data[:2] == b"\x1f\x8b":
        data = gunzipped(data) or b""
    status = 0
    strip = int(options.value("strip", "0")) if options.value("strip", "0").isdigit() else 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                if options.rest and not any(member.name == w.rstrip("/") or member.name.startswith(w.rstrip("/") + "/")
                                            for w in options.rest):  # fmt: skip
                    continue
                shown = member.name + ("/" if member.isdir() else "")
                gnu = process.container.family == "debian"
                if listing:
                    await process.line(_listed(member, shown, gnu=gnu) if options.flag("v") else shown)
                    continue
                parts = [p for p in member.name.split("/") if p not in ("", ".")][strip:]
                if ".." in parts:
                    await process.say(f"{member.name}: Member name contains '..'")
                    status = 2
                    continue
                try:
                    await _put(process, options, archive, member, posixpath.join(base, *parts) if parts else base)
                except OSError as error:
                    shown = f"{member.name}: Cannot open" if gnu else f"can't open '{member.name}'"
                    await process.say(f"{shown}: {reason(error)}")
                    status = 2 if process.container.family == "debian" else 1
                    continue
                if options.flag("v"):
                    await process.line(shown)
                await process.breathe()
    except (tarfile.TarError, EOFError, ValueError):
        if process.container.family == "debian":
            await process.say("This does not look like a tar archive")
            return await process.fail("Exiting with failure status due to previous errors", 2)
        return await process.fail("invalid tar magic" if data else "short read")
    return status


def _listed(member: tarfile.TarInfo, shown: str, *, gnu: bool) -> str:
    kind = "d" if member.isdir() else "l" if member.issym() else "-"
    bits = "".join(c if member.mode >> (8 - i) & 1 else "-" for i, c in enumerate("rwxrwxrwx"))
    link = f" -> {member.linkname}" if member.issym() else ""
    layout = "%Y-%m-%d %H:%M" if gnu else "%Y-%m-%d %H:%M:%S"
    when = datetime.fromtimestamp(member.mtime, UTC).strftime(layout)
    owners = f"{member.uname or member.uid}/{member.gname or member.gid}"
    return f"{kind}{bits} {owners} {member.size:{max(1, 18 - len(owners)) if gnu else 9}d} {when} {shown}{link}"


async def _put(
    process: Process, options: Options, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str
) -> None:
    fs, owner = process.fs, process.owner
    if options.flag("O"):
        file = archive.extractfile(member)
        if file is not None:
            await process.write(file.read())
        return
    parent = posixpath.dirname(path)
    if not fs.is_dir(parent):
        fs.mkdir(parent, "/", owner, parents=True)
    if member.isdir():
        if not fs.is_dir(path):
            fs.mkdir(path, "/", owner, mode=member.mode & 0o7777 or 0o755)
        return
    if member.issym():
        if fs.exists(path, follow=False):
            fs.remove(path, "/", owner)
        fs.add(path, Symlink(member.linkname), "/", owner)
        return
    if member.islnk():
        fs.write(path, fs.read(posixpath.join(posixpath.dirname(path), member.linkname)), "/", owner)
        return
    file = archive.extractfile(member)
    if file is None:
        return
    if fs.is_dir(path):
        raise IsADirectoryError(21, "Is a directory", path)
    mode = member.mode & 0o7777
    node = fs.write(path, file.read(), "/", owner, mode=mode)
    node.program = ""
    node.mode = mode & (0o7777 if options.flag("p") or owner.uid == 0 else ~process.umask)
    if not options.flag("m"):
        node.mtime = float(member.mtime)
    if owner.uid == 0 and not options.flag("nso", "o"):
        node.uid, node.gid = member.uid, member.gid
