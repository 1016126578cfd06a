"""`labrunner progress`: what you have done, per lab."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from labrunner.errors import ExitCode

if TYPE_CHECKING:
    from labrunner.run.session import Progress

_EXAMPLE = """\
examples:
  labrunner progress
  labrunner progress apim-istio      its steps one by one
  labrunner progress --json
"""
_SIGNS = {"passed": "done", "skipped": "skipped", "regressed": "done, and undone since", "current": "you are here"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lab", metavar="LAB", nargs="?", help="only this lab, step by step")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    from labrunner.run.session import all_progress

    found = [p for p in all_progress() if not args.lab or p.lab == args.lab]
    steps = {p.lab: _steps(p.lab) for p in found}
    if args.json:
        sys.stdout.write(json.dumps({"sessions": [_as_json(p, steps[p.lab]) for p in found]}, indent=2) + "\n")
    elif not found:
        if args.lab:
            from labrunner.lab.content import find_lab

            find_lab(args.lab)  # an id that is none is an error with the nearest one
        sys.stdout.write(f"you have not begun {args.lab or 'any lab'} yet\n")
    else:
        _print(found, steps, detailed=bool(args.lab))
    return ExitCode.OK


def _steps(lab_id: str) -> dict[str, str] | None:
    """Step id -> title in the lab's order; None when the lab is not there any more or is invalid."""
    from labrunner.errors import LabrunnerError
    from labrunner.lab.content import find_lab
    from labrunner.lab.loader import examine

    try:
        lab = examine(find_lab(lab_id)).lab
    except LabrunnerError:
        return None
    return None if lab is None else {step.id: step.title for step in lab.steps}


def _passed(progress: Progress, steps: dict[str, str] | None) -> int:
    return sum(state == "passed" for step, state in progress.states.items() if steps is None or step in steps)


def _as_json(progress: Progress, steps: dict[str, str] | None) -> dict[str, Any]:
    return {
        "lab": progress.lab,
        "target": progress.target,
        "steps": None if steps is None else len(steps),
        "passed": _passed(progress, steps),
        "current": progress.current or None,
        "states": {step: state for step, state in progress.states.items() if steps is None or step in steps},
        "attempts": progress.attempts,
        "hints": progress.hints,
        "started": _time(progress.started_at),
        "updated": _time(progress.updated_at),
    }


def _print(found: list[Progress], steps: dict[str, dict[str, str] | None], *, detailed: bool) -> None:
    rows = [("LAB", "TARGET", "STEPS", "ATTEMPTS", "HINTS", "LAST")]
    for progress in found:
        of = steps[progress.lab]
        rows.append(
            (
                progress.lab,
                progress.target,
                f"{_passed(progress, of)}/{'?' if of is None else len(of)}",
                str(progress.attempts),
                str(progress.hints),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(progress.updated_at)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, range(len(row)), strict=True)
        line = "  ".join(cell.rjust(width) if at in (2, 3, 4) else cell.ljust(width) for cell, width, at in cells)
        sys.stdout.write(line.rstrip() + "\n")
    for progress in found if detailed else ():
        sys.stdout.write(f"\n{progress.lab} on {progress.target}\n")
        for step, title in (steps[progress.lab] or dict.fromkeys(progress.states, "")).items():
            state = progress.states.get(step, "open")
            sys.stdout.write(f"  {step}: {_SIGNS.get(state, 'open')}" + (f" ({title})" if title else "") + "\n")


def _time(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None
