"""One module per command group; parses, calls, prints; no lab logic.

A command module has `configure(parser)`, which adds its arguments, and `execute(args) -> ExitCode`. It is imported
only when its command is called, so that `labrunner --help` stays quick.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import signal
import sys
from collections.abc import Callable, Sequence

from labrunner import __version__
from labrunner.cli import streams
from labrunner.cli.parser import CommandParser
from labrunner.errors import ExitCode, LabrunnerError

COMMANDS: dict[str, str] = {
    "run": "open a lab in the terminal, where you left it",
    "list": "list the labs and your progress",
    "show": "show a lab or a step",
    "validate": "prove labs headless: every step, check, hint and mistake",
    "lint": "check lab files against the schema and the content rules",
    "schema": "print the lab format's JSON Schema",
    "trace": "follow a request through the mesh, hop by hop, and say who decided",
    "doctor": "say what this machine has and lacks, and how to get it",
    "sandbox": "start, stop, inspect and snapshot sandboxes",
    "progress": "show what you have done, per lab",
    "tour": "two minutes on the real screen, without a cluster",
    "config": "the interface's settings: where they are, what holds, what is wrong",
    "reset": "forget a lab's progress and remove what it made",
}
"""Command -> what it does. The module is `labrunner.cli.<command>_command`."""

_EXAMPLE = """\
examples:
  labrunner                          pick a lab and learn
  labrunner run apim-istio           open one lab
  labrunner validate apim-istio      prove it headless
  eval "$(labrunner sandbox env)"    plain kubectl on the sandbox
"""


def run(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return the exit code. Never raises for bad input."""
    streams.prepare()
    code = _guarded(lambda: _dispatch(list(argv)))
    flushed = _guarded(_flush)
    return code or flushed


def _flush() -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the work was done
        streams.abandon_stdout()
    return ExitCode.OK


def _guarded(work: Callable[[], int]) -> int:
    """What `work` returns, or the exit code of what it raised, which has been told on stderr."""
    try:
        return int(work())
    except LabrunnerError as error:
        _tell(error.message, error.hint)
        return int(error.exit_code)
    except KeyboardInterrupt:
        _tell("interrupted")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`labrunner list | head`): that is not an error of ours.
        streams.abandon_stdout()
        return 128 + signal.SIGPIPE
    except OSError as error:
        # What a command knows how to explain it has: what is left is a disk or a folder that does not do its part.
        streams.abandon_stdout()
        where = f"{error.filename}: " if error.filename else ""
        _tell(
            f"{where}{error.strerror or error}", "Mend that, then run it again; nothing that was shown as done is lost."
        )
        return int(ExitCode.ENVIRONMENT)


def _tell(message: str, hint: str = "") -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"labrunner: {message}\n" + (f"  {hint}\n" if hint else ""))
        sys.stderr.flush()


def _dispatch(argv: list[str]) -> int:
    command = next((word for word in argv if not word.startswith("-")), None)
    parser = CommandParser(
        prog="labrunner",
        description="Interactive labs for Kubernetes, Istio and Azure. Without a command: the catalogue.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"labrunner {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == command:
            module = importlib.import_module(f"labrunner.cli.{name}_command")
            module.configure(sub)
            sub.set_defaults(execute=module.execute)
    try:
        args = parser.parse(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    if args.command is None:
        return int(importlib.import_module("labrunner.cli.catalogue").execute())
    return int(args.execute(args))
