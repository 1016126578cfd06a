"""`labrunner list`: the labs, and how far you are."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from labrunner.errors import ExitCode
from labrunner.lab.model import Lab

_EXAMPLE = """\
examples:
  labrunner list
  labrunner list tls             labs with this word in id, title, summary or tags
  labrunner list --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="WORD", nargs="*", help="only labs that have all these words")
    parser.add_argument("--json", action="store_true", help="print the labs as JSON")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    from labrunner.check.registry import kinds
    from labrunner.lab.catalogue import read_catalogue

    catalogue = read_catalogue(kinds())
    labs = [lab for lab in catalogue.labs if _has(lab, args.words)]
    progress = {lab.id: steps_done(lab) for lab in labs}
    if args.json:
        document = {
            "labs": [_as_json(lab, progress[lab.id]) for lab in labs],
            "invalid": [
                {"id": b.id, "directory": str(b.directory), "errors": len(b.problems)} for b in catalogue.broken
            ],
        }
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        _print(labs, progress, args.words)
    for broken in catalogue.broken:
        count = len(broken.problems)
        sys.stderr.write(f"{broken.id}: {count} error{'s' * (count != 1)}; see `labrunner lint {broken.directory}`\n")
    return ExitCode.OK


def _has(lab: Lab, words: list[str]) -> bool:
    text = " ".join((lab.id, lab.title, lab.summary, lab.level, *lab.tags)).casefold()
    return all(word.casefold() in text for word in words)


def steps_done(lab: Lab, targets: tuple[str, ...] = ("sandbox", "live")) -> int:
    """Steps of the lab that the learner has passed, on the target where they got furthest."""
    from labrunner.run.session import StepState, progress

    steps = {step.id for step in lab.steps}
    sessions = [found for target in targets if (found := progress(lab.id, target)) is not None]
    return max(
        (sum(state == StepState.PASSED for step, state in s.states.items() if step in steps) for s in sessions),
        default=0,
    )


def _as_json(lab: Lab, done: int) -> dict[str, Any]:
    return {
        "id": lab.id,
        "title": lab.title,
        "summary": lab.summary,
        "level": lab.level,
        "minutes": lab.minutes,
        "tags": list(lab.tags),
        "steps": len(lab.steps),
        "done": done,
        "directory": str(lab.directory),
    }


def _print(labs: list[Lab], progress: dict[str, int], words: list[str]) -> None:
    if not labs:
        sys.stderr.write(f"no lab has {' and '.join(words)}\n" if words else "there are no labs\n")
        return
    rows = [("LAB", "LEVEL", "MINUTES", "STEPS", "TITLE")]
    for lab in labs:
        done, steps = progress[lab.id], len(lab.steps)
        rows.append((lab.id, lab.level, str(lab.minutes), f"{done}/{steps}", lab.title))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [
            cell.rjust(width) if column in (2, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row[:4], widths, strict=True))
        ]
        sys.stdout.write("  ".join([*cells, row[4]]).rstrip() + "\n")
