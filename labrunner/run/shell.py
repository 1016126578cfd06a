"""The lab's shell: one bash on one pseudo-terminal in which every block and everything typed runs.

How a block runs: it must run in the shell itself (`export`, `cd`, functions carry over), must look typed to the
learner, and its end must never be guessed. So its text goes to a file, a key that only labrunner sends makes readline
load a line that `eval`s it, and the terminal shows the text at the prompt in place of that line. Against pasting the
text this has no limit of length, runs as one command with one end (a paste makes a prompt per line), leaves the
block's standard input to the terminal (`read`, editors) and cannot hang on a quote left open; against `source` it
gives the error messages a learner would get. Syntax is checked first, so a broken block runs not at all rather than
half. `shell_integration.bash` marks begin, end, exit status and directory; see `osc.py` for the markers.

One thread reads the terminal and calls all callbacks. When the shell dies (exit, exec, kill, `set -e`), that thread
starts another one with the variables, functions, aliases, umask and directory of the last prompt.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.run import processes, shell_startup
from labrunner.run.osc import MARKER, Marker, MarkerParser
from labrunner.run.pty_child import PtyChild
from labrunner.run.shell_command import (
    Command,
    CommandResult,
    RawCallback,
    ShellBusy,
    ShellListener,
    Silent,
    TextSink,
)

_RUN_KEYS = b"\x07\x18\x02\r"
"""Leave a history search, if in one; load the block; Enter."""
_REPAIR_KEYS = b"\x18\x08"
_KILL_LINE = b"\x03"
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


class Shell:
    """`directory`: where the shell's own files live (0700). `mark`: see `processes`. Thread-safe.

    `restore`: begin with the variables, functions and aliases that the last shell with this directory had, except
    that `environment` wins.
    """

    def __init__(
        self,
        directory: Path,
        *,
        cwd: Path,
        environment: Mapping[str, str],
        mark: str,
        restore: bool = False,
        listener: ShellListener | None = None,
        rows: int = 24,
        columns: int = 80,
    ) -> None:
        self._directory = directory
        self._home = cwd
        self._cwd = str(cwd)
        self._given = {
            **{k: v for k, v in environment.items() if k not in shell_startup.NOT_INHERITED},
            processes.MARK: mark,
            "TERM": "xterm-256color",
        }
        self._environment: dict[str, str] = dict(self._given)
        self._mark = mark
        self._restore = restore
        self._quiet = False
        self._generation = 0
        self._listener: ShellListener = listener or Silent()
        self._size = (rows, columns)
        self._raw: list[RawCallback] = []
        self._changed = threading.Condition(threading.RLock())
        self._running = threading.Lock()
        self._command: Command | None = None
        self._ready = False
        self._continuation = False
        self._suppress = False
        self._closing = False
        self._broken = ""
        self._saved: Path | None = None
        self._stillborn = 0
        self._prompted = False
        self._repairing = False
        self._child: PtyChild | None = None
        self._bash = ""
        self._reason = ""
        self._parser = MarkerParser("")
        self._thread: threading.Thread | None = None

    # -- what others may ask

    @property
    def cwd(self) -> Path:
        """The directory the shell was in at its last prompt."""
        return Path(self._cwd)

    @property
    def environment(self) -> Mapping[str, str]:
        """The exported variables at the last prompt."""
        return self._environment

    @property
    def pid(self) -> int:
        return self._child.pid if self._child is not None else 0

    @property
    def busy(self) -> bool:
        return self._command is not None

    def subscribe_raw(self, callback: RawCallback) -> Callable[[], None]:
        """Hear every byte the terminal shows (our markers taken out)."""
        with self._changed:
            self._raw.append(callback)

        return lambda: self.unsubscribe_raw(callback)

    def unsubscribe_raw(self, callback: RawCallback) -> None:
        """Idempotent."""
        with self._changed, contextlib.suppress(ValueError):
            self._raw.remove(callback)

    # -- life

    def start(self, timeout: float = 15.0) -> None:
        """Start bash and wait for its first prompt. Raises `EnvironmentFault`."""
        if self._thread is not None:
            return
        self._bash = shell_startup.find_bash()
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._restore:
                self._saved = shell_startup.last_state(self._directory)
            self._spawn(self._given if self._saved is not None else {})
        except OSError as error:
            raise _fault("start the lab's shell", self._directory, error) from error
        self._thread = threading.Thread(target=self._read_loop, name="labrunner-shell", daemon=True)
        self._thread.start()
        if not self._wait_ready(timeout):
            self.close()
            raise EnvironmentFault(
                "the lab's shell did not show a prompt" + (f": {self._broken}" if self._broken else ""),
                hint=f"try `{self._bash} --noprofile --norc -i` by hand",
            )

    def close(self) -> None:
        """End the shell and everything it started. Idempotent, takes under a second, never raises."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            child = self._child
        if child is None or child.closed:
            return
        child.wake()
        processes.end(self._mark, [child.pid])
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)
        if thread is None or not thread.is_alive():
            child.close()

    # -- what one can do to it

    def run(self, text: str, *, timeout: float | None, sink: TextSink, background: bool = False) -> CommandResult:
        """Run a block and wait for its end. `timeout` in seconds; None waits for ever.

        Raises `ShellBusy` when a command is running, `EnvironmentFault` when there is no shell to be had.
        """
        if not self._running.acquire(blocking=False):
            raise ShellBusy("another block is running in the shell", hint="wait for it, or interrupt it with Ctrl-C")
        try:
            return self._run(text, timeout, sink, background)
        finally:
            self._running.release()

    def interrupt(self) -> None:
        """Ctrl-C."""
        with self._changed:
            if self._command is not None:
                self._command.interrupted = True
            child = self._child
        if child is not None and child.forget_unwritten():
            child.signal_foreground(signal.SIGINT)  # a program that does not read would never see the key
        else:
            self._send(b"\x03")

    def send_input(self, text: str) -> None:
        """Keys, as a terminal sends them."""
        with self._changed:
            if "\x03" in text and self._command is not None:
                self._command.interrupted = True
        self._send(text.encode("utf-8", "surrogateescape"))

    def resize(self, rows: int, columns: int) -> None:
        self._size = (max(1, rows), max(1, columns))
        if self._child is not None:
            self._child.resize(*self._size)

    def checkpoint(self, path: Path) -> None:
        """Keep variables, functions, aliases, umask and directory as of the last prompt in the folder `path`."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._saved is not None:
                shutil.copyfile(self._saved, path / "state")
            (path / "cwd").write_text(self._cwd, "utf-8", "surrogateescape")
        except OSError as error:
            raise _fault("keep the shell's state", path, error) from error

    def rewind(self, path: Path) -> None:
        """Go back to a checkpoint: everything the shell started ends, and a new shell has the state kept."""
        if not self._wait_ready(5.0):
            self._refuse()
        with self._changed:
            generation = self._generation
            try:
                kept = self._directory / "rewound"
                shutil.copyfile(path / "state", kept)
                cwd = (path / "cwd").read_text("utf-8", "surrogateescape")
            except OSError as error:
                raise _fault("put the shell's state back", path, error) from error
            self._saved, self._cwd, self._ready, self._quiet = kept, cwd, False, True
        processes.end(self._mark, [self.pid], spare=[self.pid])
        self._kill_shell("its state is put back")
        if not self._await(lambda: self._generation != generation and self._ready, 10.0):
            self._refuse()

    # -- running a block

    def _run(self, text: str, timeout: float | None, sink: TextSink, background: bool) -> CommandResult:
        if self.busy or not self._wait_ready(5.0):
            self._refuse()
        problem = self._syntax_problem(text)
        if problem:
            return self._report_syntax(text, problem, sink)
        shown = text.rstrip("\n")
        source = f"{{ {shown}\n}} &" if background else shown
        command = Command(text=shown, sink=sink, typed=False)
        try:
            shell_startup.write_private(self._directory / "block", source.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise _fault("write the block to be run", self._directory, error) from error
        self._claim(command)
        self._send(_RUN_KEYS)
        started = self._await(lambda: command.begun or command.done.is_set(), 5.0)
        if not started:
            self._kill_shell("it did not take the block")
        if not command.done.wait(timeout):
            self._stop(command)
            command.done.wait(5.0)
            result = command.result
            seconds = time.monotonic() - command.started
            return CommandResult(None, "timeout", result.cwd if result else self._cwd, seconds)
        assert command.result is not None
        return command.result

    def _claim(self, command: Command) -> None:
        """Make it the shell's one command, at a prompt that is shown."""
        for _ in range(3):
            with self._changed:
                if self._command is not None or self._closing or self._broken:
                    self._refuse()  # with nobody left to read the terminal, a command would never end
                if self._ready and not self._continuation:
                    self._command = command
                    self._suppress = True
                    self._ready = False
                    return
                if self._continuation:
                    self._ready = False
                    self._send(_KILL_LINE)
            if not self._wait_ready(5.0):
                break
        self._refuse()

    def _refuse(self) -> None:
        """Raise what explains why no block can be run now."""
        if self._closing:
            raise ShellBusy("the lab's shell was closed")
        if self._broken:
            raise EnvironmentFault(f"the lab's shell cannot be started: {self._broken}", hint="leave and run again")
        running = self._command
        what = f": {running.text.splitlines()[0]}" if running is not None and running.text else ""
        raise ShellBusy(f"a command is still running in the shell{what}", hint="end it or press Ctrl-C first")

    def _syntax_problem(self, text: str) -> str:
        if "\0" in text:
            return "bash: the block has a NUL character in it"
        try:
            shown = subprocess.run(
                [self._bash, "--noprofile", "--norc", "-O", "extglob", "-n"],
                input=text.encode("utf-8", "surrogateescape"),
                capture_output=True, timeout=10, env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return ""
        if shown.returncode == 0:
            return ""
        lines = shown.stderr.decode("utf-8", "replace").strip().replace(f"{self._bash}: ", "bash: ")
        return lines or "bash: syntax error"

    def _report_syntax(self, text: str, problem: str, sink: TextSink) -> CommandResult:
        with self._changed:
            self._ready = False
            self._show(_as_typed(text) + problem.replace("\n", "\r\n").encode() + b"\r\n")
        sink(problem + "\n")
        self._send(b"\r")
        return CommandResult(2, "syntax", self._cwd, 0.0, problem)

    def _stop(self, command: Command) -> None:
        """Ctrl-C, then SIGTERM, then SIGKILL to what runs; as the shell goes on with the next command, again."""
        child = self._child
        for _ in range(4 if child is not None else 0):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                assert child is not None
                if number is not signal.SIGINT and child.foreground() in (0, child.pid):
                    continue
                child.signal_foreground(number)
                if command.done.wait(0.7):
                    return
        self._kill_shell("it could not be interrupted")

    def _kill_shell(self, reason: str) -> None:
        with self._changed:
            self._reason = reason
            if self._child is not None:
                self._child.kill()

    # -- waiting

    def _wait_ready(self, timeout: float) -> bool:
        return self._await(lambda: self._ready and self._command is None, timeout)

    def _await(self, holds: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: holds() or self._closing or bool(self._broken), timeout)
            return holds()

    # -- the reader thread

    def _spawn(self, exports: Mapping[str, str]) -> None:
        """Start a bash on a new pseudo-terminal, with what the last one left and these exports. Raises `OSError`."""
        nonce = shell_startup.write_rc(self._directory, restore=self._saved, exports=exports)
        child = PtyChild(
            [self._bash, "--noprofile", "--rcfile", str(self._directory / "bashrc"), "-i"],
            cwd=Path(self._cwd) if os.path.isdir(self._cwd) else self._home,
            environment=self._given,
            size=self._size,
        )
        with self._changed:
            if self._child is not None:
                self._child.close()
            self._child = child
            self._parser = MarkerParser(nonce)
            self._saved = None
            self._ready = self._continuation = self._suppress = self._prompted = False
            self._generation += 1

    def _read_loop(self) -> None:
        while not self._closing and not self._broken:
            assert self._child is not None
            read = self._child.read(
                patience=None if self._command is None else 0.25, urgent=b"" if self._suppress else MARKER
            )
            if read.data:
                self._dispatch(read.data)
            if read.idle and self._command is not None:
                self._look_for_foreign_prompt()
            if read.ended and not self._closing:
                self._replace()
        with self._changed:
            self._finish_dead()
            self._changed.notify_all()
        if self._closing and self._child is not None:
            self._child.close()

    def _dispatch(self, data: bytes) -> None:
        for piece in self._parser.feed(data):
            if isinstance(piece, Marker):
                self._on_marker(piece)
            elif not self._suppress:
                self._show(piece)
                self._give(piece)

    def _show(self, data: bytes) -> None:
        for callback in list(self._raw):
            callback(data)

    def _give(self, data: bytes, final: bool = False) -> None:
        command = self._command
        if command is not None and command.begun:
            text = command.decoder.decode(data, final)
            if text:
                command.sink(text)

    def _on_marker(self, marker: Marker) -> None:
        command = self._command
        if marker.kind == "B" and command is not None and not command.begun:
            self._suppress = False
            self._show(_as_typed(command.text))
            with self._changed:
                command.begun = True
                self._changed.notify_all()
        elif marker.kind == "C" and command is None:
            text = marker.arguments[0] if marker.arguments else ""
            with self._changed:
                self._ready = self._continuation = False
                self._command = Command(text=text, sink=lambda _text: None, typed=True, begun=True)
            self._command.sink = self._listener.typed_started(text)
        elif marker.kind == "P" and len(marker.arguments) == 3:
            status, number, cwd = marker.arguments
            self._take_prompt(number, cwd)
            if command is not None and command.begun:
                self._finish(command, int(status) if status.isdigit() else None, "exited")
        elif marker.kind == "R":
            self._continuation = False
            if command is not None and command.begun and self._at_prompt():
                status = marker.arguments[0] if marker.arguments else ""
                self._finish(command, int(status) if status.isdigit() else None, "exited")
                self._send(_REPAIR_KEYS)
            with self._changed:
                self._ready = True
                self._changed.notify_all()
        elif marker.kind == "Q" and command is None:
            self._continuation = True

    def _take_prompt(self, number: str, cwd: str) -> None:
        self._cwd = cwd or self._cwd
        self._prompted = True
        self._repairing = False
        self._stillborn = 0
        if not number.isdigit():
            return
        state = self._directory / f"state.{number}"
        with contextlib.suppress(OSError):
            if state.stat().st_size:
                self._saved = state
        self._environment = shell_startup.read_environment(self._directory / f"env.{number}") or self._environment

    def _finish(self, command: Command, status: int | None, outcome: str) -> None:
        """The command has ended: its sink has all output, then whoever waits hears it."""
        if command.begun:
            self._give(b"", final=True)
        if outcome == "exited" and command.interrupted and status == 130:
            status, outcome = None, "interrupted"
        result = CommandResult(status, outcome, self._cwd, time.monotonic() - command.started)
        command.result = result
        with self._changed:
            self._command = None
            self._ready = False
            self._changed.notify_all()
        if command.typed:
            self._listener.typed_finished(command.text, result)
        command.done.set()

    def _finish_dead(self) -> None:
        command = self._command
        if command is not None:
            self._finish(command, None, "shell-died")

    def _replace(self) -> None:
        """The shell has ended: say why, start another with what it had."""
        with self._changed:
            self._ready = False
        reason = self._why_ended()
        left = self._parser.flush()
        if left and not self._suppress:
            self._show(left)
            self._give(left)
        if not self._prompted:
            self._saved = None  # what it had may be what ends it
            self._stillborn += 1
        if self._stillborn >= 3:
            with self._changed:
                self._broken = reason
            self._finish_dead()
            return
        command = self._command
        self._suppress = False
        try:
            self._spawn({})
        except (OSError, LabrunnerError) as error:
            with self._changed:
                self._broken = str(error)
            self._finish_dead()
            return
        if not self._quiet:
            self._show(f"\r\n[labrunner] {reason}; a new shell has your variables and directory\r\n".encode())
            self._listener.restarted(reason)
        self._quiet = False
        if command is not None:
            self._finish(command, None, "shell-died")

    def _why_ended(self) -> str:
        assert self._child is not None
        status = self._child.wait()
        processes.end("", [self._child.pid], grace=0.1)
        reason, self._reason = self._reason, ""
        if reason:
            return f"the shell was ended because {reason}"
        if os.WIFSIGNALED(status):
            return f"the shell was killed by {signal.Signals(os.WTERMSIG(status)).name}"
        return f"the shell exited with status {os.WEXITSTATUS(status)}"

    def _at_prompt(self) -> bool:
        return self._child is not None and self._child.reads_keys()

    def _look_for_foreign_prompt(self) -> None:
        """A prompt without our markers: another shell has ours' place (`exec bash`), or our hooks were removed."""
        if not self._at_prompt():
            return
        shown = processes.command_line(self.pid)
        if shown and str(self._directory / "bashrc") not in shown:
            self._kill_shell(f"`{shown}` had taken its place")
        elif not self._repairing:
            self._repairing = True  # does nothing when it is `read -e` that reads
            self._send(_REPAIR_KEYS)

    def _send(self, data: bytes) -> None:
        with self._changed:
            if not self._closing and self._child is not None:
                self._child.write(data)


def _as_typed(text: str) -> bytes:
    """The block as the terminal shows it after the prompt."""
    lines = text.rstrip("\n").encode("utf-8", "surrogateescape").split(b"\n")
    return b"\x1b[?2004l" + b"\r\n> ".join(_CONTROL.sub(b"?", line) for line in lines) + b"\r\n"


def _fault(doing: str, where: Path, error: OSError) -> EnvironmentFault:
    reason = error.strerror or str(error)
    return EnvironmentFault(f"cannot {doing} in {where}: {reason}", hint="free space or make the place writable")
