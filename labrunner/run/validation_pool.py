"""Validates many labs: which steps, on how many worlds at once, and what happens when it is interrupted."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from labrunner.errors import EnvironmentFault, UsageError
from labrunner.lab.model import Lab
from labrunner.run import processes
from labrunner.run.events import Event
from labrunner.run.proofs import LabReport, ProofStatus
from labrunner.run.validation import LabValidation, Stopped
from labrunner.target.base import Target

_PREFIX = "labrunner-validate-"
_LOG_LINES = 20
MakeTarget = Callable[[Path], Target]
"""Makes a target of its own for one validation; the folder is its to use and is deleted afterwards."""
Hear = Callable[["Unit", Event], None]
Done = Callable[["Unit", LabReport], None]


@dataclass(frozen=True)
class Unit:
    """What one world is used for: these steps of this lab."""

    lab: Lab
    steps: tuple[str, ...]


def plan(labs: Sequence[Lab], *, step: str = "", shard: str = "", jobs: int = 1) -> list[Unit]:
    """The units, in order. Raises `UsageError` for a step or shard that is none.

    A shard `I/N` takes every N-th step of all labs, from the I-th. With more jobs than labs, long labs are cut into
    runs of steps; each solves the steps before its own without proving them.
    """
    chosen: dict[str, list[str]] = {lab.id: [s.id for s in lab.steps] for lab in labs}
    if step:
        chosen = {lab.id: [step] for lab in labs if lab.step(step) is not None}
        if not chosen:
            known = ", ".join(s.id for lab in labs for s in lab.steps)
            raise UsageError(f"there is no step '{step}'", hint=f"steps: {known}")
    if shard:
        index, count = _shard(shard)
        every = [(lab_id, step_id) for lab_id, steps in chosen.items() for step_id in steps]
        mine = set(every[index - 1 :: count])
        chosen = {lab_id: [s for s in steps if (lab_id, s) in mine] for lab_id, steps in chosen.items()}
    units: list[Unit] = []
    with_steps = [lab for lab in labs if chosen.get(lab.id)]
    for lab in with_steps:
        steps = chosen[lab.id]
        pieces = min(max(1, jobs // len(with_steps)), len(steps))
        size = -(-len(steps) // pieces)
        units += [Unit(lab, tuple(steps[at : at + size])) for at in range(0, len(steps), size)]
    return units


class ValidationPool:
    """Runs units, `jobs` at once, each with a directory and a target of its own that are gone afterwards."""

    def __init__(
        self,
        make_target: MakeTarget,
        *,
        jobs: int = 1,
        time_limit: float = 600.0,
        environment: Mapping[str, str] | None = None,
        hear: Hear | None = None,
        done: Done | None = None,
    ) -> None:
        self._make_target = make_target
        self._jobs = max(1, jobs)
        self._time_limit = time_limit
        self._environment = dict(os.environ if environment is None else environment)
        self._hear = hear
        self._done = done
        self._running: set[LabValidation] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, units: Sequence[Unit]) -> list[LabReport]:
        """Reports in the order of `units`, merged by lab. `KeyboardInterrupt` ends everything before it goes on."""
        try:
            _sweep()
            base = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        except OSError as error:
            raise EnvironmentFault(
                f"cannot make a temporary directory: {error.strerror}", hint="set TMPDIR to a place with space"
            ) from error
        finished: dict[int, LabReport] = {}
        pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="labrunner-validate")
        futures = {pool.submit(self._one, unit, base / str(number)): number for number, unit in enumerate(units)}
        pending = set(futures)
        try:
            while pending:
                # With a time-out the main thread hears signals between two looks.
                ready, pending = wait(pending, timeout=0.2, return_when="FIRST_COMPLETED")
                for future in ready:
                    report = future.result()
                    if report is not None:
                        finished[futures[future]] = report
        finally:
            self._stop()
            pool.shutdown(wait=True, cancel_futures=True)
            shutil.rmtree(base, ignore_errors=True)
        return _merged([finished[number] for number in sorted(finished)])

    def _one(self, unit: Unit, directory: Path) -> LabReport | None:
        home = directory / "home"
        home.mkdir(parents=True)
        validation = LabValidation(
            unit.lab,
            self._make_target(directory),
            directory / "session",
            steps=unit.steps,
            environment={**self._environment, "HOME": str(home), "PAGER": "cat", "GIT_PAGER": "cat"},
            time_limit=self._time_limit,
            listener=lambda event: self._hear(unit, event) if self._hear else None,
        )
        with self._lock:
            if self._stopped:
                return None
            self._running.add(validation)
        try:
            report = validation.run()
        except Stopped:
            return None
        finally:
            with self._lock:
                self._running.discard(validation)
        _attach_logs(report, directory)
        if self._done is not None:
            self._done(unit, report)
        return report

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for validation in running:
            validation.cancel()


def _attach_logs(report: LabReport, directory: Path) -> None:
    """The world's logs go with its folder: what ended in an error keeps their last lines."""
    broken = [at for at, proof in enumerate(report.proofs) if proof.status is ProofStatus.ERROR]
    if not broken:
        return
    tails = []
    for log in sorted(directory.glob("*/*.log")):
        with contextlib.suppress(OSError):
            lines = log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
            tails.append("\n".join([f"{log.name}:", *lines]))
    proof = report.proofs[broken[0]]
    report.proofs[broken[0]] = replace(proof, output="\n".join(part for part in (proof.output, *tails) if part))


def _sweep() -> None:
    """Delete what validations that were killed left: they hold keys of their sandboxes."""
    for place in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = place.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not processes.alive(int(pid)):
            for session in place.glob("*/session"):
                processes.end(str(session))
            shutil.rmtree(place, ignore_errors=True)


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"'{text}' is not a shard", hint="write I/N with I from 1 to N, such as --shard 2/3")
    return int(match[1]), int(match[2])


def _merged(reports: Sequence[LabReport]) -> list[LabReport]:
    """One report per lab: the pieces of a lab that was cut are put together again."""
    by_lab: dict[str, LabReport] = {}
    for report in reports:
        first = by_lab.get(report.lab.id)
        if first is None:
            by_lab[report.lab.id] = report
        else:
            end = max(first.started + first.seconds, report.started + report.seconds)
            first.started = min(first.started, report.started)
            first.seconds = end - first.started
            first.proofs += report.proofs
    return list(by_lab.values())
