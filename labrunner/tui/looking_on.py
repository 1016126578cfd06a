"""Watching a session that another runner has open: its journal is followed, nothing is run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from labrunner.check.http_probe import Request
from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Block, Check, Lab, Step
from labrunner.run.events import BlockFinished, BlockStarted, Event
from labrunner.run.going_back import BackPlan
from labrunner.run.journal import Reader
from labrunner.run.protocol import Attempt, Hint, Listener
from labrunner.run.session import Session, session_dir

FOLLOW_EVERY = 0.3
"""Seconds between two looks at the journal."""


class LookingOn:
    """An `EngineProtocol` that refuses to act. The shell pane shows the commands and outputs that were journalled."""

    def __init__(self, lab: Lab, target: str) -> None:
        self.lab = lab
        self._directory = session_dir(lab.id, target)
        self._reader = Reader(self._directory / "journal.jsonl")
        self._session = Session()
        self._history: list[Event] = []
        self._listeners: list[Listener] = []
        self._sinks: list[Callable[[bytes], None]] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._read()

    @property
    def session(self) -> Session:
        return self._session

    @property
    def current(self) -> Step | None:
        return self.lab.step(self._session.current)

    @property
    def workdir(self) -> Path:
        return self._directory / "work"

    @property
    def values(self) -> Mapping[str, str]:
        """Only what the lab itself says: what the other runner computed is not in the journal."""
        return {v.name: v.default for v in self.lab.variables if v.default is not None and not v.secret}

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tap(self, sink: Callable[[bytes], None]) -> Callable[[], None]:
        self._sinks.append(sink)
        return lambda: self._sinks.remove(sink)

    def history(self) -> Sequence[Event]:
        return list(self._history)

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="labrunner-look-on", daemon=True)
            self._thread.start()

    def _read(self) -> list[Event]:
        events = list(self._reader.read())
        for event in events:
            self._session.apply(event)
        self._history += events
        return events

    def _follow(self) -> None:
        while not self._stop.wait(FOLLOW_EVERY):
            try:
                events = self._read()
            except EnvironmentFault:
                continue  # a disk that has a bad moment; the next look tells
            for event in events:
                self._show(event)
                for listener in list(self._listeners):
                    listener(event)

    def _show(self, event: Event) -> None:
        text = ""
        if isinstance(event, BlockStarted):
            text = f"\x1b[2m$\x1b[0m \x1b[1m{event.command.rstrip()}\x1b[0m\n"
        elif isinstance(event, BlockFinished):
            text = f"{event.output.rstrip()}\n" if event.output.strip() else ""
        for sink in list(self._sinks):
            sink(text.replace("\n", "\r\n").encode())

    def close(self, reason: str = "quit") -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    # What a spectator's keys would do: nothing.

    def interrupt(self) -> None: ...

    def stop_waiting(self) -> None: ...

    def go_live(self) -> None: ...

    def send_input(self, text: str) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    def enter(self, step: Step) -> None: ...

    def skip(self, step: Step) -> None: ...

    def answer(self, step: Step, check_id: str, answer: str) -> None: ...

    def run_block(self, step: Step, block: Block, *, role: str = "block") -> BlockFinished:
        raise _only_looking()

    def check(self, step: Step) -> Attempt:
        raise _only_looking()

    def hint(self, step: Step) -> Hint | None:
        raise _only_looking()

    def show_solution(self, step: Step) -> Sequence[Block]:
        raise _only_looking()

    can_undo = False
    mesh = None

    def requests_of(self, step: Step, check: Check) -> Sequence[Request]:
        return ()

    def note(self, step: Step, text: str) -> None: ...

    def plan_back(self, step: Step) -> BackPlan | None:
        return None

    def go_back(self, step: Step) -> None:
        raise _only_looking()

    def steps_before(self, step: Step) -> Sequence[Step]:
        return ()

    def jump_to(self, step: Step) -> None:
        raise _only_looking()

    def undo(self) -> str:
        raise _only_looking()

    def solution_diff(self, step: Step) -> Mapping[str, str]:
        return {}

    def solve(self, step: Step) -> list[BlockFinished]:
        raise _only_looking()


def _only_looking() -> EnvironmentFault:
    return EnvironmentFault("you are looking on: another runner has this lab", hint="open it again to take it over")
