"""The command line's parser: a misspelt command, option or choice is answered with the one that was meant."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """An `ArgumentParser` whose refusals name the nearest word, under the usage of the command that was called.

    What it parses has `parser`: the innermost parser, that of the command.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.set_defaults(parser=self)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Raises SystemExit, after telling, for what cannot be parsed."""
        args, unknown = self.parse_known_args(words)
        if unknown:
            parser: CommandParser = args.parser
            parser.refuse(unknown)
        return args

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        option = next((word for word in unknown if word.startswith("-")), "")
        meant = _did_you_mean(option.partition("=")[0], self._option_string_actions) if option else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; {meant}" if meant else ""))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            meant = _did_you_mean(str(value), choices) or f"choose from {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"invalid choice: '{value}'; {meant}")


def _did_you_mean(word: str, candidates: Iterable[str]) -> str:
    from labrunner.lab.problem import did_you_mean

    return did_you_mean(word, candidates)
