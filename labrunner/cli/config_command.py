"""`labrunner config`: where the settings are, what holds, what is wrong in them, which actions have keys."""

from __future__ import annotations

import argparse
import json
import sys

from labrunner.errors import ExitCode

_EXAMPLE = """\
examples:
  labrunner config path                   where config.yaml is read from (it need not exist)
  labrunner config show                   what holds, as a config.yaml
  labrunner config check                  every mistake in it and in themes/*.yaml
  labrunner config keys                   every action with its keys: what a keymap names
  labrunner config schema                 for editors

Exit codes: 0 fine (there may be warnings), 2 mistakes (they are left out, the rest holds).
docs/configuration.md says what can be set.
"""
_ACTIONS = {
    "path": "where config.yaml is read from",
    "show": "what holds, as a config.yaml",
    "check": "every mistake in the settings",
    "keys": "every action with its keys",
    "schema": "the JSON Schema of config.yaml",
}


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary in _ACTIONS.items():
        actions.add_parser(name, help=summary, description=summary)
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    if args.action == "path":
        from labrunner.tui.settings.loader import config_file

        sys.stdout.write(f"{config_file()}\n")
    elif args.action == "schema":
        from labrunner.tui.settings.schema import CONFIG

        sys.stdout.write(json.dumps(CONFIG, indent=2) + "\n")
    elif args.action == "keys":
        _print_keys()
    elif args.action == "show":
        _show()
    else:
        return _check()
    return ExitCode.OK


def _print_keys() -> None:
    from labrunner.tui.actions import actions, show_key
    from labrunner.tui.settings.loader import load_settings

    mine = load_settings().keymap
    rows = [
        (action.id, ", ".join(map(show_key, mine.get(action.id, action.keys))), action.purpose or action.name)
        for action in actions().values()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for action_id, keys, purpose in rows:
        sys.stdout.write(f"{action_id:<{widths[0]}}  {keys:<{widths[1]}}  {purpose}\n")


def _show() -> None:
    import yaml

    from labrunner.tui.actions import show_key
    from labrunner.tui.settings.loader import load_settings
    from labrunner.tui.themes import PREFIX

    settings = load_settings()
    shown = {
        "theme": settings.theme or "night",
        "symbols": settings.symbols,
        "mouse": settings.mouse,
        "helpAfter": {"attempts": settings.help_after.attempts, "minutes": settings.help_after.minutes},
        "keymap": {action: [show_key(key) for key in keys] for action, keys in settings.keymap.items()},
    }
    sys.stdout.write(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))
    own = [theme.name.removeprefix(PREFIX) for theme in settings.themes]
    sys.stdout.write(f"# themes of your own: {', '.join(own) or 'none'}\n")
    if settings.problems:
        sys.stderr.write(f"labrunner: {len(settings.problems)} mistakes: `labrunner config check` says which\n")


def _check() -> ExitCode:
    from labrunner.tui.settings.loader import load_settings

    settings = load_settings()
    for problem in settings.problems:
        sys.stdout.write(f"{problem}\n")
    errors = sum(problem.is_error for problem in settings.problems)
    if settings.file is not None and not settings.file.exists() and not settings.problems:
        sys.stderr.write(f"{settings.file} does not exist: the defaults hold\n")
    else:
        warnings = len(settings.problems) - errors
        sys.stderr.write(
            f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}\n"
            if settings.problems
            else "no problems\n"
        )
    return ExitCode.USAGE if errors else ExitCode.OK
