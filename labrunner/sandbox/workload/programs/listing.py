"""`ls`, `stat`, `tree`, `du`, `df`, `mount`: what there is."""

from __future__ import annotations

import posixpath
import time
from datetime import UTC, datetime

from labrunner.sandbox.workload.filesystem.node import Device, Directory, File, Node, Symlink, total_size
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import MAX_DEPTH, reason, walk
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse, wrong
from labrunner.sandbox.workload.programs.table import program

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
