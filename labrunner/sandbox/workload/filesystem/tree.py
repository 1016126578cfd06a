"""A container's tree of files: paths, permissions, mounts, quotas. Failures are OSErrors with the right errno."""

from __future__ import annotations

import errno
import os
import posixpath
import time
from dataclasses import dataclass

from labrunner.sandbox.workload.filesystem.node import Device, Directory, File, Generated, Node, Symlink

MAX_LINKS = 40
MAX_NAME = 255
MAX_PATH = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """Who does something: user, group and further groups, by number."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


ROOT = Owner()


@dataclass(slots=True)
class Mount:
    """What is mounted at a path."""

    root: Node
    read_only: bool = False
    kind: str = "ext4"
    source: str = "/dev/root"


@dataclass(slots=True)
class Usage:
    """How much a pod's files may hold; shared by its containers."""

    limit: int = 256 * 1024 * 1024
    used: int = 0

    def grow(self, by: int) -> None:
        if by > 0 and self.used + by > self.limit:
            raise fault(errno.ENOSPC, "")
        self.used += by


def fault(number: int, path: str) -> OSError:
    """The OSError (of the right subclass) for an errno."""
    return OSError(number, os.strerror(number), path)


class FileSystem:
    """Paths are absolute or relative to `cwd`; results of `canonical` are absolute and free of links."""

    def __init__(self, root: Directory, usage: Usage | None = None, *, read_only: bool = False) -> None:
        self._root: Node = root
        self.usage = usage or Usage()
        self.read_only = read_only
        self.mounts: dict[str, Mount] = {}

    # looking

    def node(self, path: str, cwd: str = "/", *, follow: bool = True, owner: Owner = ROOT) -> Node:
        """The node at a path. Raises FileNotFoundError, NotADirectoryError, PermissionError or ELOOP."""
        found = self._walk(path, cwd, follow, owner)[1]
        if found is None:
            raise fault(errno.ENOENT, path)
        return found

    def exists(self, path: str, cwd: str = "/", *, follow: bool = True) -> bool:
        try:
            self.node(path, cwd, follow=follow)
        except OSError:
            return False
        return True

    def is_dir(self, path: str, cwd: str = "/") -> bool:
        try:
            return isinstance(self.node(path, cwd), Directory)
        except OSError:
            return False

    def canonical(self, path: str, cwd: str = "/", *, follow: bool = True) -> str:
        """The absolute path without links; its last part need not exist."""
        return self._walk(path, cwd, follow, ROOT)[0]

    def read(self, path: str, cwd: str = "/", owner: Owner = ROOT) -> bytes:
        """A regular file's content. Raises IsADirectoryError for a directory."""
        node = self.node(path, cwd, owner=owner)
        if isinstance(node, Directory):
            raise fault(errno.EISDIR, path)
        if not isinstance(node, File):
            return b""
        if not may(node, owner, 4):
            raise fault(errno.EACCES, path)
        return node.read()

    def listing(self, path: str, cwd: str = "/", owner: Owner = ROOT) -> dict[str, Node]:
        """Names and nodes of a directory, with what is mounted in it; sorted by name."""
        where, node = self._walk(path, cwd, True, owner)
        if node is None:
            raise fault(errno.ENOENT, path)
        if not isinstance(node, Directory):
            raise fault(errno.ENOTDIR, path)
        if not may(node, owner, 4):
            raise fault(errno.EACCES, path)
        found = dict(node.children())
        prefix = where.rstrip("/") + "/"
        for mounted, mount in self.mounts.items():
            parent, _, name = mounted.rpartition("/")
            if parent + "/" == prefix and name:
                found[name] = mount.root
        return dict(sorted(found.items()))

    def mount_of(self, canonical: str) -> tuple[str, Mount | None]:
        """(mount point, mount) that a canonical path lies in; ("/", None) for the root."""
        path = canonical
        while path != "/":
            if mount := self.mounts.get(path):
                return path, mount
            path = posixpath.dirname(path)
        return "/", self.mounts.get("/")

    # changing

    def write(
        self, path: str, data: bytes, cwd: str = "/", owner: Owner = ROOT, *, mode: int = 0o644, program: str = ""
    ) -> File:
        """Make or replace a regular file's content."""
        node = self.open_file(path, cwd, owner, create=True, mode=mode)
        self.set_data(node, data)
        if program:
            node.program = program
        return node

    def open_file(
        self, path: str, cwd: str = "/", owner: Owner = ROOT, *, create: bool = False, mode: int = 0o644
    ) -> File:
        """A thawed regular file for writing; devices are the caller's business."""
        parent, name, where = self._parent(path, cwd, owner)
        if name == "":
            raise fault(errno.EISDIR, path)
        node = self.mounts[where].root if where in self.mounts else parent.children().get(name)
        if node is None:
            if not create:
                raise fault(errno.ENOENT, path)
            self._check_write(parent, where, path, owner)
            self.usage.grow(256)
            node = File(b"", mode, owner.uid, _group(parent, owner))
            parent.entries[name] = node
            parent.mtime = time.time()
            return node
        if isinstance(node, Directory):
            raise fault(errno.EISDIR, path)
        if not isinstance(node, File):
            raise fault(errno.EINVAL, path)
        self._check_mount(where, path)
        if not may(node, owner, 2):
            raise fault(errno.EACCES, path)
        if node.frozen or isinstance(node, Generated):
            thawed = node.copy()
            if not isinstance(node, Generated):
                self.usage.grow(thawed.size)
            node = thawed
            parent.entries[name] = node
        return node

    def set_data(self, node: File, data: bytes) -> None:
        """Replace a thawed file's content, counted against the quota."""
        self.usage.grow(len(data) - node.size)
        node.data = data
        node.mtime = time.time()

    def append(self, node: File, data: bytes) -> None:
        """Add to a thawed file's end, counted against the quota; costs what is added, not what is there."""
        self.usage.grow(len(data))
        node.append(data)
        node.mtime = time.time()

    def add(self, path: str, node: Node, cwd: str = "/", owner: Owner = ROOT) -> None:
        """Put a new node there. Raises FileExistsError."""
        parent, name, where = self._parent(path, cwd, owner, follow=False)
        if not name or name in parent.children() or where in self.mounts:
            raise fault(errno.EEXIST, path)
        self._check_write(parent, where, path, owner)
        self.usage.grow(256 + (node.size if isinstance(node, File) else 0))
        parent.entries[name] = node
        parent.mtime = time.time()

    def mkdir(
        self, path: str, cwd: str = "/", owner: Owner = ROOT, *, parents: bool = False, mode: int = 0o755
    ) -> None:
        if parents:
            where = self.canonical_lenient(path, cwd)
            so_far = ""
            for part in where.strip("/").split("/"):
                so_far += "/" + part
                if not self.exists(so_far):
                    self.mkdir(so_far, "/", owner, mode=mode)
                elif not self.is_dir(so_far):
                    raise fault(errno.EEXIST if so_far == where else errno.ENOTDIR, path)
            return
        parent, _name, _where = self._parent(path.rstrip("/") or "/", cwd, owner, follow=False)
        self.add(path.rstrip("/") or "/", Directory(None, mode, owner.uid, _group(parent, owner)), cwd, owner)

    def remove(self, path: str, cwd: str = "/", owner: Owner = ROOT) -> Node:
        """Take a file, a link or an empty directory out of its directory; returns it."""
        parent, name, where = self._parent(path.rstrip("/") or "/", cwd, owner, follow=False)
        node = parent.children().get(name) if name else None
        if where in self.mounts or not name:
            raise fault(errno.EBUSY, path)
        if node is None:
            raise fault(errno.ENOENT, path)
        self._check_write(parent, where, path, owner)
        if isinstance(node, Directory):
            inside = where.rstrip("/") + "/"
            if any(m.startswith(inside) for m in self.mounts):
                raise fault(errno.EBUSY, path)
            if node.children():
                raise fault(errno.ENOTEMPTY, path)
        if parent.mode & 0o1000 and owner.uid and owner.uid not in (node.uid, parent.uid):
            raise fault(errno.EPERM, path)
        if not node.frozen:
            self.usage.grow(-(node.size if isinstance(node, File) else 0) - 256)
        del parent.entries[name]
        parent.mtime = time.time()
        return node

    def rename(self, old: str, new: str, cwd: str = "/", owner: Owner = ROOT) -> None:
        """Move within the tree; replaces a file. Raises EXDEV never: a move between mounts is made by its caller."""
        source = self.canonical(old, cwd, follow=False)
        target = self.canonical(new, cwd, follow=False)
        node = self.node(source, follow=False)
        if source == target:
            return
        if target.startswith(source.rstrip("/") + "/"):
            raise fault(errno.EINVAL, new)
        if self.mount_of(source)[0] != self.mount_of(target)[0]:
            raise fault(errno.EXDEV, new)
        parent, name, _ = self._parent(source, "/", owner, follow=False)
        if source in self.mounts:
            raise fault(errno.EBUSY, old)
        self._check_write(parent, source, old, owner)
        there, there_name, where = self._parent(target, "/", owner, follow=False)
        self._check_write(there, where, new, owner)
        existing = there.children().get(there_name)
        if isinstance(existing, Directory) and (existing.children() or not isinstance(node, Directory)):
            raise fault(errno.ENOTEMPTY if existing.children() else errno.EISDIR, new)
        del parent.entries[name]
        there.entries[there_name] = node
        parent.mtime = there.mtime = time.time()

    def change(self, path: str, cwd: str = "/", *, follow: bool = True) -> Node:
        """A thawed node whose mode, owner or times are to be changed."""
        where = self.canonical(path, cwd, follow=follow)
        if where in self.mounts or where == "/":
            self._check_mount(where, path)
            return self.node(where)
        parent, name, _ = self._parent(where, "/", ROOT, follow=False)
        node = parent.children().get(name)
        if node is None:
            raise fault(errno.ENOENT, path)
        self._check_mount(where, path)
        if node.frozen:
            node = parent.entries[name] = node.copy()
        return node

    def canonical_lenient(self, path: str, cwd: str) -> str:
        """As `canonical`, for a path of which several last parts may be missing."""
        absolute = posixpath.normpath(posixpath.join(cwd, path))
        parts = absolute.strip("/").split("/")
        for count in range(len(parts), -1, -1):
            head = "/" + "/".join(parts[:count])
            try:
                found = self.canonical(head)
            except OSError:
                continue
            rest = "/".join(parts[count:])
            return f"{found.rstrip('/')}/{rest}" if rest else found
        return absolute

    # inner

    def _root_node(self) -> Node:
        mount = self.mounts.get("/")
        return mount.root if mount else self._root

    def _walk(self, path: str, cwd: str, follow: bool, owner: Owner) -> tuple[str, Node | None]:
        """(canonical path, node or None if only the last part is missing)."""
        if path == "":
            raise fault(errno.ENOENT, path)
        if "\0" in path:
            raise fault(errno.EINVAL, path)
        if len(path) > MAX_PATH:
            raise fault(errno.ENAMETOOLONG, path)
        pending = (path if path.startswith("/") else f"{cwd}/{path}").split("/")
        want_directory = pending[-1] in ("", ".", "..") and len(pending) > 1
        pending.reverse()
        done: list[str] = []
        nodes: list[Node] = [self._root_node()]
        links = 0
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            current = nodes[-1]
            if part == "..":
                if done:
                    done.pop()
                    nodes.pop()
                continue
            if not isinstance(current, Directory):
                raise fault(errno.ENOTDIR, path)
            if len(part) > MAX_NAME:
                raise fault(errno.ENAMETOOLONG, path)
            if not may(current, owner, 1):
                raise fault(errno.EACCES, path)
            mount = self.mounts.get("/" + "/".join([*done, part])) if self.mounts else None
            child = mount.root if mount else current.children().get(part)
            last = not any(p not in ("", ".") for p in pending)
            if child is None:
                if self._leads_to_mount(done, part):
                    child = Directory(None, 0o755, mtime=0)
                elif last:
                    return "/" + "/".join([*done, part]), None
                else:
                    raise fault(errno.ENOENT, path)
            if isinstance(child, Symlink) and (not last or follow or want_directory):
                links += 1
                if links > MAX_LINKS:
                    raise fault(errno.ELOOP, path)
                if child.target.startswith("/"):
                    done, nodes = [], nodes[:1]
                pending.extend(reversed(child.target.split("/")))
                continue
            done.append(part)
            nodes.append(child)
        if want_directory and not isinstance(nodes[-1], Directory):
            raise fault(errno.ENOTDIR, path)
        return "/" + "/".join(done), nodes[-1]

    def _leads_to_mount(self, done: list[str], part: str) -> bool:
        prefix = "/" + "/".join([*done, part]) + "/"
        return any(point.startswith(prefix) for point in self.mounts)

    def _parent(self, path: str, cwd: str, owner: Owner, *, follow: bool = True) -> tuple[Directory, str, str]:
        """(thawed parent directory, name, canonical path); the name is empty for the root."""
        where = self._walk(path, cwd, follow, owner)[0]
        if where == "/":
            root = self._thaw([])
            return root, "", where
        parts = where[1:].split("/")
        return self._thaw(parts[:-1]), parts[-1], where

    def _thaw(self, parts: list[str]) -> Directory:
        """The directory at these names, with everything on the way made this tree's own."""
        current = self._root_node()
        if current.frozen:
            current = current.copy()
            if "/" in self.mounts:
                self.mounts["/"].root = current
            else:
                self._root = current
        so_far = ""
        for part in parts:
            so_far += "/" + part
            if not isinstance(current, Directory):
                raise fault(errno.ENOTDIR, so_far)
            if mount := self.mounts.get(so_far):
                current = mount.root
                continue
            child = current.children().get(part)
            if child is None:
                child = Directory()
                current.entries[part] = child
            elif child.frozen:
                child = child.copy()
                current.entries[part] = child
            current = child
        if not isinstance(current, Directory):
            raise fault(errno.ENOTDIR, so_far)
        return current

    def _check_mount(self, where: str, path: str) -> None:
        _, mount = self.mount_of(where)
        if (mount is None and self.read_only) or (mount is not None and mount.read_only):
            raise fault(errno.EROFS, path)

    def _check_write(self, parent: Directory, where: str, path: str, owner: Owner) -> None:
        self._check_mount(posixpath.dirname(where), path)
        if type(parent) is not Directory:
            raise fault(errno.EPERM, path)
        if not may(parent, owner, 3):
            raise fault(errno.EACCES, path)


def may(node: Node, owner: Owner, wanted: int) -> bool:
    """Whether the owner has these rights (4 read, 2 write, 1 execute or search)."""
    if owner.uid == 0:
        return wanted != 1 or isinstance(node, Directory) or bool(node.mode & 0o111)
    if isinstance(node, Symlink):
        return True
    if node.uid == owner.uid:
        bits = node.mode >> 6
    elif node.gid == owner.gid or node.gid in owner.groups:
        bits = node.mode >> 3
    else:
        bits = node.mode
    return bits & wanted == wanted


def _group(parent: Directory, owner: Owner) -> int:
    return parent.gid if parent.mode & 0o2000 else owner.gid


def is_device(node: Node) -> bool:
    return isinstance(node, Device)
