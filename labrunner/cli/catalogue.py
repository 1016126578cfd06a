"""Bare `labrunner`: the catalogue; without a terminal, the first lab's validation."""

from __future__ import annotations

import argparse
import importlib

from labrunner.cli.run_command import has_terminal, open_tui, require_terminal
from labrunner.errors import ExitCode, UsageError


def execute() -> ExitCode:
    """Raises `LabrunnerError`."""
    if has_terminal():
        require_terminal("")
        return open_tui()
    return _validate_first_lab()


def _validate_first_lab() -> ExitCode:
    from labrunner.lab.content import lab_directories

    first = next(iter(lab_directories()), None)
    if first is None:
        raise UsageError("there are no labs", hint="A lab is a folder with a lab.yaml; LABRUNNER_LABS names folders.")
    command = importlib.import_module("labrunner.cli.validate_command")
    parser = argparse.ArgumentParser(prog="labrunner validate")
    command.configure(parser)
    code: ExitCode = command.execute(parser.parse_args([first]))
    return code
