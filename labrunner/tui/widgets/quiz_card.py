"""A question inside the instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from labrunner.check.result import CheckResult
from labrunner.lab.model import Check
from labrunner.tui.symbols import Symbols


class QuizCard(Widget):
    """Choices to pick from, or a line to type; posts `Answered`. The engine judges."""

    DEFAULT_CSS = """
    QuizCard { height: auto; margin: 0 1 1 1; padding: 0 1; background: $panel; border-left: outer $secondary; }
    QuizCard > .question { text-style: bold; }
    QuizCard OptionList { height: auto; max-height: 12; border: none; background: transparent; padding: 0; }
    QuizCard OptionList:focus { border: none; }
    QuizCard:focus-within { border-left: outer $accent; }
    QuizCard Input { border: tall $border; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.focus_lab", "Back", id="quiz.leave", show=False),
    ]

    @dataclass
    class Answered(Message):
        check: Check
        answer: str

    def __init__(self, check: Check, symbols: Symbols, fill_in: Callable[[str], str] = str) -> None:
        super().__init__()
        self._fill_in = fill_in
        self.check = check
        self._symbols = symbols
        self.choices = [fill_in(_text(choice)) for choice in check.params.get("choices") or ()]
        right = check.params.get("answer")
        self.several = bool(self.choices) and isinstance(right, list | tuple) and len(right) > 1
        self._answer: str | None = None
        self._verdict = Static(self._how, classes="verdict")

    def compose(self) -> ComposeResult:
        question = str(self.check.params.get("question") or self.check.title or "Your answer?")
        note = "  (more than one)" if self.several else ""
        yield Static(f"? {self._fill_in(question)}{note}", classes="question", markup=False)
        if self.choices:
            yield OptionList(*(Option(self._choice(index, set())) for index in range(len(self.choices))))
        else:
            yield Input(placeholder="type your answer and press Enter")
        yield self._verdict

    @property
    def _how(self) -> Content:
        """How to answer, until there is an answer."""
        how = "Tab comes here; up and down, then Enter, choose. Or click." if self.choices else "Enter answers."
        return Content.styled(how, "$muted")

    def go_there(self) -> None:
        """Focus what takes the answer."""
        for widget in self.query("OptionList, Input"):
            widget.focus()
            self.screen.scroll_to_widget(self, animate=False)

    def _choice(self, index: int, chosen: set[int]) -> Content:
        mark = self._symbols.chosen if index in chosen else self._symbols.open
        return Content.assemble((f"{mark} ", "$accent"), self.choices[index])

    def chosen(self) -> set[int]:
        """Indexes of the choices in the answer; it names them by number from 1."""
        words = [word.strip() for word in (self._answer or "").split(",")]
        return {int(word) - 1 for word in words if word.isdigit()} | {
            index for index, choice in enumerate(self.choices) if choice == self._answer
        }

    def show(self, answer: str | None, result: CheckResult | None) -> None:
        if not self.is_mounted:
            return
        if answer is not None and answer != self._answer:
            self._answer = answer
            for options in self.query(OptionList):
                for index in range(len(self.choices)):
                    options.replace_option_prompt_at_index(index, self._choice(index, self.chosen()))
            for line in self.query(Input):
                if not line.has_focus:
                    line.value = answer
        verdict = self._how
        if result is not None and result.passed and answer is not None:
            why = self._fill_in(str(self.check.params.get("explanation") or "").strip())
            verdict = Content.assemble((f"{self._symbols.passed} right", "$success"), f"  {why}" if why else "")
        elif result is not None and answer is not None:
            reason = result.findings[0].message if result.findings else result.summary
            verdict = Content.styled(f"{self._symbols.failed} {reason or 'not this one'}", "$error")
        elif answer is not None:
            verdict = Content.styled("answered; check it when you are ready", "$muted")
        self._verdict.update(verdict)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        picked = {event.option_index}
        if self.several:
            picked ^= self.chosen()
        self.post_message(self.Answered(self.check, ", ".join(str(index + 1) for index in sorted(picked))))

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Answered(self.check, event.value.strip()))


def _text(choice: object) -> str:
    """A choice is a text, or a mapping with a `text`."""
    return str(choice["text"]) if isinstance(choice, Mapping) and "text" in choice else str(choice)
