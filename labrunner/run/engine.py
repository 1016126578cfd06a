"""The engine: one lab, one shell, one target, one journal. See `protocol.EngineProtocol` for what it promises."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.check.kind import CheckContext, CheckKind
from labrunner.errors import EnvironmentFault, UsageError
from labrunner.lab.model import Block, Check, Lab, Step, Variable
from labrunner.run import events, hints, processes, variables
from labrunner.run.causes import Causes
from labrunner.run.commands import GONE_WELL, Commands
from labrunner.run.events import BlockFinished, Event
from labrunner.run.journal import Reader
from labrunner.run.judging import Judge
from labrunner.run.live_checks import LiveChecks
from labrunner.run.lock import SessionLock
from labrunner.run.preparing import make_ready
from labrunner.run.protocol import Attempt, EngineProtocol, Hint, Listener
from labrunner.run.recording import Recording
from labrunner.run.redaction import Redactor
from labrunner.run.session import Session, StepState, session_dir
from labrunner.run.shell import Shell
from labrunner.run.telling import Teller
from labrunner.target.base import Revivable, Target

if TYPE_CHECKING:
    from labrunner.check.http_probe import Request
    from labrunner.run.going_back import BackPlan, WayBack
    from labrunner.run.mesh.source import MeshSource
    from labrunner.run.mesh.target_mesh import TargetMesh


class SetupFailed(EnvironmentFault):
    """A setup block of the lab did not do what it must."""

    def __init__(self, block: Block, finished: BlockFinished) -> None:
        self.block, self.finished = block, finished
        super().__init__(
            f"the lab's setup block '{block.id}' failed ({finished.outcome}, exit status {finished.exit})",
            hint=_last_line(finished.output) or "see its output",
        )


class Engine:
    """`EngineProtocol` on a real shell, journal and target.

    `directory`: where the session lives; default `session_dir(lab.id, target.name)`. `given`: values for variables.
    `environment`: the shell's own, before the target's and the lab's; default this process's. `take_over`: end the
    runner that has the session open. `record`: file for an asciicast of the shell.
    `headless`: nobody is at the keyboard, so interactive blocks time out as well, and no step's start is kept.
    """

    def __init__(
        self,
        lab: Lab,
        target: Target,
        *,
        directory: Path | None = None,
        given: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        kinds: Mapping[str, CheckKind] | None = None,
        take_over: bool = False,
        headless: bool = False,
        rows: int = 24,
        columns: int = 100,
        record: Path | None = None,
    ) -> None:
        self.lab = lab
        self.target = target
        self._directory = (directory or session_dir(lab.id, target.name)).absolute()
        self._given = dict(given or {})
        self._own_environment = dict(os.environ if environment is None else environment)
        self._take_over = take_over
        self._headless = headless
        self._size = (rows, columns)
        self._record = record
        self._recording: Recording | None = None
        self._taps: list[Callable[[bytes], None]] = []
        self._lock = SessionLock(self._directory)
        self._teller = Teller(self._directory)
        self._values: dict[str, str] = {}
        self._shell: Shell | None = None
        self._fault: EnvironmentFault | None = None
        self._closing = threading.Event()
        self._closed = False
        self._closing_once = threading.Lock()
        self._causes = Causes()
        self._teller.subscribe(self._causes.hear)
        self._commands = Commands(
            lab, self._teller, lambda: self.shell, self._values, headless=headless, failed=self._fail
        )
        types = {v.name: v.type for v in lab.variables}
        self._judge = Judge(
            self._teller, self._causes, self._context, lambda: self._values, types, kinds, self._closing
        )
        self._way_back: WayBack | None = None
        self._live = LiveChecks(self, self._causes)
        self._mesh: TargetMesh | None = None
        self.notes: list[str] = []
        """What was skipped when the journal was read."""

    # -- what others may ask

    @property
    def session(self) -> Session:
        return self._teller.session

    @property
    def current(self) -> Step | None:
        return self.lab.step(self.session.current)

    @property
    def directory(self) -> Path:
        """Journal, lock, the shell's files and the learner's (`workdir`)."""
        return self._directory

    @property
    def workdir(self) -> Path:
        return self._directory / "work"

    @property
    def shell(self) -> Shell:
        """Raises `EnvironmentFault` before `start` and after `close`."""
        if self._fault is not None:
            raise self._fault
        if self._shell is None or self._closed:
            raise EnvironmentFault("the lab is not open", hint="open it again")
        return self._shell

    @property
    def values(self) -> Mapping[str, str]:
        """The lab's variables, for `${NAME}` in texts. Secrets included: redact what is shown."""
        return self._values

    @property
    def redactor(self) -> Redactor:
        return self._teller.redactor

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._teller.subscribe(listener)

    def tap(self, sink: Callable[[bytes], None]) -> Callable[[], None]:
        if self._shell is not None:
            return self._shell.subscribe_raw(sink)
        self._taps.append(sink)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._taps.remove(sink)
            if self._shell is not None:
                self._shell.unsubscribe_raw(sink)

        return unsubscribe

    def history(self) -> Sequence[Event]:
        return list(Reader(self._directory / "journal.jsonl").read())

    def next_step(self, step: Step) -> Step | None:
        """The step after this one in the lab's order."""
        steps = self.lab.steps
        at = steps.index(step) + 1
        return steps[at] if at < len(steps) else None

    def previous_step(self, step: Step) -> Step | None:
        steps = self.lab.steps
        at = steps.index(step) - 1
        return steps[at] if at >= 0 else None

    # -- life

    def start(self, *, set_up: bool = True) -> None:
        """Raises `SessionHeld` when another runner has the session, `SetupFailed`, `EnvironmentFault`, `UsageError`.

        `set_up=False` leaves the setup blocks to a call of `set_up`.
        """
        if self._shell is not None:
            return
        self._lock.acquire(take_over=self._take_over)
        try:
            self._start()
            if set_up:
                self.set_up()
        except BaseException:
            self.close("failed")
            self._tear_down()  # what was started after a `close` from elsewhere
            raise

    def _start(self) -> None:
        processes.end(str(self._directory))  # what a runner that was killed left
        self.notes = self._teller.open()
        resumed = bool(self.session.started_at)
        _at_exit(self)
        self._lock.on_take_over(lambda: self.close("taken-over"))
        self.target.start()
        environment = make_ready(self.lab, self.target, self.workdir, self._own_environment)
        self._teller.say(
            events.SessionStarted(
                at=time.time(), lab=self.lab.id, lab_digest=self.lab.digest, target=self.target.name, resumed=resumed
            )
        )
        self._values |= variables.resolve(
            self.lab, self._directory, self._given, lambda v: self._compute(v, environment)
        )
        self.redactor.learn(self._values[v.name] for v in self.lab.variables if v.secret)
        self._shell = Shell(
            self._directory / "shell",
            cwd=self._start_directory(),
            environment={**environment, **self._values},
            mark=str(self._directory),
            restore=resumed,
            listener=self._commands,
            rows=self._size[0],
            columns=self._size[1],
        )
        if self._record is not None:
            rows, columns = self._size
            self._recording = Recording(self._record, self.redactor, rows=rows, columns=columns, title=self.lab.title)
            self._taps.append(self._recording.push)
        for sink in self._taps:
            self._shell.subscribe_raw(sink)
        self._shell.start()
        self._values |= {name: environment[name] for name in ("LAB_ID", "LAB_ASSETS") if name in environment}
        self._must_be_open()

    def _start_directory(self) -> Path:
        kept = Path(self.session.cwd) if self.session.cwd else self.workdir
        return kept if kept.is_dir() else self.workdir

    def _compute(self, variable: Variable, environment: Mapping[str, str]) -> str:
        name, command = variable.name, variable.command or ""
        self._teller.say(events.BlockStarted(at=time.time(), step="", block=name, role="variable", command=command))
        started = time.monotonic()
        value = variables.run_command(variable, environment, self.workdir)
        if variable.secret:
            self.redactor.learn([value])
        self._teller.say(
            BlockFinished(
                at=time.time(), step="", block=name, role="variable", exit=0, outcome="ok", output=value,
                cwd=str(self.workdir), seconds=time.monotonic() - started,
            )
        )  # fmt: skip
        return value

    def set_up(self) -> None:
        """Run the setup blocks, once per session. Raises `SetupFailed` when one does not do what it must."""
        if self.session.setup_done:
            return
        self.build(self.lab.setup)
        self._teller.say(events.SetupFinished(at=time.time()))

    def build(self, blocks: Sequence[Block]) -> None:
        """Run blocks that make the world what a step begins with. Raises `SetupFailed` at the first that does not do
        what it must."""
        for block in blocks:
            finished = self._commands.run("", block, "setup")
            if finished.outcome not in GONE_WELL:
                raise SetupFailed(block, finished)

    def close(self, reason: str = "quit") -> None:
        with self._closing_once:
            if self._closed:
                return
            self._closed = True
        self._closing.set()
        self.stop_waiting()
        self._live.close()
        if self._mesh is not None:
            self._mesh.close()
        if self._shell is not None:
            self._shell.close()
        with contextlib.suppress(EnvironmentFault):
            self._teller.end(events.SessionEnded(at=time.time(), reason=reason))
        self._tear_down()

    def _tear_down(self) -> None:
        if self._shell is not None:
            self._shell.close()
        if self._recording is not None:
            self._recording.close()
        self.target.stop()
        self._lock.release()

    # -- the learner's way

    def enter(self, step: Step) -> None:
        self._must_be_open()
        self._teller.say(events.StepEntered(at=time.time(), step=step.id))
        if not self._headless:
            self.way_back.entered(step)

    # -- going back (see `going_back`)

    @property
    def way_back(self) -> WayBack:
        from labrunner.run.going_back import WayBack

        if self._way_back is None:
            self._way_back = WayBack(self)
        return self._way_back

    def tell(self, event: Event) -> None:
        """Say an event of the session's: for what works on the engine from outside."""
        self._teller.say(event)

    def plan_back(self, step: Step) -> BackPlan | None:
        return self.way_back.plan_back(step)

    def go_back(self, step: Step) -> None:
        with self._live.held():
            self.way_back.back(step)

    def steps_before(self, step: Step) -> Sequence[Step]:
        return self.way_back.ahead_of(step)

    def jump_to(self, step: Step) -> None:
        def solve(before: Step) -> bool:
            done = self.solve(before)
            return all(f.outcome in GONE_WELL for f in done) and self._judge.passes(before)

        self.way_back.jump(step, solve)

    @property
    def can_undo(self) -> bool:
        return self.way_back.can_undo

    def undo(self) -> str:
        with self._live.held():
            return self.way_back.undo()

    def goto(self, step_id: str) -> Step:
        """Enter a step by its id. Raises `UsageError` when the lab has none of that name."""
        step = self.lab.step(step_id)
        if step is None:
            raise UsageError(
                f"lab {self.lab.id} has no step '{step_id}'", hint="steps: " + ", ".join(s.id for s in self.lab.steps)
            )
        self.enter(step)
        return step

    def run_block(self, step: Step, block: Block, *, role: str = "block") -> BlockFinished:
        """Raises `ShellBusy` while another command runs, `EnvironmentFault` when the outcome cannot be journalled."""
        self._revive()
        return self._commands.run(step.id, block, role)

    def _revive(self) -> None:
        """A sandbox that ended by itself is there again for the learner's next move, with all that was in it."""
        if self._shell is not None and not self._closed and isinstance(self.target, Revivable):
            self.target.revive()

    def interrupt(self) -> None:
        if self._shell is not None:
            self._shell.interrupt()

    def send_input(self, text: str) -> None:
        if self._shell is not None:
            self._shell.send_input(text)

    def resize(self, rows: int, columns: int) -> None:
        self._size = (rows, columns)
        if self._shell is not None:
            self._shell.resize(rows, columns)
        if self._recording is not None:
            self._recording.resize(rows, columns)

    def check(self, step: Step, *, wait: bool = True, only: Sequence[str] | None = None) -> Attempt:
        """`only`: ids of the checks to evaluate; the step's state then stays as it is."""
        self._revive()
        return self._judge.check(step, wait=wait, only=only)

    # -- checks that look again by themselves (see `live_checks`)

    def go_live(self) -> None:
        self._must_be_open()
        self._live.start()

    def known_steps(self) -> Iterator[Step]:
        return iter(self.lab.steps)

    def check_params(self, check: Check) -> Mapping[str, Any]:
        return self._judge.params(check)

    def look_again(self, step: Step, *, skip_slower: float | None = None, in_doubt: bool = False) -> bool:
        return self._judge.look_again(step, skip_slower=skip_slower, in_doubt=in_doubt)

    def stop_waiting(self) -> None:
        self._judge.stop_waiting()

    def answer(self, step: Step, check_id: str, answer: str) -> None:
        self._must_be_open()
        self._teller.say(events.AnswerGiven(at=time.time(), step=step.id, check=check_id, answer=answer))

    def note(self, step: Step, text: str) -> None:
        self._must_be_open()
        self._teller.say(events.NoteWritten(at=time.time(), step=step.id, text=text))

    def hint(self, step: Step) -> Hint | None:
        self._must_be_open()
        record = self.session.record(step.id)
        found = hints.next_hint(step, record.results.values(), record.hints)
        if found is None:
            return None
        hint_id, text = found
        self._teller.say(events.HintShown(at=time.time(), step=step.id, hint=hint_id, text=text))
        return Hint(hint_id, text, hints.remaining(step, self.session.record(step.id).hints))

    def show_solution(self, step: Step) -> Sequence[Block]:
        self._must_be_open()
        if not self.session.record(step.id).solution_shown:
            self._teller.say(events.SolutionShown(at=time.time(), step=step.id))
        return step.solution

    def solution_diff(self, step: Step) -> Mapping[str, str]:
        from labrunner.run.solution_diff import difference

        shell = self.shell
        if "kubernetes" not in self.target.features:
            return {}
        found = {block.id: difference(block.run, {**shell.environment}, shell.cwd) for block in step.solution}
        return {block: self.redactor.text(diff) for block, diff in found.items() if diff is not None}

    def solve(self, step: Step) -> list[BlockFinished]:
        """Stops at the first block that does not do what it must."""
        self.show_solution(step)
        finished = []
        for block in step.solution:
            finished.append(self._commands.run(step.id, block, "solution"))
            if finished[-1].outcome not in GONE_WELL:
                break
        return finished

    def clean_up(self, step: Step | None = None) -> list[BlockFinished]:
        """Run the step's cleanup, or without a step the lab's own; every block is tried."""
        blocks, step_id = (self.lab.cleanup, "") if step is None else (step.cleanup, step.id)
        return [self._commands.run(step_id, block, "cleanup") for block in blocks]

    def skip(self, step: Step) -> None:
        self._must_be_open()
        if self.session.record(step.id).state is not StepState.PASSED:
            self._judge.change(step, StepState.SKIPPED)

    # -- the mesh (see `run.mesh`)

    @property
    def mesh(self) -> MeshSource:
        from labrunner.run.mesh.target_mesh import TargetMesh

        with self._closing_once:
            if self._mesh is None:
                self._mesh = TargetMesh(self.target, self._place)
                if self._closed:
                    self._mesh.close()
            return self._mesh

    def requests_of(self, step: Step, check: Check) -> Sequence[Request]:
        from labrunner.run.mesh.check_requests import TRACEABLE, requests_of

        if check.kind not in TRACEABLE:
            return ()
        result = self.session.record(step.id).results.get(check.id)
        return requests_of(check.kind, self.check_params(check), result)

    # -- inside

    def _place(self) -> tuple[Path, Mapping[str, str]]:
        shell = self.shell
        return shell.cwd, dict(shell.environment)

    def _context(self) -> CheckContext:
        """What checks look at. Raises `EnvironmentFault` while the lab is not open."""
        shell = self.shell
        return CheckContext(
            target=self.target,
            cwd=shell.cwd,
            environment=dict(shell.environment),
            answers=self.session.answers(),
        )

    def _fail(self, fault: EnvironmentFault) -> None:
        self._fault = fault

    def _must_be_open(self) -> None:
        _ = self.shell


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _at_exit(engine: Engine) -> None:
    """Close it when the interpreter ends, unless it is gone by then."""
    reference = weakref.ref(engine)

    def end() -> None:
        engine = reference()
        if engine is not None:
            engine.close("interrupted")

    atexit.register(end)


__all__: Sequence[str] = ("Attempt", "Engine", "EngineProtocol", "Hint", "Listener", "SetupFailed")
