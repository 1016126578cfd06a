"""`labrunner lint`: everything that is wrong with lab files, compiler style."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from labrunner.errors import ExitCode, UsageError
from labrunner.lab.problem import Problem, in_order

_EXAMPLE = """\
examples:
  labrunner lint                          all labs and reusable checks
  labrunner lint labs/apim-istio          one lab
  labrunner lint --json checks            machine readable

Exit codes: 0 no errors (there may be warnings), 2 errors.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="a lab's folder or id, a lab.yaml, a reusable check, or a folder of them",
    )
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")
    parser.add_argument("--strict", action="store_true", help="count warnings as errors")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    labs, checks = _wanted(args.paths)
    problems = _examine(labs, checks)
    failed = any(p.is_error or args.strict for p in problems)
    if args.json:
        document = {
            "labs": len(labs),
            "checks": len(checks),
            "errors": sum(p.is_error for p in problems),
            "warnings": sum(not p.is_error for p in problems),
            "problems": [p.to_json() for p in problems],
        }
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        _print(problems, len(labs), len(checks))
    return ExitCode.USAGE if failed else ExitCode.OK


def _wanted(paths: list[str]) -> tuple[list[Path], list[Path]]:
    """The labs' folders (or files) and reusable checks' files that are meant."""
    from labrunner.lab import content

    if not paths:
        roots = [folder.parent / "checks" for folder in content.lab_folders()]
        checks = [f for root in dict.fromkeys(roots) if os.path.isdir(root) for f in sorted(root.glob("*/*.yaml"))]
        return list(content.lab_directories().values()), checks
    labs: list[Path] = []
    checks = []
    for name in paths:
        path = Path(name)
        if os.path.isdir(path) and not os.path.exists(path / "lab.yaml"):
            found_labs, found_checks = _below(path)
            if not found_labs and not found_checks:
                raise UsageError(f"there are no labs or checks in '{name}'", hint="A lab is a folder with a lab.yaml.")
            labs += found_labs
            checks += found_checks
        elif os.path.isfile(path) and _is_check(path):
            checks.append(path)
        elif os.path.exists(path) and not os.path.isdir(path):
            if path.suffix not in (".yaml", ".yml"):
                raise UsageError(f"'{name}' is no YAML file", hint="Name a lab's folder, or a .yaml file of a lab.")
            labs.append(_lab_of_part(path))
        else:
            labs.append(content.find_lab(name))
    return list(dict.fromkeys(labs)), list(dict.fromkeys(checks))


def _below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Labs and reusable checks in a folder of labs, of checks, or of both."""
    labs = sorted({f.parent for pattern in ("*/lab.yaml", "labs/*/lab.yaml") for f in folder.glob(pattern)})
    candidates = {f for pattern in ("*.yaml", "*/*.yaml", "checks/*/*.yaml") for f in folder.glob(pattern)}
    inside_labs = {f for f in candidates if f.parent in labs}
    return labs, sorted(f for f in candidates - inside_labs if _is_check(f))


def _is_check(path: Path) -> bool:
    """A reusable check says so itself; what cannot be read is taken for one by its place: checks/<system>/<name>."""
    from labrunner.lab.files import Files, text

    root = Files().open(path).root
    kind = text(root, "kind")
    return kind == "Check" if kind else path.parent.parent.name == "checks"


def _lab_of_part(path: Path) -> Path:
    """The lab.yaml that a part's file belongs to; the file itself where there is none."""
    from labrunner.lab.files import Files, text

    if path.name != "lab.yaml" and text(Files().open(path).root, "kind") == "Part":
        for folder in list(path.absolute().parents)[:3]:
            if os.path.isfile(folder / "lab.yaml"):
                return folder
    return path


def _examine(labs: Iterable[Path], checks: Iterable[Path]) -> list[Problem]:
    from labrunner.check.registry import kinds
    from labrunner.lab.loader import examine, examine_check

    problems = [p for lab in labs for p in examine(lab, kinds()).problems]
    problems += [p for check in checks for p in examine_check(check, kinds()).problems]
    return in_order(problems)


def _print(problems: list[Problem], labs: int, checks: int) -> None:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    pretty = sys.stdout.isatty()
    for problem in problems:
        sys.stdout.write(_pretty(problem, colour) if pretty else f"{problem}\n")
    errors = sum(p.is_error for p in problems)
    warnings = len(problems) - errors
    looked = f"{labs} lab{'s' * (labs != 1)} and {checks} reusable check{'s' * (checks != 1)}"
    found = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    sys.stderr.write(f"{looked}: {found if problems else 'no problems'}\n")


_RED, _YELLOW, _BOLD, _DIM, _OFF = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


def _pretty(problem: Problem, colour: bool) -> str:
    """The problem, its source line and a caret below the place."""

    def paint(code: str, text: str) -> str:
        return f"{code}{text}{_OFF}" if colour else text

    place, _, rest = str(problem).partition(f" {problem.severity}: ")
    tone = _RED if problem.is_error else _YELLOW
    lines = [f"{paint(_BOLD, place)} {paint(tone, f'{problem.severity}:')} {rest}"]
    if problem.text.strip():
        line = problem.text.expandtabs(1).rstrip()
        start = max(0, problem.position.column - 1 - 60)
        number = f"{problem.position.line:5} | "
        lines.append(paint(_DIM, number) + line[start : start + 110])
        lines.append(" " * (len(number) + problem.position.column - 1 - start) + paint(tone, "^"))
    return "\n".join(lines) + "\n"
