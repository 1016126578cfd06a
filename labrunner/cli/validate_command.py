"""`labrunner validate`: prove labs headless, with reports for people, scripts and CI."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from labrunner.errors import EnvironmentFault, ExitCode, UsageError

if TYPE_CHECKING:
    from labrunner.lab.model import Lab
    from labrunner.run.proofs import LabReport
    from labrunner.run.validation_pool import MakeTarget
    from labrunner.target.base import Target

_EXAMPLE = """\
examples:
  labrunner validate                                  every lab
  labrunner validate apim-istio                       one lab, on a sandbox of its own
  labrunner validate apim-istio --step authority      one step; those before it are only solved
  labrunner validate --jobs 2 --junit out.xml         two at once, with a report for CI
  labrunner validate --shard 1/3 --json -             a third of all steps, JSON on stdout
  labrunner validate ./my-lab --yes                   a lab of your own in CI: nobody is asked first
  labrunner validate ./my-lab --target live --context kind-kind
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("labs", metavar="LAB", nargs="*", help="a lab's id or its folder; default: all labs")
    parser.add_argument("--target", choices=("sandbox", "live"), default="sandbox", help="default: sandbox")
    parser.add_argument("--context", metavar="NAME", default="", help="the kubeconfig context, for --target live")
    parser.add_argument("--jobs", metavar="N", type=_positive, default=1, help="validate N at once (default: 1)")
    parser.add_argument("--shard", metavar="I/N", default="", help="only every N-th step, from the I-th")
    parser.add_argument("--step", metavar="STEP", default="", help="prove only this step")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_positive, default=600, help="limit per lab (default: 600); exit code 4"
    )
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit report ('-': stdout)")
    parser.add_argument("--json", metavar="FILE", help="write a JSON report ('-': stdout)")
    parser.add_argument(
        "--yes",
        action="store_true",
        help="run labs that do not come with labrunner without asking (CI: needed for them)",
    )
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    from labrunner.report.terminal import TerminalReport
    from labrunner.run.proofs import exit_code
    from labrunner.run.validation_pool import ValidationPool, plan

    if args.target == "live" and args.jobs > 1:
        raise UsageError("--jobs needs a sandbox for each job", hint="leave out --jobs with --target live")
    if args.target == "live" and not args.context:
        raise UsageError("a live cluster is used only by name", hint="add --context NAME (kubectl config get-contexts)")
    if args.context and args.target == "live":
        from labrunner.target.kubeconfig import require_context

        require_context(args.context)
    if args.context and args.target != "live":
        raise UsageError("--context goes with --target live", hint="labrunner validate --target live --context …")
    if [args.junit, args.json].count("-") > 1:
        raise UsageError("only one report can go to stdout", hint="give the other a file name")
    labs = _load(args.labs)
    units = plan(labs, step=args.step, shard=args.shard, jobs=args.jobs)
    for name in (args.junit, args.json):
        _check_writable(name)
    _ask_trust([lab for lab in labs if any(unit.lab is lab for unit in units)], args.yes)
    out = sys.stderr if "-" in (args.junit, args.json) else sys.stdout
    colour = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    live = out.isatty() and os.environ.get("TERM") != "dumb"
    reports: list[LabReport] = []
    interrupted = False
    with _signals_interrupt():
        report = TerminalReport(out, live=live, colour=colour)
        pool = ValidationPool(
            _make_target(args.target, args.context),
            jobs=args.jobs,
            time_limit=float(args.timeout),
            hear=lambda unit, event: report.hear(unit.lab, unit.steps, event),
            done=lambda unit, made: reports.append(made),
        )
        try:
            reports = pool.run(units)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            report.close()
    report.finish(reports, interrupted=interrupted)
    _write_reports(args, reports, interrupted)
    return exit_code(reports, interrupted=interrupted)


def _load(names: Sequence[str]) -> list[Lab]:
    """The labs named, or all. Raises `LabErrors` with the problems of every lab that is invalid."""
    from labrunner.check.registry import kinds
    from labrunner.lab.content import find_lab, lab_directories
    from labrunner.lab.loader import examine
    from labrunner.lab.problem import LabErrors, Problem

    directories = [find_lab(name) for name in names] if names else list(lab_directories().values())
    labs: list[Lab] = []
    problems: list[Problem] = []
    for directory in dict.fromkeys(directories):
        examined = examine(directory, kinds())
        if examined.lab is not None:
            labs.append(examined.lab)
        problems += [problem for problem in examined.problems if problem.is_error]
    if problems:
        raise LabErrors(problems)
    if not labs:
        raise UsageError("there are no labs", hint="name a lab's folder, or set LABRUNNER_LABS")
    return labs


def _ask_trust(labs: Sequence[Lab], yes: bool) -> None:
    """A lab runs commands as this user: shows what each that does not come with labrunner will run, and asks once.

    Raises UsageError, before anything runs, for what was declined, and for all of them where nobody can be asked.
    """
    from labrunner.lab import trust

    strange = [] if yes else [lab for lab in labs if not trust.is_trusted(lab)]
    if strange and not (sys.stdin.isatty() and sys.stderr.isatty()):
        named = ", ".join(f"{lab.id} ({lab.directory})" for lab in strange)
        one = len(strange) == 1
        raise UsageError(
            f"{named} {'does' if one else 'do'} not come with labrunner and would run commands as you, "
            "and there is no terminal to ask on",
            hint=f"Add --yes once you know what {'it runs' if one else 'they run'} "
            f"(every command: `labrunner validate {strange[0].directory}` in a terminal).",
        )
    for lab in strange:
        sys.stderr.write(f"{lab.id} ({lab.directory}) does not come with labrunner. It will run:\n")
        for where, command in trust.commands(lab):
            sys.stderr.write(f"  {where}:\n    " + command.rstrip().replace("\n", "\n    ") + "\n")
        sys.stderr.write("Run this as you? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UsageError(f"{lab.id} was not validated", hint="answer y, or use --yes")
        trust.trust(lab)


def _make_target(name: str, context: str) -> MakeTarget:
    def make(directory: Path) -> Target:
        if name == "live":
            from labrunner.target.live import LiveTarget

            return LiveTarget(context)
        from labrunner.sandbox.instance import Sandbox
        from labrunner.target.sandbox import SandboxTarget

        target = SandboxTarget("validate", ephemeral=True, instant=True)
        target.sandbox = Sandbox("validate", directory / "sandbox")
        return target

    return make


def _check_writable(name: str | None) -> None:
    """A report that cannot be written is said before the work, not after it."""
    if name and name != "-":
        parent = Path(name).absolute().parent
        if not parent.is_dir() or not os.access(parent, os.W_OK) or Path(name).is_dir():
            raise UsageError(f"cannot write a report to '{name}'", hint=f"make {parent} a folder you can write to")


def _write_reports(args: argparse.Namespace, reports: Sequence[LabReport], interrupted: bool) -> None:
    made: list[tuple[str, str]] = []
    if args.json:
        from labrunner.report.json_report import dump

        made.append((args.json, dump(reports, interrupted=interrupted)))
    if args.junit:
        from labrunner.report.junit import junit

        made.append((args.junit, junit(reports)))
    for name, text in made:
        if name == "-":
            sys.stdout.write(text)
            continue
        try:
            Path(name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise EnvironmentFault(f"cannot write the report '{name}': {error.strerror}") from error


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP end it as Ctrl-C does: with nothing left running."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)
