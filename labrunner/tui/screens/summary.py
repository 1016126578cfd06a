"""How it went: what was learned, passed and skipped, the time, attempts and hints it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from labrunner.errors import LabrunnerError
from labrunner.tui import format as fmt
from labrunner.tui.session_view import SessionView, StepView
from labrunner.tui.symbols import Symbols
from labrunner.tui.widgets.steps_pane import STATE_STYLE


class SummaryScreen(ModalScreen[str]):
    """Dismisses with `lab` (back to it), `catalogue` or `quit`."""

    CSS_PATH = "summary.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,b,enter", "answer('lab')", "Back to the lab", id="summary.back", tooltip="Look around in it"),
        Binding("e", "export", "Export", id="summary.export", tooltip="Write it as HTML and Markdown"),
        Binding("l", "answer('catalogue')", "Labs", id="summary.catalogue", tooltip="Choose another lab"),
        Binding("ctrl+q,q", "answer('quit')", "Quit", id="summary.quit", tooltip="Leave labrunner"),
    ]

    def __init__(self, view: SessionView, symbols: Symbols, export: Callable[[], Sequence[Path]]) -> None:
        """`export`: writes the session down (on a thread) and says where."""
        super().__init__()
        self._export_session = export
        self._view = view
        self._symbols = symbols

    def compose(self) -> ComposeResult:
        view = self._view
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = view.lab.title
            dialog.border_subtitle = "Esc back to the lab   e export   l labs   q quit"
            yield Static(self._headline(), id="headline")
            yield Static(self._figures(), id="figures")
            still_open = self._still_open()
            if still_open:
                yield Static(Content.styled(f"{self._symbols.arrow} begun and still open: {still_open}", "$warning"))
            for part in view.lab.parts:
                if len(view.lab.parts) > 1:
                    yield Static(Content.styled(part.title, "bold $accent"), classes="part")
                if part.summary:
                    yield Static(Content.styled(part.summary.strip(), "$muted"), classes="part-summary")
                yield Static(Content("\n").join(self._step(view.steps[step.id]) for step in part.steps))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def _headline(self) -> Content:
        view, symbols = self._view, self._symbols
        passed = sum(1 for step in view.steps.values() if step.state == "passed")
        total = len(view.steps)
        bar = fmt.progress_bar(passed, total, 24, symbols.full, symbols.empty)
        if passed == total:
            return Content.assemble((f"{symbols.passed} You did it all", "bold $success"), "   ", (bar, "$success"))
        if view.finished:
            return Content.assemble(
                (f"{symbols.passed} Done, with steps skipped", "bold $warning"), "   ", (bar, "$warning")
            )
        return Content.assemble((f"{passed} of {total} steps passed so far", "bold"), "   ", (bar, "$accent"))

    def _still_open(self) -> str:
        """Steps that the learner was in and left before they passed, by number and title."""
        steps = list(self._view.steps.values())
        return ", ".join(
            f"{number} {step.step.title}" for number, step in enumerate(steps, 1) if step.visited and not step.done
        )

    def _figures(self) -> Content:
        view = self._view
        skipped = sum(1 for step in view.steps.values() if step.state == "skipped")
        seen = sum(1 for step in view.steps.values() if step.solution_shown)
        words = [
            f"{fmt.duration(view.seconds)} at it (the lab allows {view.lab.minutes} min)",
            fmt.count(view.attempts, "attempt"),
            f"{fmt.count(view.hints_used, 'hint')} used",
        ]
        if seen:
            words.append(f"{fmt.count(seen, 'solution')} looked at")
        if skipped:
            words.append(f"{fmt.count(skipped, 'step')} skipped")
        return Content.styled(f" {self._symbols.separator} ".join(words), "$muted")

    def _step(self, step: StepView) -> Content:
        style = STATE_STYLE.get(step.state, "$muted")
        notes = []
        if step.attempts > 1:
            notes.append(fmt.count(step.attempts, "attempt"))
        if step.hints:
            notes.append(fmt.count(len(step.hints), "hint"))
        if step.solution_shown:
            notes.append("solution")
        if step.state not in ("passed", "todo"):
            notes.append(step.state)
        if step.seconds >= 1:
            notes.append(fmt.duration(step.seconds))
        tail = f"  {', '.join(notes)}" if notes else ""
        return Content.assemble((f"{self._symbols.state(step.state)} ", style), step.step.title, (tail, "$muted"))

    @work(thread=True, exclusive=True, exit_on_error=False, group="export")
    def action_export(self) -> None:
        try:
            written = self._export_session()
        except LabrunnerError as error:
            self.app.call_from_thread(self.notify, f"{error.message}\n{error.hint}".strip(), severity="error")
            return
        places = "\n".join(str(path) for path in written)
        self.app.call_from_thread(self.notify, places, title="Written", timeout=12)

    def action_answer(self, answer: str) -> None:
        self.dismiss(answer)
