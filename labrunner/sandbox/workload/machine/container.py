"""A container as a machine of its own: files, environment, processes, log."""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.filesystem.node import Directory, File
from labrunner.sandbox.workload.filesystem.tree import FileSystem, Owner, fault, may
from labrunner.sandbox.workload.machine.log import ContainerLog
from labrunner.sandbox.workload.machine.process import Process, Program
from labrunner.sandbox.workload.machine.stream import Pipe, Stream
from labrunner.sandbox.workload.machine.terminal import Terminal

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.pod import PodMachine

MAX_PROCESSES = 256
"""Per pod."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Lookup = Callable[[str], Program | None]


class ContainerMachine:
    """One run of one container. `lookup` finds a program by the name that its file carries."""

    def __init__(
        self,
        pod: PodMachine,
        name: str,
        image: str,
        fs: FileSystem,
        lookup: Lookup,
        *,
        env: Mapping[str, str] | None = None,
        owner: Owner | None = None,
        workdir: str = "/",
        hostname: str = "",
        family: str = "busybox",
    ) -> None:
        self.pod, self.name, self.image, self.fs, self.lookup = pod, name, image, fs, lookup
        self.env = dict(env or {})
        self.owner = owner or Owner()
        self.workdir = workdir
        self.hostname = hostname or pod.hostname
        self.family = family
        """Whose tools it has: busybox, alpine, debian, distroless or scratch."""
        self.log = ContainerLog()
        self.main: Process | None = None
        self.terminal: Terminal | None = None
        """Of its first process, if it has one."""
        self.stdin: Pipe | None = None
        """Of its first process, if the container asks for it."""
        self.attaching = asyncio.Event()
        """Set once somebody has attached."""
        self.shared_pids: ContainerMachine | None = None
        """Whose processes it sees besides its own (`kubectl debug --target`)."""
        self.stopped = False
        self.touched = False
        """Somebody has been inside with `exec`: its probes may turn out otherwise."""
        self.termination_path = "/dev/termination-log"
        self._processes: dict[int, Process] = {}
        self._next_pid = 1
        self._ended: list[Callable[[int], None]] = []

    # processes

    def processes(self) -> list[Process]:
        """Those that run, by pid; with those of the target for a debugging container."""
        own = list(self._processes.values())
        if self.pod.infra is not None:
            everybody = (self.pod.infra, *self.pod.containers.values())
            return sorted((p for c in everybody for p in c._processes.values()), key=lambda p: p.pid)
        if self.shared_pids is not None:
            own = [*self.shared_pids.processes(), *own]
        return sorted(own, key=lambda p: p.pid)

    def find(self, pid: int) -> Process | None:
        return next((p for p in self.processes() if p.pid == pid), None)

    def start(
        self,
        program: Program,
        argv: list[str],
        *,
        descriptors: Mapping[int, Stream],
        parent: Process | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        owner: Owner | None = None,
        terminal: Terminal | None = None,
        background: bool | None = None,
        new_session: bool = False,
    ) -> Process:
        """Start a program. Raises OSError EAGAIN when the pod has too many processes."""
        if self.stopped or self.pod.process_count() >= MAX_PROCESSES:
            raise fault(errno.EAGAIN, argv[0] if argv else "")
        terminal = terminal or (parent.terminal if parent else None)
        process = Process(
            self,
            self.next_pid(),
            argv,
            env=parent.env if env is None and parent else env or self.env,
            cwd=cwd or (parent.cwd if parent else self.workdir),
            descriptors=descriptors,
            owner=owner or (parent.owner if parent else self.owner),
            parent=parent,
            terminal=terminal,
        )
        if background is not None:
            process.background = background
        if new_session:
            process.session = process.pid
        self._processes[process.pid] = process
        if terminal is not None:
            terminal.processes.append(process)
        process.run(program)
        return process

    def next_pid(self) -> int:
        """One after the last, in the pod's own table if it shares one."""
        if self.pod.infra is not None and self.pod.infra is not self:
            return self.pod.infra.next_pid()
        if self.shared_pids is not None:
            return self.shared_pids.next_pid()
        pid = self._next_pid
        self._next_pid += 1
        return pid

    def execute(
        self,
        argv: list[str],
        *,
        parent: Process | None = None,
        descriptors: Mapping[int, Stream] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        owner: Owner | None = None,
        terminal: Terminal | None = None,
        background: bool | None = None,
        new_session: bool = False,
    ) -> Process:
        """Start what execvp would find. Raises FileNotFoundError, PermissionError or another OSError."""
        if not argv:
            raise fault(errno.ENOENT, "")
        at = cwd or (parent.cwd if parent else self.workdir)
        who = owner or (parent.owner if parent else self.owner)
        variables = env if env is not None else parent.env if parent else self.env
        program, argv = self.resolve(argv, variables.get("PATH", DEFAULT_PATH), at, who)
        inherited = descriptors if descriptors is not None else parent.descriptors if parent else {}
        return self.start(
            program, argv, descriptors=inherited, parent=parent, env=variables, cwd=at, owner=who,
            terminal=terminal, background=background, new_session=new_session,
        )  # fmt: skip

    def resolve(self, argv: list[str], path: str, cwd: str, owner: Owner, depth: int = 0) -> tuple[Program, list[str]]:
        """(program, arguments it gets) of a command line; follows `#!` lines. Raises OSError."""
        where = self.which(argv[0], path, cwd, owner)
        node = self.fs.node(where, "/", owner=owner)
        if isinstance(node, Directory) or not isinstance(node, File) or not may(node, owner, 1):
            raise fault(errno.EACCES, argv[0])
        if node.program:
            program = self.lookup(node.program)
            if program is None:
                raise fault(errno.ENOEXEC, argv[0])
            return program, argv
        data = node.read()
        if data.startswith(b"#!") and depth < 4:
            line = data[2:].split(b"\n", 1)[0].decode("utf-8", "replace").strip()
            interpreter, _, argument = line.partition(" ")
            if not interpreter:
                raise fault(errno.ENOEXEC, argv[0])
            rest = [argument.strip()] if argument.strip() else []
            script = argv[0] if "/" in argv[0] else where
            return self.resolve([interpreter, *rest, script, *argv[1:]], path, cwd, owner, depth + 1)
        raise fault(errno.ENOEXEC, argv[0])

    def which(self, command: str, path: str, cwd: str, owner: Owner) -> str:
        """The file that a command's name stands for. Raises FileNotFoundError or PermissionError."""
        if "/" in command:
            self.fs.node(command, cwd, owner=owner)
            return posixpath.join(cwd, command)
        refused = False
        for folder in path.split(":"):
            candidate = posixpath.join(folder or ".", command)
            try:
                node = self.fs.node(candidate, cwd, owner=owner)
            except OSError:
                continue
            if isinstance(node, File) and may(node, owner, 1):
                return posixpath.join(cwd, candidate)
            refused = True
        raise fault(errno.EACCES if refused else errno.ENOENT, command)

    def reap(self, process: Process) -> None:
        """A process has ended. With the first one the container ends."""
        self._processes.pop(process.pid, None)
        if process.terminal is not None and process in process.terminal.processes:
            process.terminal.processes.remove(process)
        if process is self.main:
            self.stopped = True
            self.kill_all(9)
            self.log.close()
            status = process.status or 0
            for callback in self._ended:
                callback(status)

    def on_end(self, callback: Callable[[int], None]) -> None:
        """Call with the exit status when the first process ends."""
        self._ended.append(callback)

    def kill_all(self, number: int) -> None:
        for process in list(self._processes.values()):
            process.kill(number)

    def kill_session(self, session: int) -> None:
        """Everything that one exec started."""
        for process in list(self._processes.values()):
            if process.session == session:
                process.kill(1)
                process.kill(9)

    # users

    def owner_of(self, user: str) -> Owner:
        """`name`, `uid`, `name:group` or `uid:gid` after the container's own /etc/passwd."""
        name, _, group = user.partition(":")
        uid, gid = int(name) if name.isdigit() else 0, 0
        for entry in self.table("/etc/passwd"):
            if entry[0] == name or (name.isdigit() and entry[2] == name):
                uid, gid = int(entry[2]), int(entry[3])
                break
        if group:
            gid = int(group) if group.isdigit() else gid
            gid = next((int(e[2]) for e in self.table("/etc/group") if e[0] == group), gid)
        return Owner(uid, gid)

    def user_name(self, uid: int) -> str:
        """Empty when nobody has this number."""
        return next((e[0] for e in self.table("/etc/passwd") if e[2] == str(uid)), "")

    def group_name(self, gid: int) -> str:
        return next((e[0] for e in self.table("/etc/group") if e[2] == str(gid)), "")

    def home_of(self, uid: int) -> str:
        return next((e[5] for e in self.table("/etc/passwd") if e[2] == str(uid) and len(e) > 5), "/")

    def table(self, path: str) -> list[list[str]]:
        """Lines of a colon separated table, as far as they are whole."""
        try:
            text = self.fs.read(path).decode("utf-8", "replace")
        except OSError:
            return []
        rows = [line.split(":") for line in text.splitlines()]
        return [row for row in rows if len(row) > 3 and row[2].isdigit() and (row[3].isdigit() or "group" in path)]


def exec_problem(error: OSError, command: str) -> str:
    """The Go sentence of runc for a program that could not be executed."""
    if "/" in command:
        if isinstance(error, FileNotFoundError):
            return f'exec: "{command}": stat {command}: no such file or directory'
        return f'exec: "{command}": {(os.strerror(error.errno or 0)).lower()}'
    if isinstance(error, PermissionError):
        return f'exec: "{command}": permission denied'
    if error.errno == errno.ENOEXEC:
        return f'exec: "{command}": exec format error'
    return f'exec: "{command}": executable file not found in $PATH'
