"""The steps of a lab with their state."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from labrunner.tui import format as fmt
from labrunner.tui.session_view import SessionView
from labrunner.tui.symbols import Symbols

STATE_STYLE = {
    "passed": "$success",
    "failed": "$error",
    "regressed": "$warning",
    "error": "bold $warning",
    "skipped": "$muted",
    "current": "bold $accent",
    "running": "$accent",
    "todo": "$muted",
}

MOST_ROWS = 12
"""Height at which the list scrolls where it shares a column."""


class StepsPane(OptionList):
    """Choosing a step posts `StepChosen`."""

    @dataclass
    class StepChosen(Message):
        step: str

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(id="steps", classes="pane")
        self._symbols = symbols
        self._drawn: list[tuple[str | None, str]] = []
        self._last: tuple[SessionView, str] | None = None
        self.border_title = "Steps"

    @property
    def natural_height(self) -> int:
        """Rows that show everything, within reason."""
        return min(MOST_ROWS, self.option_count + 2)

    def on_resize(self) -> None:
        if self._last is not None:
            self.show(*self._last)

    def show(self, view: SessionView, shown: str) -> None:
        """Draw again, but only when something changed."""
        self._last = (view, shown)
        width = max(12, self.content_size.width - 2)
        options: list[tuple[str | None, Content]] = []
        number = 0
        for part in view.lab.parts:
            if len(view.lab.parts) > 1:
                heading = Content.styled(part.title.upper(), "$muted")
                options.append((None, fmt.fit(heading, width, self._symbols.ellipsis)))
            for step in part.steps:
                number += 1
                options.append((step.id, self._line(view, step.id, number, width, shown)))
        drawn = [(step_id, content.markup) for step_id, content in options]
        self.border_subtitle = f"{view.done}/{len(view.steps)}"
        if drawn == self._drawn:
            return
        self._drawn = drawn
        highlighted = self.highlighted_option.id if self.highlighted_option and self.has_focus else shown
        self.clear_options()
        self.add_options([Option(content, id=step_id, disabled=step_id is None) for step_id, content in options])
        if highlighted:
            self.highlighted = self.get_option_index(highlighted)

    def _line(self, view: SessionView, step_id: str, number: int, width: int, shown: str) -> Content:
        step = view.steps[step_id]
        state = step.state
        if step_id == shown and state == "todo":
            state = "current"
        if step.checking:
            state = "running"
        note = ""
        total = len(step.step.checks)
        if state == "regressed":
            note = "regressed"
        elif state == "skipped":
            note = "skipped"
        elif state == "error":
            note = "no answer"
        elif step.results and step.tried and total and state != "passed":
            note = f"{step.passing}/{total}"
        symbol = self._symbols.state(state)
        style = STATE_STYLE.get(state, "$muted")
        room = width - len(symbol) - len(note) - (2 if note else 1)
        title = fmt.fit(Content(f"{number:>2} {step.step.title}"), max(4, room), self._symbols.ellipsis)
        if step_id == shown:
            title = title.stylize("bold")
        gap = " " * max(1, width - len(symbol) - 1 - title.cell_length - len(note)) if note else ""
        return Content.assemble((symbol, style), " ", title, gap, (note, style))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.post_message(self.StepChosen(event.option.id))
