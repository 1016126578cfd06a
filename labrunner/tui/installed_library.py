"""`Library` over the labs on this machine, the sessions of this user, and the real engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labrunner.errors import UsageError
from labrunner.lab.model import Lab
from labrunner.lab.trust import is_trusted, trust
from labrunner.run.session import Progress, StepState, progress
from labrunner.target.base import Target
from labrunner.tui.library import Entry, Opening, Options


class InstalledLibrary:
    """Reads and imports late: the first frame waits for nothing here."""

    def entries(self) -> Sequence[Entry]:
        from labrunner.check.registry import kinds
        from labrunner.lab.catalogue import read_catalogue

        catalogue = read_catalogue(kinds())
        labs = {lab.id: lab for lab in catalogue.labs}
        sessions = {lab_id: _best(lab_id) for lab_id in labs}
        finished = {lab.id for lab in catalogue.labs if _finished(lab, sessions[lab.id])}
        entries = [self._entry(lab, sessions[lab.id], labs, finished) for lab in _in_order(labs)]
        broken = [
            Entry(b.id, None, problem="\n".join(str(problem) for problem in b.problems[:5])) for b in catalogue.broken
        ]
        return [*entries, *broken]

    @staticmethod
    def _entry(lab: Lab, session: Progress | None, labs: dict[str, Lab], finished: set[str]) -> Entry:
        missing = tuple(
            labs[needed].title if needed in labs else needed for needed in lab.requires.labs if needed not in finished
        )
        return Entry(lab.id, lab, _done(lab, session), session is not None, lab.id in finished, missing)

    def trusted(self, lab: Lab) -> bool:
        from labrunner.tui.tour import is_tour

        return is_tour(lab) or is_trusted(lab)

    def trust(self, lab: Lab) -> None:
        trust(lab)

    def tour(self, key: Callable[[str], str]) -> Lab:
        from labrunner.tui.tour import tour_lab

        return tour_lab(key)

    def open(self, lab: Lab, options: Options, *, takeover: bool = False, look_on: bool = False) -> Opening:
        if look_on:
            from labrunner.tui.looking_on import LookingOn

            return Opening(LookingOn(lab, options.target), options, read_only=True)
        if options.target == "shell":
            from labrunner.tui.tour import TourEngine

            return Opening(TourEngine(lab), options)
        from labrunner.run.engine import Engine

        return Opening(Engine(lab, _target(options), take_over=takeover, record=options.record), options)


def _target(options: Options) -> Target:
    if options.target == "live":
        from labrunner.target.live import LiveTarget

        return LiveTarget(options.context or "")
    if options.target == "sandbox":
        from labrunner.target.sandbox import SandboxTarget

        return SandboxTarget()
    raise UsageError(f"there is no target '{options.target}'", hint="targets: sandbox, live")


def _best(lab_id: str) -> Progress | None:
    """The session in which the learner came furthest."""
    sessions = [found for target in ("sandbox", "live") if (found := progress(lab_id, target)) is not None]
    return max(sessions, key=lambda session: session.passed, default=None)


def _done(lab: Lab, session: Progress | None) -> int:
    states = session.states if session else {}
    return sum(states.get(step.id) in (StepState.PASSED, StepState.SKIPPED) for step in lab.steps)


def _finished(lab: Lab, session: Progress | None) -> bool:
    return session is not None and _done(lab, session) == len(lab.steps)


def _in_order(labs: dict[str, Lab]) -> list[Lab]:
    """Prerequisites before what needs them, easier before harder."""
    levels = {"beginner": 0, "intermediate": 1, "advanced": 2}
    ordered: dict[str, Lab] = {}

    def add(lab: Lab, above: frozenset[str]) -> None:
        for needed in lab.requires.labs:
            if needed in labs and needed not in above and needed not in ordered:
                add(labs[needed], above | {lab.id})
        ordered.setdefault(lab.id, lab)

    for lab in sorted(labs.values(), key=lambda lab: (levels.get(lab.level, 3), lab.title)):
        add(lab, frozenset())
    return list(ordered.values())
