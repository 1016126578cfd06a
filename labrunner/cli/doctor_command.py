"""`labrunner doctor`: what this machine has and lacks, per lab and target, and how to get it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from labrunner.errors import ExitCode

if TYPE_CHECKING:
    from labrunner.target.machine import Fact

_EXAMPLE = """\
examples:
  labrunner doctor
  labrunner doctor apim-istio      also what this lab needs
  labrunner doctor --json

exit status: 0 when nothing is missing, 3 otherwise
"""
_MARKS = {"ok": "✔", "warn": "!", "missing": "✘"}
_PLAIN_MARKS = {"ok": "ok     ", "warn": "warn   ", "missing": "missing"}
_COLOURS = {"ok": "32", "warn": "33", "missing": "31"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("labs", metavar="LAB", nargs="*", help="also look at what these labs need")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--no-sandbox", action="store_true", help="do not try to start a sandbox")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    from labrunner.target import machine

    labs = [_lab_needs(name) for name in args.labs]
    facts = machine.general_facts()
    if not args.no_sandbox:
        facts.append(machine.sandbox_fact(_start_and_stop))
    for lab_id, tools, features in labs:
        facts += machine.lab_facts(lab_id, tools, features, _sandbox_features(), dict(os.environ))
    if args.json:
        sys.stdout.write(machine.to_json(facts) + "\n")
    else:
        _print(facts)
    lacking = [f for f in facts if f.verdict is machine.Verdict.MISSING]
    return ExitCode.ENVIRONMENT if lacking else ExitCode.OK


def _lab_needs(name: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """(id, tools, features) of a lab. Raises UsageError for one that there is not."""
    from labrunner.check.registry import kinds
    from labrunner.lab.content import find_lab
    from labrunner.lab.loader import load_lab

    lab = load_lab(find_lab(name), kinds())
    return lab.id, lab.requires.tools, lab.requires.features


def _sandbox_features() -> frozenset[str]:
    from labrunner.target.sandbox import sandbox_features

    return sandbox_features()


def _start_and_stop() -> None:
    """Bring a sandbox up in a temporary directory and take it down again."""
    import tempfile
    from pathlib import Path

    from labrunner.errors import EnvironmentFault
    from labrunner.sandbox.instance import Sandbox

    try:
        with tempfile.TemporaryDirectory(prefix="labrunner-doctor-") as directory:
            sandbox = Sandbox("doctor", Path(directory) / "sandbox")
            try:
                sandbox.start(owned=True, instant=True)
            finally:
                sandbox.destroy()
    except OSError as error:
        raise EnvironmentFault(
            f"{error.strerror or error}", hint="Is there room in the temporary directory?"
        ) from error


def _print(facts: list[Fact]) -> None:
    width = max(len(fact.name) for fact in facts)
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for fact in facts:
        mark = (_MARKS if unicode and sys.stdout.isatty() else _PLAIN_MARKS)[fact.verdict.value]
        if colour:
            mark = f"\x1b[{_COLOURS[fact.verdict.value]}m{mark}\x1b[0m"
        sys.stdout.write(f"{mark} {fact.name.ljust(width)}  {fact.detail}\n")
        if fact.remedy:
            indent = 2 if unicode and sys.stdout.isatty() else 8
            sys.stdout.write(f"{' ' * (indent + width + 2)}-> {fact.remedy}\n")
    missing = sum(fact.verdict.value == "missing" for fact in facts)
    if missing:
        sys.stderr.write(f"{missing} missing: labrunner cannot do all of its work here\n")
