"""What the help says: how to get unstuck, keys by place, symbols, ways out. Keys are those that hold here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from labrunner.tui.actions import Action, actions, show_key
from labrunner.tui.symbols import Symbols


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: `mark` is a key or a symbol (with its style), `name` what it is called; either may be empty."""

    text: str
    name: str = ""
    mark: str = ""
    style: str = "bold $accent"

    def matches(self, words: Sequence[str], title: str) -> bool:
        """Every word is in the line or in its topic's title."""
        here = f"{title} {self.mark} {self.name} {self.text}".casefold()
        return all(word in here for word in words)


@dataclass(frozen=True, slots=True)
class Topic:
    title: str
    entries: tuple[Entry, ...]

    def filtered(self, words: Sequence[str]) -> Topic:
        return Topic(self.title, tuple(entry for entry in self.entries if entry.matches(words, self.title)))


Keys = Callable[[str], str]
"""Action id -> the key that it has here."""


def topics(
    keys_of: Callable[[str], tuple[str, ...]], symbols: Symbols, *, here: str, settings_file: str
) -> list[Topic]:
    """All of it; keys of the place `here` (a prefix of ids, `lab`) come first."""

    def key(action_id: str) -> str:
        return show_key(keys_of(action_id)[0])

    return [
        Topic("Stuck?", tuple(_unstuck(key))),
        *_keys(keys_of, here),
        Topic("Symbols", tuple(_symbols(symbols))),
        Topic("Checks", tuple(_checks(key))),
        Topic("Going back", tuple(_going_back(key))),
        Topic("The shell", tuple(_shell(key))),
        Topic("Ways out", tuple(_exits(key))),
        Topic("Make it yours", tuple(_settings(key, settings_file))),
    ]


def _unstuck(key: Keys) -> Iterator[Entry]:
    yield Entry("asks the checks now: each says what it expected and what it saw instead", mark=key("lab.check"))
    yield Entry("a hint; each says more, and one that fits your mistake comes first", mark=key("lab.hint"))
    yield Entry("the solution, and what it would change in the cluster", mark=key("lab.solution"))
    yield Entry("back to the start of the step: cluster, files and shell as they were", mark=key("lab.back"))
    yield Entry("skips the step; you can come back to it", mark=key("lab.skip"))
    yield Entry("stops a command that hangs, or the waiting for a check", mark=key("lab.interrupt"))
    yield Entry("typing goes to the shell? This key brings you back to the lab", mark=key("shell.leave"))
    yield Entry("everything you can do, by name", mark=key("app.palette"))


def _keys(keys_of: Callable[[str], tuple[str, ...]], here: str) -> Iterator[Topic]:
    places: dict[str, list[Action]] = {}
    for action in actions().values():
        places.setdefault(action.prefix, []).append(action)
    order = sorted(places, key=lambda prefix: (prefix != here, prefix not in ("app", "lab", "catalogue", "shell")))
    for prefix in order:
        rows = [
            Entry(action.purpose, action.name, ", ".join(map(show_key, keys_of(action.id))))
            for action in places[prefix]
        ]
        yield Topic(f"Keys: {places[prefix][0].context.lower()}", tuple(rows))


def _symbols(symbols: Symbols) -> Iterator[Entry]:
    for mark, style, text in (
        (symbols.passed, "$success", "passed"),
        (symbols.failed, "$error", "failed: not what the step asks for"),
        (symbols.regressed, "$warning", "held before, and no longer does"),
        (symbols.error, "$warning", "no answer: could not be asked, says nothing about your work"),
        (symbols.skipped, "$muted", "skipped"),
        (symbols.running, "$accent", "running, or being asked"),
        (symbols.current, "$accent", "where you are"),
        (symbols.todo, "$muted", "still to do"),
        (symbols.play, "$accent", "a command that can be run"),
        (symbols.hint, "$warning", "a hint or a solution"),
        (symbols.mtls, "$foreground", "in the mesh: over mutual TLS"),
        (symbols.plaintext, "$foreground", "in the mesh: in plaintext"),
        ("?", "$primary", "in the mesh: the rules changed since the last request; what is before it is a forecast"),
        (symbols.policy, "$foreground", "in the mesh: authorization policies that apply"),
    ):
        yield Entry(text, mark=mark, style=style)


def _checks(key: Keys) -> Iterator[Entry]:
    yield Entry(
        "They look again by themselves when the cluster changes, after each command, and twice a minute; a step turns "
        f"passed without a key. {key('lab.check')} asks them at once and waits for what takes time."
    )
    yield Entry("A step that held and was broken since is marked, with the command that did it.")
    yield Entry(
        "A check that could not be asked is not your mistake: the cluster or a tool did not answer, and it says which."
    )


def _going_back(key: Keys) -> Iterator[Entry]:
    back, undo, jump = key("lab.back"), key("lab.undo"), key("lab.jump")
    yield Entry(
        f"Each step begins with a copy of the sandbox, your files and the shell. {back} puts them back to the start of "
        f"the step shown, {undo} undoes that; go to an earlier step first to go back further."
    )
    yield Entry(
        f"{jump} on a later step has the steps before it done for you. A live cluster keeps no copies; {back} says so."
    )


def _shell(key: Keys) -> Iterator[Entry]:
    enter, leave = key("lab.shell"), key("shell.leave")
    again = "again" if enter == leave else f"({leave})"
    yield Entry(
        "It is the bash in which the blocks run, so cd, export and history carry over. "
        f"{enter} goes there; in it every key, Ctrl+C too, belongs to the shell. {leave if enter == leave else ''} "
        f"{again} comes back.".replace("  ", " ")
    )
    yield Entry(
        f"{key('shell.scroll-up')} or the wheel looks back, End returns. What is selected by dragging is copied. "
        f"{key('shell.look-back')} searches, selects and copies with the keyboard: / n N v V y."
    )


def _exits(key: Keys) -> Iterator[Entry]:
    yield Entry("closes a dialog, this help, a search", mark="Esc")
    yield Entry("back to the list of labs; progress is kept", mark=key("lab.catalogue"))
    yield Entry("leaves labrunner; open the lab again, and you are where you were", mark=key("app.quit"))
    yield Entry("in your own shell forgets a lab's progress and removes what it made", mark="labrunner reset LAB")


def _settings(key: Keys, settings_file: str) -> Iterator[Entry]:
    yield Entry(f"{key('app.palette')}, then “theme”, changes the colours.")
    yield Entry(f"Theme, keys, symbols, mouse and help are set in {settings_file}; docs/configuration.md says how.")
