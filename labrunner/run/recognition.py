"""Which block of the lab a command is that the learner typed by hand, however they spaced, quoted and cut it.

Two commands count as the same when bash reads the same words and operators in them: blanks, comments, continued lines,
kinds of quotes and `;` for a new line make no difference, nor does a lab variable's name for its value.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from labrunner.lab.model import Block, Lab

_LONGEST: Final = 20
"""Commands that one block may be typed as, one after the other."""
_END: Final = ";"
_OPERATOR = re.compile(r"\d*[<>][<>&|]*|&&|\|\||;;&?|\|&|[|&;()\n]")
_OPENS: Final = frozenset({"do", "then", "else", "elif", "{", "(", "&&", "||", "|", "|&", ";;", "!"})
"""After these a new line is only a blank."""
_SPECIAL: Final = "$`*?[~"
"""Characters that mean something outside of quotes."""

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recognised:
    """`block` is None when the lab has no such block; `step` then is the one where the learner is."""

    step: str
    block: Block | None
    earlier: str = ""
    """What the commands before this one printed that are of the same block."""


class Recognition:
    """Hears the learner's commands in their order. `values`: the lab's variables."""

    def __init__(self, lab: Lab, values: Mapping[str, str]) -> None:
        self._lab = lab
        self._values = values
        self._recent: deque[tuple[Words, str]] = deque(maxlen=_LONGEST)

    def recognise(self, text: str, current: str) -> Recognised:
        """`current`: id of the step where the learner is; its own blocks come first."""
        here = self._lab.step(current)
        words = self._words(text)
        tails = list(self._tails(words))
        if words and here is not None:
            for tail, earlier in tails:
                for block in (*here.blocks, *here.solution):
                    if self._is(block, tail):
                        return Recognised(current, block, earlier)
            for tail, earlier in tails:
                elsewhere = [
                    (step, block) for step in self._lab.steps for block in step.blocks if self._is(block, tail)
                ]
                if len(elsewhere) == 1:  # the same command in two steps says nothing
                    step, block = elsewhere[0]
                    return Recognised(step.id, block, earlier)
        return Recognised(current, None)

    def ended(self, text: str, output: str) -> None:
        """The command has run; the next may go on with the same block."""
        self._recent.append((self._words(text), output))

    def forget(self) -> None:
        """Something else ran meanwhile."""
        self._recent.clear()

    def _words(self, text: str) -> Words:
        for name, value in self._values.items():
            text = re.sub(rf"\$(?:\{{{name}\}}|{name}\b)", lambda _match, value=value: value, text)  # type: ignore[misc]
        return words(text)

    def _is(self, block: Block, typed: Words) -> bool:
        wanted = self._words(block.run)
        if block.background:
            wanted, typed = _foreground(wanted), _foreground(typed)
        return bool(wanted) and wanted == typed

    def _tails(self, last: Words) -> Iterator[tuple[Words, str]]:
        """This command, then this one with the one before, and so on."""
        yield last, ""
        joined, output = last, ""
        for before, printed in reversed(list(self._recent)):
            joined, output = (*before, _END, *joined), printed + output
            yield joined, output


def words(text: str) -> Words:
    """The words and operators of a command, quotes taken off; line by line where it cannot be read (here-documents).

    A character that means something outside of quotes but was quoted has a backslash before it.
    """
    text = text.replace("\\\n", " ").strip()
    try:
        found = [] if "<<" in text else list(_read(text))
    except ValueError:
        found = []
    if not found:
        return tuple(line.rstrip() for line in text.splitlines())
    kept: list[str] = []
    for word in found:
        if word == _END and (not kept or kept[-1] in _OPENS or kept[-1] in (_END, "&")):
            continue
        kept.append(word)
    while kept and kept[-1] == _END:
        kept.pop()
    return tuple(kept)


def _read(text: str) -> Iterator[str]:
    """Raises `ValueError` for a quote or parenthesis left open."""
    at, word, begun = 0, "", False
    while at < len(text):
        char = text[at]
        operator = None if begun and char.isdigit() else _OPERATOR.match(text, at)
        if char in " \t" or operator:
            if begun:
                yield word
            word, begun = "", False
            if operator:
                shown = operator[0]
                yield _END if shown == "\n" else shown
                at = operator.end()
            else:
                at += 1
        elif char == "#" and not begun:
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        else:
            piece, at = _piece(text, at)
            word, begun = word + piece, True
    if begun:
        yield word


def _piece(text: str, at: int) -> tuple[str, int]:
    """The next part of a word, and where it ends."""
    char = text[at]
    if char == "'":
        end = text.index("'", at + 1)
        return _literal(text[at + 1 : end]), end + 1
    if char == "\\" and at + 1 < len(text):
        return _literal(text[at + 1]), at + 2
    if text.startswith("$(", at):
        end = _closing(text, at + 2)
        return f"$({' '.join(words(text[at + 2 : end]))})", end + 1
    if char != '"':
        return char, at + 1
    found, at = "", at + 1
    while text[at : at + 1] != '"':
        if at >= len(text):
            raise ValueError("a quote is left open")
        if text[at] == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\"):
            found += _literal(text[at + 1])
            at += 2
        elif text.startswith("$(", at):
            piece, at = _piece(text, at)
            found += piece
        else:
            found += text[at] if text[at] in "$`" else _literal(text[at])
            at += 1
    return found, at + 1


def _literal(text: str) -> str:
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


def _closing(text: str, at: int) -> int:
    """Where the parenthesis closes that was opened before `at`."""
    depth = 1
    while at < len(text):
        if text[at] == "'":
            at = text.index("'", at + 1)
        elif text[at] == "\\":
            at += 1
        elif text[at] in "()":
            depth += 1 if text[at] == "(" else -1
            if not depth:
                return at
        at += 1
    raise ValueError("a parenthesis is left open")


def _foreground(found: Words) -> Words:
    return found[:-1] if found and found[-1] == "&" else found
