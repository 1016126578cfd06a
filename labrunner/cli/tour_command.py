"""`labrunner tour`: two minutes on the real screen, without a cluster."""

from __future__ import annotations

import argparse

from labrunner.errors import ExitCode

_EXAMPLE = """\
example:
  labrunner tour        run, check, mend and find your way; leaves nothing behind

In the list of labs, t does the same.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    """Raises `EnvironmentFault` without a terminal."""
    from labrunner.cli.run_command import open_tui, require_terminal

    require_terminal("")
    return open_tui(tour=True)
