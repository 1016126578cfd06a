"""What a file system is made of: files, directories, symbolic links and devices.

Nodes of an image are frozen and shared by all containers; the first write through a container's tree copies them
(`FileSystem` does that), so a thousand containers of one image cost what they changed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from typing import Literal

_inode = itertools.count(11).__next__
BUILD_TIME = 1_756_684_800.0
"""When the files of images were made (2025-09-01)."""


class Node:
    """`mode`: permission bits only."""

    __slots__ = ("frozen", "gid", "inode", "mode", "mtime", "uid")
    letter = "-"

    def __init__(self, mode: int, uid: int = 0, gid: int = 0, mtime: float | None = None) -> None:
        self.mode, self.uid, self.gid = mode, uid, gid
        self.mtime = time.time() if mtime is None else mtime
        self.inode = _inode()
        self.frozen = False

    @property
    def size(self) -> int:
        return 0

    def copy(self) -> Node:
        """A thawed copy; a directory's shares its children."""
        raise NotImplementedError

    def _same(self, other: Node) -> None:
        self.inode = other.inode


class File(Node):
    """`program` names what runs when it is executed (`labrunner.sandbox.workload.programs`)."""

    __slots__ = ("_added", "_data", "program")

    def __init__(
        self,
        data: bytes = b"",
        mode: int = 0o644,
        uid: int = 0,
        gid: int = 0,
        mtime: float | None = None,
        program: str = "",
    ) -> None:
        super().__init__(mode, uid, gid, mtime)
        self._data = data
        self._added = bytearray()
        """What was appended since the content was last asked for."""
        self.program = program

    @property
    def data(self) -> bytes:
        if self._added:
            self._data += bytes(self._added)
            self._added = bytearray()
        return self._data

    @data.setter
    def data(self, data: bytes) -> None:
        self._data, self._added = data, bytearray()

    def append(self, data: bytes) -> None:
        self._added += data

    @property
    def size(self) -> int:
        return len(self._data) + len(self._added)

    def read(self) -> bytes:
        return self.data

    def copy(self) -> File:
        found = File(self.data, self.mode, self.uid, self.gid, self.mtime, self.program)
        found._same(self)
        return found


class Generated(File):
    """A file whose content is made when it is read (`/proc`, `/etc/hosts`)."""

    __slots__ = ("source",)

    def __init__(self, source: Callable[[], bytes], mode: int = 0o444) -> None:
        super().__init__(b"", mode)
        self.source = source

    @property
    def size(self) -> int:
        return 0

    def read(self) -> bytes:
        return self.source()

    def copy(self) -> File:
        return File(self.source(), self.mode, self.uid, self.gid)


class Directory(Node):
    __slots__ = ("entries",)
    letter = "d"

    def __init__(
        self,
        entries: Mapping[str, Node] | None = None,
        mode: int = 0o755,
        uid: int = 0,
        gid: int = 0,
        mtime: float | None = None,
    ) -> None:
        super().__init__(mode, uid, gid, mtime)
        self.entries: dict[str, Node] = dict(entries or {})

    @property
    def size(self) -> int:
        return 4096

    def children(self) -> Mapping[str, Node]:
        return self.entries

    def copy(self) -> Directory:
        found = Directory(self.entries, self.mode, self.uid, self.gid, self.mtime)
        found._same(self)
        return found


class GeneratedDirectory(Directory):
    """A directory whose entries are made when it is looked at."""

    __slots__ = ("source",)

    def __init__(self, source: Callable[[], Mapping[str, Node]], mode: int = 0o555) -> None:
        super().__init__(None, mode)
        self.source = source

    def children(self) -> Mapping[str, Node]:
        return self.source()

    def copy(self) -> Directory:
        return Directory(self.source(), self.mode, self.uid, self.gid)


class Symlink(Node):
    __slots__ = ("target",)
    letter = "l"

    def __init__(self, target: str, mtime: float | None = None) -> None:
        super().__init__(0o777, 0, 0, mtime)
        self.target = target

    @property
    def size(self) -> int:
        return len(self.target)

    def copy(self) -> Symlink:
        return Symlink(self.target, self.mtime)


DeviceKind = Literal["null", "zero", "full", "random", "tty", "stdin", "stdout", "stderr"]


class Device(Node):
    """A character device, by what it does."""

    __slots__ = ("kind",)
    letter = "c"

    def __init__(self, kind: DeviceKind, mode: int = 0o666) -> None:
        super().__init__(mode, 0, 0, BUILD_TIME)
        self.kind: DeviceKind = kind

    def copy(self) -> Device:
        return Device(self.kind, self.mode)


def freeze(node: Node) -> Node:
    """Mark a tree as shared; returns it."""
    node.frozen = True
    if isinstance(node, Directory) and not isinstance(node, GeneratedDirectory):
        for child in node.entries.values():
            if not child.frozen:
                freeze(child)
    return node


def total_size(node: Node) -> int:
    """Bytes in files at and below it."""
    if isinstance(node, Directory):
        return sum(total_size(child) for child in node.children().values())
    return node.size
