"""Did it work, and why not: the checks of a step, its hints, and the offer of the next step."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Markdown, Static

from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.lab.model import Check, Step
from labrunner.run import events as ev
from labrunner.tui import format as fmt
from labrunner.tui.session_view import StepView
from labrunner.tui.symbols import Symbols

_MOST_FINDINGS = 4
"""Findings shown per check; the rest is counted."""
_HINT_IN_VIEW = 4
"""Lines of a new hint that must be in view, its heading counted."""


class ChecksPane(VerticalScroll):
    """Draws one `StepView`."""

    DEFAULT_CSS = """
    ChecksPane > Static { height: auto; padding: 0 1; }
    ChecksPane > #banner { display: none; margin: 0 0 1 0; padding: 0 1; background: $success 20%; color: $foreground; }
    ChecksPane > #banner.-shown { display: block; }
    ChecksPane > #banner.-warning { background: $warning 20%; }
    ChecksPane > #offer { margin-top: 1; }
    """

    def __init__(self, symbols: Symbols, fill_in: Callable[[str], str], key: Callable[[str], str]) -> None:
        """`fill_in`: puts the lab's variables into a text. `key`: the key of an action."""
        super().__init__(id="checks", classes="pane")
        self._key = key
        self._fill_in = fill_in
        self._symbols = symbols
        self._last: tuple[StepView, Step | None, str, bool, str] | None = None
        self._drawn_width = 0
        self._failing_line = 0
        self._attempt = ("", 0)
        self.border_title = "Checks"
        self._banner = Static(id="banner")
        self._rows = Static(id="rows")
        self._hints = HintList()
        self._offer = Static(id="offer")

    def compose(self) -> ComposeResult:
        yield from (self._banner, self._rows, self._hints, self._offer)

    def on_resize(self) -> None:
        if self._last is not None and self._width != self._drawn_width:
            self.show(*self._last)

    def show(self, view: StepView, upcoming: Step | None, ready: str, stuck: bool = False, way_out: str = "") -> None:
        """`upcoming`: the step to offer next. `ready`: why checks cannot run yet. `stuck`: offer help in words.
        `way_out`: what to do when checks cannot be asked."""
        self._last, self._drawn_width = (view, upcoming, ready, stuck, way_out), self._width
        self._rows.update(self._checks(view, ready))
        self._hints.show(view, self._symbols, self._fill_in)
        self._hints.display = bool(view.hints)
        self.set_class(bool(view.hints), "-helped")
        offer = self._next_help(view)
        self._offer.update(offer)
        self._offer.display = bool(offer.plain)
        self._show_banner(view, upcoming, way_out)
        total = len(view.step.checks)
        count = Content(f"{view.passing}/{total}" if total else "")
        # In the border: it is in view however long the findings are.
        help_offered = Content.assemble((f"{self._symbols.hint} Stuck?", "bold $warning"), " ", offer, "  ")
        self.border_subtitle = Content.assemble(help_offered, count) if stuck and offer.plain else count
        self.set_class(view.state == "passed", "-passed")
        self.set_class(
            any(
                (r := view.shown_result(check.id)) is not None and r.status is CheckStatus.FAILED
                for check in view.step.checks
            )
            and view.state != "passed",
            "-failed",
        )
        self.set_class(bool(view.unreachable), "-unreachable")
        before, self._attempt = self._attempt, (view.step.id, view.attempts)
        if before[0] == view.step.id and before[1] < view.attempts:
            self.call_after_refresh(self._bring_attempt_into_view, view)

    def _bring_attempt_into_view(self, view: StepView) -> None:
        """Show what came of an attempt: the banner, or the first check that fails, unless it is in view already."""
        line = 0 if view.state == "passed" else self._rows.virtual_region.y + self._failing_line
        if not self.scroll_offset.y <= line < self.scroll_offset.y + self.scrollable_content_region.height:
            self.scroll_to(y=line, animate=False)

    def on_hint_list_grown(self, message: HintList.Grown) -> None:
        message.stop()
        self.call_after_refresh(self._bring_hint_into_view)

    def _bring_hint_into_view(self) -> None:
        """Show the newest hint: to its end, or from its beginning where it is longer than the pane.

        Above it stays the title of the first check that fails, as long as both fit.
        """
        height = self.scrollable_content_region.height
        to_its_end = self._hints.virtual_region.bottom - height
        title = self._rows.virtual_region.y + self._failing_line
        newest = self._hints.virtual_region.y + self._hints.newest
        if newest + _HINT_IN_VIEW > title + height:  # it would be below what is in view
            title = newest
        self.scroll_to(y=max(0, min(to_its_end, title)), animate=False)

    @property
    def _width(self) -> int:
        return max(30, self.scrollable_content_region.width - 2)

    def _show_banner(self, view: StepView, upcoming: Step | None, way_out: str) -> None:
        symbols = self._symbols
        going_on = Content.assemble(
            (f"  {self._key('lab.next')}", "bold $accent"),
            f" next: {upcoming.title}" if upcoming else " see how you did",
        )
        text = Content("")
        if view.unreachable:
            text = Content.assemble(
                (f"{symbols.error} Cannot be asked: this is no mistake of yours", "bold $warning"),
                f"\n{view.unreachable}",
                f"\n{symbols.arrow} {way_out}" if way_out else "",
            )
        elif view.state == "passed":
            text = Content.assemble((f"{symbols.passed} Step passed", "bold $success"), going_on)
        elif view.state == "regressed":
            text = Content.styled(f"{symbols.regressed} This step held before, and no longer does", "bold $warning")
        elif view.state == "skipped":
            text = Content.assemble((f"{symbols.skipped} Skipped", "bold $warning"), going_on)
        self._banner.update(text)
        self._banner.set_class(bool(text.plain), "-shown")
        self._banner.set_class(view.state != "passed", "-warning")

    def _checks(self, view: StepView, ready: str) -> Content:
        if not view.step.checks:
            return Content.styled(
                f"This step has no checks: read on, and press {self._key('lab.next')} when you are done.", "$muted"
            )
        lines: list[Content] = []
        failing: list[int] = []
        for check in view.step.checks:
            result = view.shown_result(check.id)
            if result is not None and not result.passed:
                failing.append(sum(line.plain.count("\n") + 1 for line in lines))
            trouble = view.trouble.get(check.id, "")
            lines += self._check(check, result, check.id in view.checking, trouble, view.unreachable)
            if result is not None and not result.passed and (cause := view.causes.get(check.id)) is not None:
                lines.append(self._cause(cause))
        self._failing_line = failing[0] if failing else 0
        if view.checking:
            stop = Content.from_markup(
                "[@click=screen.stop_waiting][b $accent]$key[/] [$muted]stops the waiting[/][/]",
                key=self._key("lab.interrupt"),
            )
            lines += [Content(""), stop]
        if not view.checking and all(view.shown_result(check.id) is None for check in view.step.checks):
            lines.append(Content(""))
            lines.append(
                Content.styled(ready, "$muted")
                if ready
                else Content.assemble((self._key("lab.check"), "bold $accent"), (" checks your work", "$muted"))
            )
        return Content("\n").join(lines)

    def _check(
        self, check: Check, result: CheckResult | None, checking: bool, trouble: str, said: str
    ) -> list[Content]:
        """`trouble`: why it cannot be asked while it is waited for. `said`: what the banner says already."""
        symbols = self._symbols
        title = self._fill_in((result.title if result and result.title else check.title) or check.id)
        if checking and trouble:
            return [self._titled(symbols.error, "bold $warning", f"{title}  (waiting for an answer)", "")]
        if checking:
            return [self._titled(symbols.running, "$accent", title, "")]
        if result is None:
            return [self._titled(symbols.todo, "$muted", title, "$muted")]
        match result.status:
            case CheckStatus.PASSED:
                return [self._titled(symbols.passed, "bold $success", title, "")]
            case CheckStatus.FAILED:
                lines = [self._titled(symbols.failed, "bold $error", title, "bold")]
            case CheckStatus.ERROR:
                lines = [self._titled(symbols.error, "bold $warning", f"{title}  (no answer)", "")]
                why = result.why_not_asked
                return lines if why == said else [*lines, _indented("", why, "", self._width)]
            case _:
                return [self._titled(symbols.skipped, "$muted", f"{title}  (not asked)", "$muted")]
        for finding in result.findings[:_MOST_FINDINGS]:
            lines += self._finding(finding)
        if not result.findings and result.summary:
            lines.append(_indented("", result.summary, "", self._width))
        left_out = len(result.findings) - _MOST_FINDINGS
        if left_out > 0:
            lines.append(_indented("", f"and {fmt.count(left_out, 'more finding')}", "$muted", self._width))
        return lines

    def _cause(self, cause: ev.CheckCaused) -> Content:
        """What the learner ran that led there. The time of day, not the age: nothing need redraw it."""
        at = time.strftime("%H:%M:%S", time.localtime(cause.ran_at))
        first, *more = cause.command.strip().splitlines() or [""]
        command = f"{first} {self._symbols.ellipsis}" if more else first
        return _indented("you ran", f"{command}  at {at}", "$warning", self._width)

    def _titled(self, mark: str, mark_style: str, title: str, style: str) -> Content:
        lines = textwrap.wrap(title, self._width - 2) or [""]
        text = "\n  ".join(lines)
        return Content.assemble((f"{mark} ", mark_style), (text, style) if style else text)

    def _finding(self, finding: Finding) -> list[Content]:
        lines = [_indented("", finding.message, "", self._width)]
        for label, value, style in (
            ("expected", finding.expected, "$success"),
            ("observed", finding.observed, "$error"),
            ("where", finding.where, "$primary"),
        ):
            if value:
                lines.append(_indented(label, value, style, self._width))
        return lines

    def _next_help(self, view: StepView) -> Content:
        if view.state == "passed":
            return Content("")
        total, left = len(view.step.hints), view.ordered_hints_left
        if left:
            offer = f" hint {total - left + 1} of {total}" if total > 1 else " a hint"
            return Content.assemble((self._key("lab.hint"), "bold $accent"), (offer, "$muted"))
        if view.step.solution and not view.solution_shown:
            return Content.assemble((self._key("lab.solution"), "bold $accent"), (" shows the solution", "$muted"))
        return Content("")


class HintList(Vertical):
    """The hints shown so far, in the order they were asked for."""

    DEFAULT_CSS = """
    HintList { height: auto; margin-top: 1; }
    HintList > Static { height: auto; padding: 0 1; color: $warning; text-style: bold; }
    HintList > Markdown { height: auto; margin: 0; padding: 0 1 0 3; background: transparent; }
    HintList > Markdown > * { margin: 0; }
    """

    def __init__(self) -> None:
        super().__init__(id="hints")
        self._drawn: list[tuple[str, str]] = []
        self._step = ""
        self._coming = False

    class Grown(Message):
        """A new hint is laid out. Its Markdown takes a while: not yet when `show` returns."""

    def on_resize(self) -> None:
        texts = self.query_children(Markdown)
        if self._coming and texts and texts.last().size.height:
            self._coming = False
            self.post_message(self.Grown())

    @property
    def newest(self) -> int:
        """The line on which the newest hint begins."""
        headings = self.query_children(Static)
        return headings.last().region.y - self.region.y if headings else 0

    def show(self, view: StepView, symbols: Symbols, fill_in: Callable[[str], str]) -> None:
        """Add the hints that are new; begin anew for another step."""
        hints = [(hint.hint, hint.text) for hint in view.hints]
        if view.step.id != self._step:
            self._step, self._drawn = view.step.id, []
            self.remove_children()
        total = len(view.step.hints)
        for hint_id, text in hints[len(self._drawn) :]:
            number = hint_id[1:] if hint_id.startswith("#") else ""
            label = f"Hint {number} of {total}" if number else "Hint for what went wrong here"
            self.mount(Static(Content(f"{symbols.hint} {label}")), Markdown(fill_in(text.strip()), open_links=False))
        self._coming = self._coming or len(hints) > len(self._drawn)
        self._drawn = hints


def _indented(label: str, text: str, style: str, width: int) -> Content:
    """Text under its check, wrapped so that it stays in its own column."""
    indent = "    " + (f"{label:<10}" if label else "")
    room = max(10, width - len(indent))
    lines = [
        piece
        for line in text.splitlines() or [""]
        for piece in textwrap.wrap(line, room, break_on_hyphens=False) or [""]
    ]
    head = Content.assemble((indent, "$muted"), (lines[0], style) if style else lines[0])
    rest = [Content.assemble(" " * len(indent), (line, style) if style else line) for line in lines[1:]]
    return Content("\n").join([head, *rest])
