"""The engine: one lab, one shell, one target, one journal. See `protocol.EngineProtocol` for what it promises."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.check.kind import CheckContext, CheckKind
from labrunner.check.result import CheckResult, CheckStatus
from labrunner.errors import EnvironmentFault, UsageError
from labrunner.lab.model import Block, Check, Lab, Step, Variable
from labrunner.lab.substitution import substitute
from labrunner.run import checking, events, hints, processes, variables
from labrunner.run.causes import Causes
from labrunner.run.events import BlockFinished, Event
from labrunner.run.journal import Reader
from labrunner.run.live_checks import LiveChecks
from labrunner.run.lock import SessionLock
from labrunner.run.output import OutputSink
from labrunner.run.plain_text import shortened
from labrunner.run.protocol import Attempt, EngineProtocol, Hint, Listener
from labrunner.run.recording import Recording
from labrunner.run.redaction import Redactor
from labrunner.run.session import OUTPUT_KEPT, Session, StepState, session_dir
from labrunner.run.shell import Shell
from labrunner.run.shell_command import CommandResult, TextSink
from labrunner.run.telling import Teller
from labrunner.target.base import Target

if TYPE_CHECKING:
    from labrunner.run.going_back import BackPlan, WayBack


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
        self._kinds = kinds
        self._take_over = take_over
        self._headless = headless
        self._size = (rows, columns)
        self._record = record
        self._recording: Recording | None = None
        self._taps: list[Callable[[bytes], None]] = []
        self._lock = SessionLock(self._directory)
        self._teller = Teller(self._directory)
        self._values: dict[str, str] = {}
        self._types = {v.name: v.type for v in lab.variables}
        self._shell: Shell | None = None
        self._typed: tuple[str, str, OutputSink] | None = None
        self._fault: EnvironmentFault | None = None
        self._closing = threading.Event()
        self._waiting: set[threading.Event] = set()
        self._closed = False
        self._closing_once = threading.Lock()
        self._causes = Causes()
        self._teller.subscribe(self._causes.hear)
        self._way_back: WayBack | None = None
        self._live = LiveChecks(self, self._causes)
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
        environment = self._make_ready()
        self._teller.say(
            events.SessionStarted(
                at=time.time(), lab=self.lab.id, lab_digest=self.lab.digest, target=self.target.name, resumed=resumed
            )
        )
        self._values = variables.resolve(
            self.lab, self._directory, self._given, lambda v: self._compute(v, environment)
        )
        self.redactor.learn(self._values[v.name] for v in self.lab.variables if v.secret)
        self._shell = Shell(
            self._directory / "shell",
            cwd=self._start_directory(),
            environment={**environment, **self._values},
            mark=str(self._directory),
            restore=resumed,
            listener=_Typed(self),
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

    def _make_ready(self) -> dict[str, str]:
        """Work directory and environment; raises `EnvironmentFault` when the lab needs what is not there."""
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot make the lab's work directory {self.workdir}: {error.strerror}",
                hint="make the place writable, or choose another with LABRUNNER_HOME",
            ) from error
        environment = {**self._own_environment, **self.target.environment(), "LAB_ID": self.lab.id}
        if self.lab.assets is not None:
            environment["LAB_ASSETS"] = str(self.lab.assets)
        lacking = [feature for feature in self.lab.requires.features if feature not in self.target.features]
        if lacking:
            raise EnvironmentFault(
                f"lab {self.lab.id} needs {', '.join(lacking)}, which the target {self.target.name} lacks",
                hint="`labrunner doctor` says what each target has",
            )
        path = environment.get("PATH", os.defpath)
        missing = [tool for tool in self.lab.requires.tools if shutil.which(tool, path=path) is None]
        if missing:
            raise EnvironmentFault(
                f"lab {self.lab.id} needs {', '.join(missing)}, not found on the PATH",
                hint="`labrunner doctor` says how to get it",
            )
        return environment

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
        for block in self.lab.setup:
            finished = self._run("", block, "setup")
            if finished.outcome not in ("ok", "started"):
                raise SetupFailed(block, finished)
        self._teller.say(events.SetupFinished(at=time.time()))

    def close(self, reason: str = "quit") -> None:
        with self._closing_once:
            if self._closed:
                return
            self._closed = True
        self._closing.set()
        self.stop_waiting()
        self._live.close()
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
            return all(f.outcome in ("ok", "started") for f in done) and self._passes(before)

        self.way_back.jump(step, solve)

    def _passes(self, step: Step) -> bool:
        """Check it, the questions left out: nobody answers them for the learner."""
        attempt = self.check(step, only=[check.id for check in step.checks if check.kind != "quiz"])
        if attempt.passed:
            self._change(step, StepState.PASSED)
        return attempt.passed

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
        return self._run(step.id, block, role)

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
        self._must_be_open()
        cancelled = threading.Event()
        self._waiting.add(cancelled)
        if self._closing.is_set():
            cancelled.set()
        checks = [check for check in step.checks if only is None or check.id in only]
        for check in checks:
            self._teller.say(events.CheckStarted(at=time.time(), step=step.id, check=check.id))
        results = []
        try:
            for result in self._evaluate(checks, wait, cancelled):
                self._say_result(step, result)
                results.append(result)
        finally:
            self._waiting.discard(cancelled)
        attempt = Attempt(step.id, self.session.record(step.id).attempts + 1, tuple(results))
        if only is None:
            self._teller.say(
                events.AttemptFinished(at=time.time(), step=step.id, number=attempt.number, passed=attempt.passed)
            )
            self._judge(step, attempt)
        return attempt

    def _evaluate(self, checks: Sequence[Check], wait: bool, cancelled: threading.Event) -> Iterator[CheckResult]:
        shell = self.shell
        context = CheckContext(
            target=self.target,
            cwd=shell.cwd,
            environment=dict(shell.environment),
            answers=self.session.answers(),
        )
        values = {**shell.environment, **self._values}

        def one(check: Check) -> CheckResult:
            return checking.evaluate(
                check, context, values, self._types, kinds=self._kinds, wait=wait, cancelled=cancelled
            )

        for result in checking.evaluate_all(checks, one):
            self._must_be_open()
            yield self.redactor.value(result)

    def _say_result(self, step: Step, result: CheckResult) -> None:
        before = self.session.record(step.id).results.get(result.check_id)
        self._teller.say(events.CheckFinished(at=time.time(), step=step.id, check=result.check_id, result=result))
        if result.status is CheckStatus.FAILED:
            cause = self._causes.of(result, broke=before is not None and before.passed)
            if cause is not None:
                self._teller.say(
                    events.CheckCaused(
                        at=time.time(), step=step.id, check=result.check_id, command=cause.text, ran_at=cause.started
                    )
                )

    # -- checks that look again by themselves (see `live_checks`)

    def go_live(self) -> None:
        self._must_be_open()
        self._live.start()

    def known_steps(self) -> Iterator[Step]:
        return iter(self.lab.steps)

    def check_params(self, check: Check) -> Mapping[str, Any]:
        params: Mapping[str, Any] = substitute(check.params, {**self.shell.environment, **self._values}, self._types)
        return params

    def look_again(self, step: Step, *, skip_slower: float | None = None, in_doubt: bool = False) -> bool:
        if self._waiting:
            return True  # the learner's own check says it, and its end has us look again
        record = self.session.record(step.id)
        answered = record.answers
        kept = {
            check.id: record.results.get(check.id)
            for check in step.checks
            if (check.kind == "quiz" and check.id not in answered)
            or (
                skip_slower is not None
                and (last := record.results.get(check.id)) is not None
                and last.duration > skip_slower
            )
        }
        asked = [check for check in step.checks if check.id not in kept]
        results = {check_id: result for check_id, result in kept.items() if result is not None}
        waited_for = False
        for check, result in zip(asked, self._evaluate(asked, False, self._closing), strict=True):
            if self._waiting:
                return True
            before = record.results.get(check.id)
            if before is None or _differ(before, result):
                self._say_result(step, result)
            results[check.id] = result
            waited_for |= result.status is CheckStatus.FAILED and check.wait > 0
        if not step.checks or len(results) < len(step.checks):
            return True
        if in_doubt and waited_for and record.state is StepState.PASSED:
            return False
        self._judge(step, Attempt(step.id, record.attempts, tuple(results.values())))
        return True

    def stop_waiting(self) -> None:
        for cancelled in list(self._waiting):
            cancelled.set()

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
            finished.append(self._run(step.id, block, "solution"))
            if finished[-1].outcome not in ("ok", "started"):
                break
        return finished

    def clean_up(self, step: Step | None = None) -> list[BlockFinished]:
        """Run the step's cleanup, or without a step the lab's own; every block is tried."""
        blocks, step_id = (self.lab.cleanup, "") if step is None else (step.cleanup, step.id)
        return [self._run(step_id, block, "cleanup") for block in blocks]

    def skip(self, step: Step) -> None:
        self._must_be_open()
        if self.session.record(step.id).state is not StepState.PASSED:
            self._change(step, StepState.SKIPPED)

    # -- inside

    def _judge(self, step: Step, attempt: Attempt) -> None:
        """A step has passed when all its checks have; one that passed before and fails now has regressed."""
        state = self.session.record(step.id).state
        if attempt.passed:
            self._change(step, StepState.PASSED)
        elif state is StepState.PASSED and any(r.status is CheckStatus.FAILED for r in attempt.results):
            self._change(step, StepState.REGRESSED)

    def _change(self, step: Step, state: StepState) -> None:
        if self.session.record(step.id).state is not state:
            self._teller.say(events.StepStateChanged(at=time.time(), step=step.id, state=str(state)))

    def _run(self, step_id: str, block: Block, role: str) -> BlockFinished:
        shell = self.shell
        self._teller.say(
            events.BlockStarted(at=time.time(), step=step_id, block=block.id, role=role, command=block.run)
        )
        sink = self._sink(step_id, block.id)
        timeout = None if block.interactive and not self._headless else block.timeout
        try:
            result = shell.run(block.run, timeout=timeout, sink=sink, background=block.background)
        except BaseException:
            self._finished(step_id, block.id, role, CommandResult(None, "interrupted", str(shell.cwd), 0.0), "")
            raise
        output = sink.finish()
        outcome = _outcome(block, result, output)
        return self._finished(step_id, block.id, role, result, output, outcome)

    def _sink(self, step_id: str, block_id: str) -> OutputSink:
        return OutputSink(
            self.redactor,
            lambda text: self._teller.say(events.BlockOutput(at=time.time(), step=step_id, block=block_id, text=text)),
        )

    def _finished(
        self, step_id: str, block_id: str, role: str, result: CommandResult, output: str, outcome: str = ""
    ) -> BlockFinished:
        finished = BlockFinished(
            at=time.time(), step=step_id, block=block_id, role=role, exit=result.status,
            outcome=outcome or result.outcome, output=shortened(output, OUTPUT_KEPT), cwd=result.cwd,
            seconds=result.seconds,
        )  # fmt: skip
        finished = self.redactor.value(finished)
        self._teller.say(finished)
        return finished

    def _must_be_open(self) -> None:
        _ = self.shell

    def _typed_started(self, text: str) -> TextSink:
        step_id = self.session.current
        step = self.lab.step(step_id)
        known = () if step is None else (*step.blocks, *step.solution)
        block_id = next((b.id for b in known if b.run.strip() == text.strip()), "")
        sink = self._sink(step_id, block_id)
        self._typed = (step_id, block_id, sink)
        self._say_from_shell(
            events.BlockStarted(at=time.time(), step=step_id, block=block_id, role="typed", command=text)
        )
        return sink

    def _typed_finished(self, text: str, result: CommandResult) -> None:
        if self._typed is None:
            return
        step_id, block_id, sink = self._typed
        self._typed = None
        output = sink.finish()
        step = self.lab.step(step_id)
        block = step.block(block_id) if step is not None and block_id else None
        outcome = _outcome(block or Block("", text), result, output)
        try:
            self._finished(step_id, block_id, "typed", result, output, outcome)
        except EnvironmentFault as fault:
            self._fault = fault

    def _say_from_shell(self, event: Event) -> None:
        """On the reader thread nobody can be told of a full disk; the next call tells."""
        try:
            self._teller.say(event)
        except EnvironmentFault as fault:
            self._fault = fault


class _Typed:
    """The engine as the shell's listener."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def typed_started(self, text: str) -> TextSink:
        return self._engine._typed_started(text)

    def typed_finished(self, text: str, result: CommandResult) -> None:
        self._engine._typed_finished(text, result)

    def restarted(self, reason: str) -> None:
        self._engine._say_from_shell(events.ShellRestarted(at=time.time(), reason=reason))


def _outcome(block: Block, result: CommandResult, output: str) -> str:
    """What the block's run counts as (see `BlockFinished`)."""
    if result.outcome == "syntax":
        return "not-run"
    if result.outcome != "exited":
        return result.outcome
    if block.background:
        return "started"
    if result.status != block.expect.exit:
        return "unexpected-exit"
    if block.expect.output is not None and not re.search(block.expect.output, output, re.MULTILINE):
        return "unexpected-output"
    return "ok"


def _differ(before: CheckResult, now: CheckResult) -> bool:
    """Whether the learner would see another result."""
    return (before.status, before.findings, before.title) != (now.status, now.findings, now.title)


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
