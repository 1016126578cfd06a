"""Proves a lab, step by step, on a world of its own.

For each step: its checks fail before it is done; each of its mistakes is caught by the check it names and yields the
hint it names, in a world that is put back afterwards; the solution runs; the checks pass; the solution again changes
nothing of that. At the end the cleanup of all steps and of the lab leaves nothing: no object, no file, no process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from labrunner.check.result import CheckResult, CheckStatus
from labrunner.errors import ExitCode, LabrunnerError
from labrunner.lab.model import Block, Check, Lab, Mistake, Step
from labrunner.run import events, hints
from labrunner.run.engine import Attempt, Engine, Listener, SetupFailed
from labrunner.run.events import BlockFinished, Event
from labrunner.run.going_back import blocks_before
from labrunner.run.plain_text import shortened
from labrunner.run.proofs import LabReport, Proof, ProofStatus, Verdict
from labrunner.run.waiting import wait_for
from labrunner.run.world import Checkpoints, Inventory, left_over, take_inventory
from labrunner.target.base import Target

OUTPUT_KEPT = 8_192
"""Characters of output that a proof carries."""
CATCH_WITHIN = 10.0
"""Seconds within which a mistake must be caught, at most."""


class Stopped(Exception):
    """The validation was interrupted or its time is over."""


class LabValidation:
    """One lab, proven once. `steps`: ids of the steps to prove; those before them are only solved. Not reusable."""

    def __init__(
        self,
        lab: Lab,
        target: Target,
        directory: Path,
        *,
        steps: Collection[str] | None = None,
        environment: dict[str, str] | None = None,
        time_limit: float = 600.0,
        listener: Listener | None = None,
    ) -> None:
        self._lab = lab
        self._target = target
        self._proven = set(s.id for s in lab.steps) if steps is None else set(steps)
        self._engine = Engine(lab, target, directory=directory, environment=environment, headless=True)
        self._listener = listener
        self._deadline = time.monotonic() + time_limit
        self._time_limit = time_limit
        self._cancelled = False
        self._ran: list[str] = []
        self._commands: dict[str, str] = {}
        self._report = LabReport(lab, target.name, time.time())

    def cancel(self) -> None:
        """End it from another thread, with every process it started."""
        self._cancelled = True
        self._engine.close("interrupted")

    def run(self) -> LabReport:
        """All proofs. Never raises for what the lab or its world does; `Stopped` when `cancel` was called."""
        started = time.monotonic()
        self._engine.subscribe(self._hear)
        try:
            before = self._set_up()
            if before is not None:
                solved = self._prove_steps()
                self._prove("", "cleanup", lambda: self._cleanup(before, solved))
        except Stopped:
            if self._cancelled:
                raise
            message = f"the lab was not proven within {self._time_limit:.0f} s"
            self._add("", "time limit", Verdict(ProofStatus.TIMEOUT, message), 0.0)
        except LabrunnerError as error:
            if self._cancelled:
                raise Stopped from error
            self._add("", "session", _from_error(error), 0.0)
        finally:
            self._engine.close("finished")
            self._report.seconds = time.monotonic() - started
        return self._report

    # -- the proofs

    def _set_up(self) -> Inventory | None:
        found: list[Inventory] = []

        def start() -> Verdict:
            self._engine.start(set_up=False)
            found.append(take_inventory(self._engine))
            try:
                self._engine.set_up()
            except SetupFailed as failed:
                return _bad_block(failed.block, failed.finished, "setup")
            return Verdict(ProofStatus.PASSED, "the setup ran")

        verdict = self._prove("", "setup", start)
        return found[0] if verdict.status is ProofStatus.PASSED else None

    def _prove_steps(self) -> list[Step]:
        """Returns the steps that were begun, whose cleanup is to run."""
        begun: list[Step] = []
        broken = ""
        steps = self._lab.steps
        last = max((i for i, step in enumerate(steps) if step.id in self._proven), default=-1)
        for step in steps[: last + 1]:
            if broken:
                if step.id in self._proven:
                    self._skip(step, f"step '{broken}', which comes before, is not done")
                continue
            begun.append(step)
            self._engine.enter(step)
            done = self._prove_step(step) if step.id in self._proven else self._only_solve(step)
            if not done:
                broken = step.id
        return begun

    def _prove_step(self, step: Step) -> bool:
        """Whether the step is done at the end, so that the next can build on it."""
        self._prove(step.id, "fails-before", lambda: self._fails_before(step))
        self._answer(step)
        if step.mistakes:
            self._prove_mistakes(step)
        if self._prove(step.id, "solution", lambda: self._solution(step)).status is not ProofStatus.PASSED:
            for proof in ("passes-after", "idempotent"):
                self._add(step.id, proof, Verdict(ProofStatus.SKIPPED, "the solution did not run"), 0.0)
            return False
        if self._prove(step.id, "passes-after", lambda: self._passes(step)).status is not ProofStatus.PASSED:
            self._add(step.id, "idempotent", Verdict(ProofStatus.SKIPPED, "the checks do not pass"), 0.0)
            return False
        self._prove(step.id, "idempotent", lambda: self._idempotent(step))
        return True

    def _prove_mistakes(self, step: Step) -> None:
        checkpoints = Checkpoints(self._engine)
        name = f"before-{step.id}"
        can: list[bool] = []
        saved = self._guard(lambda: can.append(checkpoints.save(name)))
        for mistake in step.mistakes:
            if saved is not None:
                self._add(step.id, f"mistake:{mistake.id}", saved, 0.0)
                continue
            self._prove(step.id, f"mistake:{mistake.id}", lambda m=mistake: self._mistake(step, m))  # type: ignore[misc]
            restored = self._guard(lambda: self._put_back(checkpoints, name, step, can[0]))
            if restored is not None:
                self._add(step.id, f"mistake:{mistake.id}:undo", restored, 0.0)

    def _put_back(self, checkpoints: Checkpoints, name: str, step: Step, can: bool) -> None:
        again: Sequence[Block] = ()
        if not can and step.cleanup:
            self._engine.clean_up(step)
            again = blocks_before(self._lab, self._lab.steps[: self._lab.steps.index(step)])
        checkpoints.restore(name)
        self._engine.build(again)

    def _only_solve(self, step: Step) -> bool:
        self._answer(step)
        verdict = self._timed("", "", lambda: self._solution(step))[0]
        if verdict.status is ProofStatus.PASSED:
            attempt = self._engine.check(step)
            verdict = _first_bad(step, attempt, "after its solution")
        if verdict.status is not ProofStatus.PASSED:
            self._add(step.id, "solution", verdict, 0.0)
        return verdict.status is ProofStatus.PASSED

    def _fails_before(self, step: Step) -> Verdict:
        if not step.checks:
            return Verdict(ProofStatus.SKIPPED, "the step has no checks")
        attempt = self._engine.check(step, wait=False)
        for check, result in zip(step.checks, attempt.results, strict=True):
            if result.status is CheckStatus.ERROR:
                return _from_result(check, result, "cannot be asked before the step is done")
            if result.passed and not check.already:
                return Verdict(
                    ProofStatus.FAILED, f"check '{check.id}' passes before the step is done, so it proves nothing",
                    check.id, "a failure (or `already:` with the reason)", result.summary, "", check.position,
                )  # fmt: skip
        return Verdict(ProofStatus.PASSED, "the checks fail before the step is done")

    def _mistake(self, step: Step, mistake: Mistake) -> Verdict:
        for block in mistake.blocks:
            finished = self._engine.run_block(step, block, role="mistake")
            if finished.outcome not in ("ok", "started"):
                return _bad_block(block, finished, f"mistake '{mistake.id}'")
        longest = max((check.wait for check in step.checks), default=0.0)

        def results() -> tuple[CheckResult, ...]:
            return self._engine.check(step, wait=False).results

        def caught(found: tuple[CheckResult, ...]) -> bool:
            failed = any(r.check_id == mistake.caught_by and r.status is CheckStatus.FAILED for r in found)
            return failed and (hints.next_hint(step, found, ()) or ("", ""))[0] == mistake.hint

        found = wait_for(results, caught, timeout=min(longest, CATCH_WITHIN)).last
        by = next(result for result in found if result.check_id == mistake.caught_by)
        check = step.check(mistake.caught_by)
        if check is not None and by.status is CheckStatus.ERROR:
            return _from_result(check, by, f"cannot be asked after the mistake '{mistake.id}'")
        if by.status is not CheckStatus.FAILED:
            return Verdict(
                ProofStatus.FAILED, f"check '{by.check_id}' does not catch the mistake '{mistake.id}'",
                by.check_id, "a failure", by.summary, "", mistake.position,
            )  # fmt: skip
        shown = hints.next_hint(step, found, ())
        if shown is None or shown[0] != mistake.hint:
            seen = "; ".join(f"{f.reason}: {f.message} {f.observed}".strip() for f in by.findings)
            return Verdict(
                ProofStatus.FAILED, f"the mistake '{mistake.id}' does not yield the hint it names",
                by.check_id, f"hint '{mistake.hint}'",
                (f"hint '{shown[0]}'" if shown else "no hint") + f" for {seen}", "", mistake.position,
            )  # fmt: skip
        return Verdict(ProofStatus.PASSED, f"check '{by.check_id}' catches it, hint '{mistake.hint}' appears")

    def _solution(self, step: Step, again: str = "") -> Verdict:
        if not step.solution:
            return Verdict(ProofStatus.PASSED, "the step needs no commands")
        for block in step.solution:
            if block.interactive:
                return Verdict(
                    ProofStatus.FAILED, f"the solution's block '{block.id}' needs someone at the keyboard",
                    expected="a block that runs by itself", observed="interactive: true", position=block.position,
                )  # fmt: skip
        finished = self._engine.solve(step)
        for block, run in zip(step.solution, finished, strict=False):
            if run.outcome not in ("ok", "started"):
                return _bad_block(block, run, f"the solution{again}")
        return Verdict(ProofStatus.PASSED, f"the solution ran{again}")

    def _passes(self, step: Step, when: str = "after the solution") -> Verdict:
        return _first_bad(step, self._engine.check(step), when)

    def _idempotent(self, step: Step) -> Verdict:
        verdict = self._solution(step, " a second time")
        if verdict.status is not ProofStatus.PASSED:
            return verdict
        return self._passes(step, "after the solution ran a second time")

    def _cleanup(self, before: Inventory, steps: Iterable[Step]) -> Verdict:
        blocks: dict[str, Block] = {}
        finished: list[BlockFinished] = []
        for step in reversed(list(steps)):
            blocks.update({b.id: b for b in step.cleanup})
            finished += self._engine.clean_up(step)
        blocks.update({b.id: b for b in self._lab.cleanup})
        finished += self._engine.clean_up()
        for run in finished:
            if run.outcome not in ("ok", "started"):
                return _bad_block(blocks[run.block], run, "the cleanup")
        left = left_over(self._engine, before)
        if left:
            shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
            return Verdict(
                ProofStatus.FAILED, f"the cleanup leaves {len(left)} thing{'s' * (len(left) > 1)} behind",
                expected="what was there before the setup", observed=shown,
            )  # fmt: skip
        return Verdict(ProofStatus.PASSED, "the cleanup leaves nothing behind")

    # -- how proofs are made and told

    def _prove(self, step: str, proof: str, make: Callable[[], Verdict]) -> Verdict:
        verdict, seconds = self._timed(step, proof, make)
        return self._add(step, proof, verdict, seconds)

    def _timed(self, step: str, proof: str, make: Callable[[], Verdict]) -> tuple[Verdict, float]:
        if self._cancelled or time.monotonic() > self._deadline:
            raise Stopped
        self._ran.clear()
        started = time.monotonic()
        try:
            verdict = make()
        except LabrunnerError as error:
            verdict = _from_error(error)
        if self._cancelled:
            raise Stopped
        if verdict.status is ProofStatus.FAILED:
            verdict = self._world_gone() or verdict
        return verdict, time.monotonic() - started

    def _guard(self, work: Callable[[], object]) -> Verdict | None:
        try:
            work()
        except LabrunnerError as error:
            if self._cancelled:
                raise Stopped from error
            return _from_error(error)
        return None

    def _world_gone(self) -> Verdict | None:
        """A failure is none of the lab's when the target cannot be reached any more."""
        if "kubernetes" not in self._target.features:
            return None
        return self._guard(lambda: self._target.kube().get("v1", "Namespace", "default"))

    def _skip(self, step: Step, reason: str) -> None:
        mistakes = [f"mistake:{mistake.id}" for mistake in step.mistakes]
        for proof in ("fails-before", *mistakes, "solution", "passes-after", "idempotent"):
            self._add(step.id, proof, Verdict(ProofStatus.SKIPPED, reason), 0.0)

    def _add(self, step: str, proof: str, verdict: Verdict, seconds: float) -> Verdict:
        redactor = self._engine.redactor
        output = shortened("\n".join(self._ran), OUTPUT_KEPT)
        made = Proof(step, proof, redactor.value(verdict), seconds, redactor.text(output))
        self._ran.clear()
        self._report.proofs.append(made)
        if self._listener is not None:
            self._listener(
                events.ProofFinished(
                    at=time.time(), step=step, proof=proof, status=str(verdict.status), message=made.verdict.message,
                    detail=made.detail, seconds=seconds,
                )
            )  # fmt: skip
        return verdict

    def _hear(self, event: Event) -> None:
        if isinstance(event, events.BlockStarted):
            self._commands[event.block] = event.command
        elif isinstance(event, BlockFinished):
            command = self._commands.get(event.block, "").rstrip()
            ended = f"[exit {event.exit}]" if event.exit is not None else f"[{event.outcome}]"
            self._ran.append(f"$ {command}\n{event.output.rstrip()}\n{ended}".replace("\n\n[", "\n["))
        if self._listener is not None:
            self._listener(event)

    def _answer(self, step: Step) -> None:
        for check in step.checks:
            answer = right_answer(check)
            if answer is not None:
                self._engine.answer(step, check.id, answer)


def right_answer(check: Check) -> str | None:
    """An answer that a quiz must take; None for other kinds."""
    if check.kind != "quiz":
        return None
    given = check.params.get("answer")
    answers = [str(a) for a in given] if isinstance(given, list | tuple) else [] if given is None else [str(given)]
    choices = [str(c.get("text", "")) if isinstance(c, dict) else str(c) for c in check.params.get("choices", ())]
    if not choices:
        return answers[0] if answers else ""
    return ", ".join(str(choices.index(a) + 1) if a in choices else a for a in answers)


def _bad_block(block: Block, finished: BlockFinished, what: str) -> Verdict:
    observed = {
        "unexpected-exit": f"exit {finished.exit}",
        "unexpected-output": "other output",
        "timeout": f"no end within {block.timeout:.0f} s",
        "not-run": "bash refuses its syntax",
        "shell-died": "the shell ended",
        "interrupted": "it was interrupted",
    }.get(finished.outcome, finished.outcome)
    expected = f"exit {block.expect.exit}"
    if finished.outcome == "unexpected-output":
        expected = f"output that matches {block.expect.output!r}"
    last = [line for line in finished.output.strip().splitlines() if line.strip()]
    said = f": {last[-1].strip()}" if last else ""
    status = ProofStatus.TIMEOUT if finished.outcome == "timeout" else ProofStatus.FAILED
    return Verdict(
        status, f"block '{block.id}' of {what}: {observed}{said}", "", expected, observed,
        f"block '{block.id}'", block.position,
    )  # fmt: skip


def _first_bad(step: Step, attempt: Attempt, when: str) -> Verdict:
    """Passed when all checks did, but for quizzes whose answer the lab does not say (only a pattern)."""
    bad = [
        (check, result)
        for check, result in zip(step.checks, attempt.results, strict=True)
        if not result.passed and right_answer(check) != ""
    ]
    if not bad:
        return Verdict(ProofStatus.PASSED, f"the checks pass {when}")
    bad.sort(key=lambda pair: pair[1].status is not CheckStatus.FAILED)
    verdict = _from_result(*bad[0], f"does not pass {when}")
    if len(bad) > 1:
        more = ", ".join(f"'{check.id}'" for check, _ in bad[1:])
        verdict = Verdict(
            verdict.status, f"{verdict.message} (nor do {more})", verdict.check, verdict.expected, verdict.observed,
            verdict.where, verdict.position,
        )  # fmt: skip
    return verdict


def _from_result(check: Check, result: CheckResult, what: str) -> Verdict:
    status = ProofStatus.FAILED if result.status is CheckStatus.FAILED else ProofStatus.ERROR
    finding = result.findings[0] if result.findings else None
    return Verdict(
        status, f"check '{check.id}' {what}: {result.summary}", check.id,
        finding.expected if finding else "", finding.observed if finding else "", finding.where if finding else "",
        check.position,
    )  # fmt: skip


def _from_error(error: LabrunnerError) -> Verdict:
    status = ProofStatus.TIMEOUT if error.exit_code is ExitCode.TIMEOUT else ProofStatus.ERROR
    return Verdict(status, error.message, observed=error.hint)
