"""Going back and ahead: each step begins with a checkpoint of the sandbox, the files and the shell.

On a live cluster, which keeps no snapshots, going back runs the steps' cleanup, then again the setup and the earlier
solutions, because a cleanup may take away what an earlier step made; `plan_back` says so beforehand.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.lab.model import Block, Lab, Step
from labrunner.run import events
from labrunner.run.session import StepRecord, StepState

if TYPE_CHECKING:
    from labrunner.run.engine import Engine
    from labrunner.run.world import Checkpoints

_UNDO: Final = "undo"


class StepNotReached(LabrunnerError):
    """A step on the way could not be done for the learner."""


@dataclass(frozen=True, slots=True)
class BackPlan:
    """What going back to a step's start does, for the learner to agree to."""

    step: str
    whole: bool
    """The cluster goes back too; otherwise `cleanup` runs in it, and files and shell go back."""
    reopened: tuple[str, ...]
    """Steps that are open again, by id, this one first."""
    cleanup: tuple[Block, ...] = ()
    again: tuple[Block, ...] = ()
    """What is run after the cleanup: the setup, and the solutions of earlier steps."""


def blocks_before(lab: Lab, steps: Sequence[Step]) -> tuple[Block, ...]:
    """What makes the world anew up to the end of `steps`, on a target that keeps no snapshots."""
    return (*lab.setup, *(block for step in steps for block in step.solution if not block.interactive))


class WayBack:
    """The checkpoints of one engine's session. Blocking; raises `LabrunnerError`."""

    def __init__(self, engine: Engine) -> None:
        from labrunner.run.world import Checkpoints

        self._engine = engine
        self._base = engine.directory / "checkpoints"
        self._checkpoints: Checkpoints = Checkpoints(engine)

    # -- keeping

    def entered(self, step: Step) -> None:
        """Keep the world as the step begins; what was kept before stays once something was done in the step."""
        record = self._engine.session.record(step.id)
        if _untouched(record) or self._kept(step.id) is None:
            self._save(step.id)

    def _save(self, name: str) -> None:
        place = self._place(name)
        with contextlib.suppress(OSError):
            (place / "kept.json").unlink()
        whole = self._checkpoints.save(self._name(name))
        states = {step_id: str(record.state) for step_id, record in self._engine.session.steps.items()}
        states_file = {"whole": whole, "states": states, "at": self._engine.session.current}
        try:
            (place / "kept.json").write_text(json.dumps(states_file), "utf-8")
        except OSError as error:
            raise EnvironmentFault(f"cannot keep the step's beginning in {place}: {error.strerror}") from error

    def _place(self, name: str) -> Path:
        return self._base / self._name(name)

    def _name(self, name: str) -> str:
        """Unique among the labs that share a sandbox."""
        return f"{self._engine.lab.id}.{name}"

    def _kept(self, name: str) -> dict[str, object] | None:
        try:
            found: dict[str, object] = json.loads((self._place(name) / "kept.json").read_text("utf-8"))
            return found
        except (OSError, ValueError):
            return None

    # -- asking

    def plan_back(self, step: Step) -> BackPlan | None:
        """None when the step has not been begun: there is nothing to go back to."""
        kept = self._kept(step.id)
        if kept is None:
            return None
        after = self._from(step)
        session = self._engine.session
        touched = [s for s in after if s is step or not _untouched(session.record(s.id))]
        whole = bool(kept["whole"])
        cleanup = () if whole else tuple(block for s in reversed(touched) for block in s.cleanup)
        again = blocks_before(self._engine.lab, self._passed_before(step)) if cleanup else ()
        return BackPlan(step.id, whole, tuple(s.id for s in touched), cleanup, again)

    def ahead_of(self, step: Step) -> tuple[Step, ...]:
        """The steps before this one whose solutions a jump applies."""
        session = self._engine.session
        before = self._engine.lab.steps[: self._engine.lab.steps.index(step)]
        return tuple(s for s in before if s.checks and session.record(s.id).state is not StepState.PASSED)

    @property
    def can_undo(self) -> bool:
        return self._kept(_UNDO) is not None

    # -- going

    def back(self, step: Step) -> None:
        """To the start of the step. Raises `UsageError` by way of the shell while a command runs."""
        plan = self.plan_back(step)
        if plan is None:
            raise EnvironmentFault("nothing was kept of this step's beginning", hint="it has not been begun yet")
        self._save(_UNDO)
        for block in plan.cleanup:
            self._engine.run_block(step, block, role="cleanup")
        self._checkpoints.restore(self._name(step.id))
        self._engine.build(plan.again)
        for later in self._from(step)[1:]:
            shutil.rmtree(self._place(later.id), ignore_errors=True)
        for step_id in plan.reopened:
            self._engine.tell(events.StepReset(at=time.time(), step=step_id))
        self._engine.tell(events.StepEntered(at=time.time(), step=step.id))

    def jump(self, step: Step, solve: Callable[[Step], bool]) -> None:
        """To the start of a later step: `solve` does each one before it and says whether it passed."""
        wanted = self.ahead_of(step)
        self._save(_UNDO)
        for before in wanted:
            self._engine.enter(before)
            if not solve(before):
                raise StepNotReached(
                    f"the solution of '{before.title}' did not make its checks pass",
                    hint="you are there now; going back undoes the jump",
                )
        self._engine.enter(step)

    def undo(self) -> str:
        """Put back what was there before the last `back` or `jump`; the id of the step where the learner was."""
        kept = self._kept(_UNDO)
        if kept is None:
            raise EnvironmentFault("there is nothing to undo")
        self._checkpoints.restore(self._name(_UNDO))
        states = kept["states"]
        assert isinstance(states, dict)
        for step in self._engine.lab.steps:
            state = str(states.get(step.id, StepState.OPEN))
            if str(self._engine.session.record(step.id).state) != state:
                self._engine.tell(events.StepStateChanged(at=time.time(), step=step.id, state=state))
        at = str(kept["at"])
        if at:
            self._engine.tell(events.StepEntered(at=time.time(), step=at))
        shutil.rmtree(self._place(_UNDO), ignore_errors=True)
        return at

    def _passed_before(self, step: Step) -> Sequence[Step]:
        before = self._engine.lab.steps[: self._engine.lab.steps.index(step)]
        return [s for s in before if self._engine.session.record(s.id).state is StepState.PASSED]

    def _from(self, step: Step) -> Sequence[Step]:
        return self._engine.lab.steps[self._engine.lab.steps.index(step) :]


def _untouched(record: StepRecord) -> bool:
    return not record.blocks and not record.typed and record.state is StepState.OPEN
