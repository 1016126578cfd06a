"""One module per command group; parses, calls, prints; no lab logic.

A command module has `configure(parser)`, which adds its arguments, and `execute(args) -> ExitCode`. It is imported
only when its command is called, so that `labrunner --help` stays quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from labrunner import __version__
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
    try:
        return int(_dispatch(list(argv)))
    except LabrunnerError as error:
        sys.stderr.write(f"labrunner: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"  {error.hint}\n")
        return int(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("labrunner: interrupted\n")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`labrunner list | head`): that is not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    finally:
        _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def _dispatch(argv: list[str]) -> int:
    command = next((word for word in argv if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
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
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    if args.command is None:
        return int(importlib.import_module("labrunner.cli.catalogue").execute())
    return int(args.execute(args))
