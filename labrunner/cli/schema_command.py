"""`labrunner schema`: the lab format's JSON Schema, for editors and for other tools."""

from __future__ import annotations

import argparse
import sys

from labrunner.errors import ExitCode

_EXAMPLE = """\
examples:
  labrunner schema > lab.schema.json
  # first line of a lab.yaml, for editors that speak yaml-language-server:
  # yaml-language-server: $schema=../lab.schema.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    sys.stdout.write(schema_text())
    return ExitCode.OK


def schema_text() -> str:
    """The schema with the parameters of every kind of check, as it is committed in labs/lab.schema.json."""
    import json

    from labrunner.check.registry import kinds
    from labrunner.lab import schema
    from labrunner.lab.kinds import schemas

    return json.dumps(schema.build(schemas(kinds())), indent=2, ensure_ascii=False) + "\n"
