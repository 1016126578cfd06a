"""`/proc` as far as programs in containers look at it."""

from __future__ import annotations

import functools
import posixpath
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.filesystem.node import Directory, Generated, GeneratedDirectory, Node, Symlink

if TYPE_CHECKING:
    from labrunner.sandbox.workload.filesystem.tree import FileSystem
    from labrunner.sandbox.workload.machine.container import ContainerMachine
    from labrunner.sandbox.workload.machine.process import Process

BOOTED = time.time() - 86_400 * 3
KERNEL = "5.15.0-1089-azure"
MEMORY_KB = 16_393_216


def root(container: ContainerMachine) -> GeneratedDirectory:
    return GeneratedDirectory(lambda: _entries(container))


def _text(make: object) -> Generated:
    assert callable(make)
    return Generated(lambda: str(make()).encode())


def _entries(container: ContainerMachine) -> Mapping[str, Node]:
    processes = container.processes()
    entries: dict[str, Node] = {
        str(process.pid): GeneratedDirectory(functools.partial(_process, process, container)) for process in processes
    }
    entries |= {
        "self": Symlink(str(processes[-1].pid) if processes else "1"),
        "uptime": _text(lambda: f"{time.time() - BOOTED:.2f} {(time.time() - BOOTED) * 3.8:.2f}\n"),
        "loadavg": _text(lambda: f"0.12 0.09 0.05 1/{len(processes) + 90} {processes[-1].pid if processes else 1}\n"),
        "version": _text(lambda: f"Linux version {KERNEL} (buildd@lcy02-amd64-052) #98-Ubuntu SMP\n"),
        "cpuinfo": _text(lambda: "".join(
            f"processor\t: {n}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Platinum 8370C CPU @ "
            f"2.80GHz\n"
            f"cpu MHz\t\t: 2793.437\n\n" for n in range(4))),
        "meminfo": _text(lambda: f"MemTotal:       {MEMORY_KB} kB\nMemFree:         9211904 kB\n"
                                 f"MemAvailable:   13107200 kB\nBuffers:          201728 kB\nCached:          "
                                 f"3904512 kB\n"
                                 "SwapTotal:             0 kB\nSwapFree:              0 kB\n"),
        "mounts": _text(lambda: mounts(container)),
        "filesystems": _text(lambda: "nodev\tproc\nnodev\ttmpfs\n\text4\n"),
    }  # fmt: skip
    return entries


def mounts(container: ContainerMachine) -> str:
    """As /proc/mounts has them."""
    lines = ["overlay / overlay rw,relatime 0 0"]
    for path, mount in container.fs.mounts.items():
        mode = "ro" if mount.read_only else "rw"
        lines.append(f"{mount.source} {path} {mount.kind} {mode},relatime 0 0")
    return "\n".join(lines) + "\n"


def _view(fs: FileSystem, path: str) -> GeneratedDirectory:
    """A directory of another container with what is mounted in it, to be looked at."""

    def children() -> Mapping[str, Node]:
        return {
            name: _view(fs, posixpath.join(path, name)) if isinstance(node, Directory) else node
            for name, node in fs.listing(path).items()
        }

    return GeneratedDirectory(children)


def _process(process: Process, viewer: ContainerMachine) -> Mapping[str, Node]:
    name = process.name or "sh"
    status = (
        f"Name:\t{name[:15]}\nUmask:\t{process.umask:04o}\nState:\tS "
        f"(sleeping)\nTgid:\t{process.pid}\nPid:\t{process.pid}\n"
        f"PPid:\t{process.parent.pid if process.parent else 0}\nUid:\t{process.owner.uid}\t{process.owner.uid}\t"
        f"{process.owner.uid}\t{process.owner.uid}\nGid:\t{process.owner.gid}\t{process.owner.gid}\t{process.owner.gid}\t"
        f"{process.owner.gid}\nVmSize:\t    4404 kB\nVmRSS:\t    1640 kB\nThreads:\t1\n"
    )
    return {
        "cmdline": Generated(lambda: b"".join(w.encode("utf-8", "surrogateescape") + b"\0" for w in process.argv)),
        "comm": _text(lambda: f"{name[:15]}\n"),
        "status": _text(lambda: status),
        "environ": Generated(
            lambda: b"".join(f"{k}={v}".encode("utf-8", "surrogateescape") + b"\0" for k, v in process.env.items()),
            0o400
        ),
        "cwd": Symlink(process.cwd),
        "root": Symlink("/") if process.container is viewer else _view(process.fs, "/"),
        "fd": GeneratedDirectory(lambda: {str(n): Symlink(f"/dev/fd/{n}") for n in process.descriptors}, 0o500),
        "stat": _text(lambda: f"{process.pid} ({name[:15]}) S {process.parent.pid if process.parent else 0} "
                              f"{process.session} {process.session} 0 -1 4194560\n"),
    }  # fmt: skip
