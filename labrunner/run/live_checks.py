"""Checks that look again by themselves: when the cluster changes, after each command, and now and then.

One thread evaluates, one per watched kind listens; whatever happens meanwhile is one more look, never two.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from labrunner.errors import LabrunnerError
from labrunner.lab.model import Check, Step
from labrunner.run import events
from labrunner.run.causes import Causes
from labrunner.run.events import Event
from labrunner.run.session import Session, StepState
from labrunner.target.base import Target, Watch, Watches

SETTLE: Final = 0.05
"""Seconds from the first change to the look: `kubectl apply` of a file changes more than one object."""
PAUSE: Final = 0.15
"""Seconds at least between two looks; a look that takes longer is followed by a pause twice as long."""
HEARTBEAT: Final = 30.0
"""Seconds after which to look though nothing was heard."""
SLOW: Final = 0.5
"""Checks whose last evaluation took longer (seconds) look after commands and heartbeats, not at each change."""
DOUBT: Final = 1.0
"""Seconds for which a passed step may fail before it has regressed, where its checks may be waited for."""
REOPEN: Final = (0.5, 10.0)
"""Seconds until a watch that ended is opened again: at first, at most."""

Kind = tuple[str, str]
"""apiVersion and kind."""


class Observed(Protocol):
    """What the live checks need of the engine."""

    target: Target

    @property
    def session(self) -> Session: ...
    @property
    def current(self) -> Step | None: ...
    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]: ...
    def known_steps(self) -> Iterator[Step]:
        """The lab's steps in order."""
        ...

    def look_again(self, step: Step, *, skip_slower: float | None, in_doubt: bool) -> bool:
        """Evaluate once and say what changed. `skip_slower`: leave out checks that took longer (seconds).
        `in_doubt`: a step that had passed may still recover. False when that is so: look once more."""
        ...

    def check_params(self, check: Check) -> Mapping[str, Any]:
        """Its parameters, variables substituted."""
        ...


class LiveChecks:
    """Starts at `start`, ends at `close`; both idempotent."""

    def __init__(self, engine: Observed, causes: Causes, *, heartbeat: float = HEARTBEAT) -> None:
        self._engine = engine
        self._causes = causes
        self._heartbeat = heartbeat
        self._wake = threading.Condition()
        self._looking = threading.Lock()
        self._closed = False
        self._due: float | None = None
        self._thorough = False
        self._doubts: dict[str, float] = {}
        self._watches: dict[Kind, _Listening] = {}
        self._thread: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        if self._thread is not None:
            return
        self._unsubscribe = self._engine.subscribe(self._hear)
        self._thread = threading.Thread(target=self._run, name="labrunner-live", daemon=True)
        self._thread.start()
        self.trigger(thorough=True)

    def close(self, timeout: float = 2.0) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        for listening in list(self._watches.values()):
            listening.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While the world is put back nothing is looked at: a state in between is nobody's."""
        with self._looking:
            yield
        self.trigger(thorough=True)

    def trigger(self, *, thorough: bool = False, after: float = SETTLE) -> None:
        """Look soon. `thorough`: slow checks too."""
        with self._wake:
            due = time.monotonic() + after
            self._due = due if self._due is None else min(self._due, due)
            self._thorough |= thorough
            self._wake.notify_all()

    def _hear(self, event: Event) -> None:
        match event:
            case events.BlockFinished() | events.StepEntered() | events.AnswerGiven() | events.ShellRestarted():
                self.trigger(thorough=True)
            case events.AttemptFinished():
                self.trigger()

    def _run(self) -> None:
        pause = PAUSE
        while True:
            with self._wake:
                asleep_until = time.monotonic() + self._heartbeat
                while not self._closed:
                    now = time.monotonic()
                    at = asleep_until if self._due is None else self._due
                    if now >= at:
                        break
                    self._wake.wait(at - now)
                if self._closed:
                    return
                thorough = self._thorough or self._due is None
                self._due, self._thorough = None, False
            started = time.monotonic()
            # A world that goes away in the middle is said by the next command or check.
            with contextlib.suppress(LabrunnerError):
                with self._looking:
                    self._look(thorough)
                self._follow()
            pause = max(PAUSE, 2 * (time.monotonic() - started))
            with self._wake:
                self._wake.wait_for(lambda: self._closed, pause)

    def _look(self, thorough: bool) -> None:
        for step in self._steps():
            if self._closed:
                return
            since = self._doubts.get(step.id)
            in_doubt = since is None or time.monotonic() - since < DOUBT
            settled = self._engine.look_again(step, skip_slower=None if thorough else SLOW, in_doubt=in_doubt)
            if settled:
                self._doubts.pop(step.id, None)
            else:
                self._doubts.setdefault(step.id, time.monotonic())
                self.trigger(after=DOUBT)

    def _steps(self) -> list[Step]:
        """The current step first, then those that must still hold."""
        current = self._engine.current
        held = [
            step
            for step in self._engine.known_steps()
            if step is not current
            and self._engine.session.record(step.id).state in (StepState.PASSED, StepState.REGRESSED)
        ]
        return [*([current] if current is not None else []), *held]

    def _follow(self) -> None:
        """Watch the kinds that the checks in view name, and no others."""
        if "kubernetes" not in self._engine.target.features:
            return
        kube = self._engine.target.kube()
        if not isinstance(kube, Watches):
            return
        wanted = {
            kind
            for step in self._steps()
            for check in step.checks
            for kind in kinds_in(self._engine.check_params(check))
        }
        for kind in self._watches.keys() - wanted:
            self._watches.pop(kind).close()
        for kind in wanted - self._watches.keys():
            self._watches[kind] = _Listening(kube, kind, self._changed)
        if self._closed:
            for listening in self._watches.values():
                listening.close()

    def _changed(self, change: Any) -> None:
        """`change`: None when changes may have been missed."""
        if change is not None:
            self._causes.saw(change, time.time())
        self.trigger()


class _Listening:
    """Keeps one kind watched on a thread, opening the watch again whenever it ends."""

    def __init__(self, kube: Watches, kind: Kind, changed: Callable[[Any], None]) -> None:
        self._kube, self._kind, self._changed = kube, kind, changed
        self._ended = threading.Event()
        self._watch: Watch | None = None
        threading.Thread(target=self._run, name=f"labrunner-watch-{kind[1]}", daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        if self._watch is not None:
            self._watch.close()

    def _run(self) -> None:
        pause, first = REOPEN[0], True
        while not self._ended.is_set():
            try:
                self._watch = self._kube.watch(*self._kind)
                if self._ended.is_set():
                    self._watch.close()
                if not first:
                    self._changed(None)
                first = False
                for change in self._watch:
                    pause = REOPEN[0]
                    self._changed(change)
            except LabrunnerError:
                pause = min(pause * 2, REOPEN[1])  # away, refused, or not served yet: the heartbeat looks meanwhile
            self._ended.wait(pause)


def kinds_in(params: Any) -> Iterator[Kind]:
    """The Kubernetes kinds that a check's parameters name, at any depth."""
    if isinstance(params, Mapping):
        version, kind = params.get("apiVersion"), params.get("kind")
        if isinstance(version, str) and isinstance(kind, str):
            yield version, kind
        if isinstance(params.get("secret"), Mapping):
            yield "v1", "Secret"
        for value in params.values():
            yield from kinds_in(value)
    elif isinstance(params, list | tuple):
        for value in params:
            yield from kinds_in(value)
