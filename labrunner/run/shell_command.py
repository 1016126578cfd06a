"""What is said of a command that runs in the shell, and by whom."""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from labrunner.errors import LabrunnerError

RawCallback = Callable[[bytes], None]
TextSink = Callable[[str], None]


class ShellBusy(LabrunnerError):
    """Another command is running in the shell."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """`outcome`: exited, timeout, interrupted, shell-died, syntax (nothing was run; `message` says why).

    `status` is None unless the command exited (or is `syntax`: 2). `seconds` is wall time.
    """

    status: int | None
    outcome: str
    cwd: str
    seconds: float
    message: str = ""


class ShellListener(Protocol):
    """What the shell says of its own accord; called on the reader thread."""

    def typed_started(self, text: str) -> TextSink:
        """The learner ran a command by hand; its output goes to the sink returned."""
        ...

    def typed_finished(self, text: str, result: CommandResult) -> None: ...
    def restarted(self, reason: str) -> None: ...


@dataclass(slots=True)
class Command:
    """A command on its way, for the shell's own use."""

    text: str
    sink: TextSink
    typed: bool
    started: float = field(default_factory=time.monotonic)
    begun: bool = False
    interrupted: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    result: CommandResult | None = None
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))


class Silent:
    """A listener that does not listen."""

    def typed_started(self, text: str) -> TextSink:
        return lambda _text: None

    def typed_finished(self, text: str, result: CommandResult) -> None:
        return

    def restarted(self, reason: str) -> None:
        return
