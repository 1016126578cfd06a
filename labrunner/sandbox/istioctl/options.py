"""Command lines as cobra reads them: flags anywhere, `--name=value`, `-nvalue`; its words for what it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labrunner.sandbox.istioctl.kube import CommandError

GLOBAL = {
    "kubeconfig": "c",
    "context": "",
    "namespace": "n",
    "istioNamespace": "i",
    "revision": "r",
    "vklog": "",
    "as": "",
    "log_output_level": "",
}
"""Flags that every command has, with their one-letter forms."""


@dataclass(slots=True)
class Parsed:
    """Words and flags of one command line; a flag given twice has both values."""

    words: list[str] = field(default_factory=list)
    flags: dict[str, list[str]] = field(default_factory=dict)

    def value(self, name: str, default: str = "") -> str:
        return self.flags.get(name, [default])[-1]

    def given(self, name: str) -> bool:
        return self.value(name, "false") != "false"

    def values(self, name: str) -> list[str]:
        return [v for each in self.flags.get(name, []) for v in each.split(",") if v]


def parse(arguments: Sequence[str], valued: Mapping[str, str], switches: Mapping[str, str]) -> Parsed:
    """`valued` and `switches`: flag -> its letter or empty. Raises CommandError for a flag that there is not."""
    valued = {**GLOBAL, **valued}
    switches = {"help": "h", **switches}
    letters = {letter: name for name, letter in (*valued.items(), *switches.items()) if letter}
    found = Parsed()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            found.words += rest
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            _take(found, name, equals, value, rest, valued, switches, f"--{name}", f"unknown flag: --{name}")
        elif word.startswith("-") and len(word) > 1:
            _short(found, word, rest, letters, valued, switches)
        else:
            found.words.append(word)
    return found


def _short(
    found: Parsed,
    word: str,
    rest: list[str],
    letters: Mapping[str, str],
    valued: Mapping[str, str],
    switches: Mapping[str, str],
) -> None:
    text = word[1:]
    while text:
        letter, text = text[0], text[1:]
        unknown = f"unknown shorthand flag: '{letter}' in {word}"
        name = letters.get(letter, "")
        if name in valued and text:
            found.flags.setdefault(name, []).append(text.removeprefix("="))
            return
        _take(found, name, "", "", rest, valued, switches, f"'{letter}' in {word}", unknown)


def _take(
    found: Parsed,
    name: str,
    equals: str,
    value: str,
    rest: list[str],
    valued: Mapping[str, str],
    switches: Mapping[str, str],
    shown: str,
    unknown: str,
) -> None:
    if name in switches:
        found.flags.setdefault(name, []).append(value if equals else "true")
    elif name in valued:
        if not equals:
            if not rest:
                raise CommandError(f"flag needs an argument: {shown}")
            value = rest.pop(0)
        found.flags.setdefault(name, []).append(value)
    else:
        raise CommandError(unknown)
