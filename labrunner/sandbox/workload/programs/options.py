"""Command line options as getopt_long reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs import usage


class OptionFault(Exception):
    """`busybox` and `gnu` words for a wrong option."""

    def __init__(self, option: str, *, missing: bool = False, long: bool = False) -> None:
        super().__init__(option)
        self.option, self.missing, self.long = option, missing, long

    def text(self, family: str) -> str:
        gnu = family != "alpine"  # getopt is the C library's: busybox's own image has glibc, alpine musl
        if self.missing:
            if self.long:
                return f"option '{self.option}' requires an argument"
            return f"option requires an argument -- '{self.option}'" if gnu else (
                f"option requires an argument: {self.option}")  # fmt: skip
        if self.long:
            return f"unrecognized option '{self.option}'" if gnu else f"unrecognized option: {self.option.lstrip('-')}"
        return f"invalid option -- '{self.option}'" if gnu else f"unrecognized option: {self.option}"


class Options:
    """What was given: `flag` and `value` by the option's first name; `rest` is not options."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []
        self.rest: list[str] = []

    def flag(self, *names: str) -> bool:
        return any(name in names for name, _ in self.given)

    def value(self, name: str, default: str = "") -> str:
        """The last value given."""
        return next((value for given, value in reversed(self.given) if given == name), default)

    def values(self, name: str) -> list[str]:
        return [value for given, value in self.given if given == name]

    def last(self, names: Iterable[str]) -> str:
        """Which of these came last; empty for none."""
        wanted = set(names)
        return next((given for given, _ in reversed(self.given) if given in wanted), "")


def parse(words: Sequence[str], short: str, long: Mapping[str, str] | None = None, *, permute: bool = True) -> Options:
    """`short`: letters, `:` after those with a value, `::` with an optional one attached.

    `long`: name -> the short letter or name it stands for, with `=` at its end when it takes a value (`=?`:
    optional). Without `permute` the first word that is no option ends them. Raises OptionFault.
    """
    found = Options()
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if word == "--":
            found.rest.extend(pending)
            break
        if word == "-" or not word.startswith("-"):
            found.rest.append(word)
            if not permute:
                found.rest.extend(pending)
                break
            continue
        if word.startswith("--"):
            _long(found, word, pending, long or {})
            continue
        _short(found, word[1:], pending, short)
    return found


def _long(found: Options, word: str, pending: list[str], long: Mapping[str, str]) -> None:
    name, equals, value = word[2:].partition("=")
    if name not in long:
        starting = [known for known in long if known.startswith(name)]
        if len(starting) != 1:
            raise OptionFault(word if not equals else f"--{name}", long=True)
        name = starting[0]
    target = long[name]
    if target.endswith("=?"):
        found.given.append((target[:-2], value))
    elif target.endswith("="):
        if not equals:
            if not pending:
                raise OptionFault(f"--{name}", missing=True, long=True)
            value = pending.pop(0)
        found.given.append((target[:-1], value))
    else:
        found.given.append((target, ""))


def _short(found: Options, letters: str, pending: list[str], short: str) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        at = short.find(letter)
        if letter == ":" or at < 0:
            raise OptionFault(letter)
        if short[at + 1 : at + 3] == "::":
            found.given.append((letter, letters))
            return
        if short[at + 1 : at + 2] == ":":
            if not letters and not pending:
                raise OptionFault(letter, missing=True)
            found.given.append((letter, letters or pending.pop(0)))
            return
        found.given.append((letter, ""))


async def wrong(process: Process, error: OptionFault, status: int = 1) -> int:
    """Say what is wrong with the options, and return the status."""
    if error.missing and not error.option:
        return await lacking(process, status)
    if process.container.family != "debian" and error.option == "--help":
        await process.write(usage.busybox(process.name))
        return 0
    await process.say(error.text(process.container.family))
    if process.container.family == "debian":
        await process.error(f"Try '{process.name} --help' for more information.\n")
    else:
        await process.error(usage.busybox(process.name))
    return status


async def lacking(process: Process, status: int = 1, text: str = "missing operand") -> int:
    """Say that an operand is missing: busybox shows its usage instead."""
    if process.container.family == "debian":
        await process.say(text)
        await process.error(f"Try '{process.name} --help' for more information.\n")
    else:
        await process.error(usage.busybox(process.name))
    return status
