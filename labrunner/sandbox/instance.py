"""The sandbox's public door: start, stop, ask and snapshot a sandbox by name, from any process.

A sandbox is a directory (`Sandbox.directory`): kubeconfig, CA, state journal, snapshots, logs. It survives
`kill -9` and a reboot with nothing acknowledged lost. Its process holds a lock on a file there for as long as it
lives: whether it runs is never guessed from a pid.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner.errors import EnvironmentFault, TimedOut, UsageError
from labrunner.paths import state_dir
from labrunner.sandbox import mesh_flavours
from labrunner.sandbox.layout import SNAPSHOT_ID, Layout
from labrunner.sandbox.sockets import remove as remove_sockets

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_STOP_SECONDS = 0.8
"""What a process is given to end by itself before it is killed."""
_ASK_SECONDS = 5.0
_HEALTH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """`health`: running, stopped or unhealthy."""

    name: str
    health: str
    directory: Path
    pid: int | None = None
    server: str = ""
    version: str = ""
    uptime: float = 0.0
    objects: dict[str, int] | None = None
    mesh: dict[str, Any] | None = None
    """How the mesh's Envoy is: `MeshPlane.health`; empty without a mesh."""


class Sandbox:
    """One sandbox. Every method raises `EnvironmentFault` with the way out when it cannot do its work."""

    def __init__(self, name: str = "default", directory: Path | None = None) -> None:
        """`directory`: default `state_dir()/sandboxes/<name>`. Raises `UsageError` for a name that cannot be one."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"'{name}' is no name for a sandbox",
                hint="Use up to 40 lower case letters, digits and '-', beginning and ending with a letter or digit.",
            )
        self.name = name
        self.directory = directory or state_dir() / "sandboxes" / name
        self._layout = Layout(self.directory)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pipe = -1

    # life

    def start(self, *, owned: bool = False, instant: bool = False, flavour: str = "", timeout: float = 20.0) -> bool:
        """Bring it up; False when it already ran. Returns once requests are answered.

        `owned`: it ends with this process, however that ends. `instant`: pretended work takes no time (CI).
        `flavour`: see `mesh_flavours`; it counts at the first start. Raises `UsageError` if it was another one then.
        """
        with self._exclusive(timeout):
            had = mesh_flavours.chosen(self._layout)
            if flavour and had and flavour != had:
                raise UsageError(
                    f"sandbox '{self.name}' was made with flavour '{had}', not '{flavour}'",
                    hint="Use another --name, or reset this one by deleting its directory: " + str(self.directory),
                )
            if self._running() is not None:
                if self._answers():
                    return False
                self._end()
            self._spawn(owned=owned, instant=instant, flavour=flavour, timeout=timeout)
            return True

    def stop(self) -> bool:
        """End its processes, keep its state; False when it did not run."""
        if not self.directory.is_dir():
            return False
        with self._exclusive(10.0):
            was_running = self._running() is not None
            if was_running:
                self._end()
            else:
                self._reap()
            remove_sockets(self._layout.sockets)
            return was_running

    def destroy(self) -> None:
        """Stop it and delete its directory."""
        self.stop()
        try:
            shutil.rmtree(self.directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise EnvironmentFault(f"cannot delete {self.directory}: {error.strerror}") from error

    # asking

    @property
    def runs(self) -> bool:
        """Whether its process lives; quick, nothing is asked of it."""
        return self._running() is not None

    def status(self) -> SandboxStatus:
        """What it is doing; never raises for a sandbox that is not well."""
        running = self._running()
        if running is None:
            return SandboxStatus(self.name, "stopped", self.directory)
        pid, server = running.get("pid"), self._server(running)
        try:
            found = self._ask("status", timeout=_HEALTH_SECONDS)
        except EnvironmentFault:
            return SandboxStatus(self.name, "unhealthy", self.directory, pid, server)
        return SandboxStatus(
            self.name, "running", self.directory, pid, server, found["version"], found["uptime"], found["objects"],
            found.get("mesh"),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """KUBECONFIG, KUBECACHEDIR, PATH (with the sandbox's commands first), LABRUNNER_SANDBOX, CURL_HOME."""
        from labrunner.sandbox import bin as sandbox_bin
        from labrunner.sandbox import tools

        commands = self._layout.commands
        program = tools.kubectl(without=commands)
        try:
            tools.link(program, commands / "kubectl")
            sandbox_bin.install(commands)
        except OSError as error:
            raise self._unwritable(error) from error
        rest = [f for f in os.environ.get("PATH", os.defpath).split(os.pathsep) if f and f != str(commands)]
        return {
            "KUBECONFIG": str(self._layout.kubeconfig),
            "KUBECACHEDIR": str(self._layout.kube_cache),
            "PATH": os.pathsep.join([str(commands), *rest]),
            "LABRUNNER_SANDBOX": self.name,
            # curl's way to LoadBalancer addresses; without a mesh there is none.
            **({"CURL_HOME": str(self._layout.client)} if (self._layout.client / ".curlrc").exists() else {}),
        }

    # snapshots

    def snapshot_save(self, snapshot_id: str) -> None:
        """Keep the whole state under this id, replacing an earlier one. `UsageError` for an id that cannot be one."""
        if not SNAPSHOT_ID.fullmatch(snapshot_id):
            hint = "Use letters, digits, '.', '_' and '-', beginning with a letter or digit."
            raise UsageError(f"'{snapshot_id}' is no name for a snapshot", hint=hint)
        self._ask("save", snapshot_id)

    def snapshot_restore(self, snapshot_id: str) -> None:
        """Put the whole state back: running watches end, clients list again. `UsageError` for an unknown id."""
        self._known(snapshot_id)
        self._ask("restore", snapshot_id)

    def snapshot_list(self) -> list[str]:
        """Ids, oldest first. Works while the sandbox is stopped, too."""
        found = list(self._layout.snapshots.glob("*.jsonl"))
        return [path.stem for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def snapshot_delete(self, snapshot_id: str) -> None:
        """Raises `UsageError` when there is no such snapshot."""
        self._known(snapshot_id).unlink()

    def _known(self, snapshot_id: str) -> Path:
        path = self._layout.snapshots / f"{snapshot_id}.jsonl"
        if path.parent != self._layout.snapshots or not path.exists():
            there = ", ".join(self.snapshot_list()) or "none yet"
            raise UsageError(f"there is no snapshot '{snapshot_id}'", hint=f"There are: {there}.")
        return path

    # processes

    def _spawn(self, *, owned: bool, instant: bool, flavour: str, timeout: float) -> None:
        ready, ready_child = os.pipe()
        owner_child = -1
        self._close_owner_pipe()
        if owned:
            owner_child, self._owner_pipe = os.pipe()
        passed = [fd for fd in (ready_child, owner_child) if fd >= 0]
        command = [
            sys.executable, "-m", "labrunner.sandbox.daemon",
            "--directory", str(self.directory), "--name", self.name, "--ready-fd", str(ready_child),
        ]  # fmt: skip
        if owned:
            command += ["--owner-fd", str(owner_child)]
        if instant:
            command.append("--instant")
        if flavour:
            command += ["--flavour", flavour]
        try:
            with open(os.open(self._layout.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=passed,
                    start_new_session=True,
                    cwd="/",
                    env=self._child_environment(),
                )
        except OSError as error:
            os.close(ready)
            raise self._unwritable(error) from error
        finally:
            for descriptor in passed:
                os.close(descriptor)
        self._await_ready(ready, timeout)

    @staticmethod
    def _child_environment() -> dict[str, str]:
        """Ours, and where to find labrunner when it runs from a checkout."""
        package_root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
        return {**os.environ, "PYTHONPATH": path}

    def _await_ready(self, ready: int, timeout: float) -> None:
        try:
            line = _read_line(ready, timeout)
        finally:
            os.close(ready)
        if line is None:
            self._end()
            raise TimedOut(f"the sandbox did not start within {timeout:.0f} s", hint=f"Its log is {self._layout.log}.")
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            self._reap(5.0)
            raise EnvironmentFault(
                "the sandbox's process ended while it started", hint=f"Its log is {self._layout.log}."
            ) from None
        if "error" in said:
            self._reap(5.0)
            raise EnvironmentFault(str(said["error"]), hint=str(said.get("hint", "")))

    def _running(self) -> dict[str, Any] | None:
        """What the process that holds the lock wrote (pid, port); None when nobody holds it."""
        try:
            descriptor = os.open(self._layout.running, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            with contextlib.suppress(ValueError):
                found: dict[str, Any] = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
                return found
            return {}
        finally:
            os.close(descriptor)

    def _answers(self) -> bool:
        try:
            self._ask("status", timeout=_HEALTH_SECONDS)
        except EnvironmentFault:
            return False
        return True

    def _end(self) -> None:
        """Ask the process to end, then kill it; returns when it is gone."""
        for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 5.0)):
            pid = (self._running() or {}).get("pid") or (self._process.pid if self._process else None)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                self._reap()
                if self._running() is None and (self._process is None or self._process.poll() is not None):
                    self._close_owner_pipe()
                    return
                time.sleep(0.005)
        raise EnvironmentFault(f"the process of sandbox '{self.name}' cannot be ended")

    def _reap(self, seconds: float = 0.0) -> None:
        """Let go of a child that has ended, or does within this time."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            self._process = None

    def _close_owner_pipe(self) -> None:
        if self._owner_pipe >= 0:
            os.close(self._owner_pipe)
            self._owner_pipe = -1

    @contextlib.contextmanager
    def _exclusive(self, timeout: float) -> Iterator[None]:
        """Only one process starts or stops this sandbox at a time."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._layout.starting, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            deadline = time.monotonic() + timeout
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimedOut(
                            f"another process has been starting or stopping sandbox '{self.name}' for {timeout:.0f} s"
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def _unwritable(self, error: OSError) -> EnvironmentFault:
        return EnvironmentFault(
            f"cannot write to {self.directory}: {error.strerror}",
            hint="Make it writable, free some space, or set LABRUNNER_HOME to another place.",
        )

    # requests

    def _server(self, running: dict[str, Any]) -> str:
        return f"https://127.0.0.1:{running['port']}" if running.get("port") else ""

    def _ask(self, action: str, snapshot_id: str = "", timeout: float = _ASK_SECONDS) -> dict[str, Any]:
        running = self._running()
        if running is None:
            raise EnvironmentFault(
                f"sandbox '{self.name}' is not running", hint=f"Start it: labrunner sandbox start --name {self.name}"
            )
        from labrunner.sandbox import control_client

        return control_client.ask(self._layout, running.get("port"), action, snapshot_id, timeout)


def _read_line(descriptor: int, timeout: float) -> bytes | None:
    """A line from a pipe; what there was if it closed, None at the time limit."""
    data = b""
    deadline = time.monotonic() + timeout
    while b"\n" not in data:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        chunk = os.read(descriptor, 4096)
        if not chunk:
            break
        data += chunk
    return data


def sandboxes() -> list[Sandbox]:
    """All sandboxes of this user."""
    root = state_dir() / "sandboxes"
    if not root.is_dir():
        return []
    return [Sandbox(path.name) for path in sorted(root.iterdir()) if path.is_dir() and _NAME.fullmatch(path.name)]
