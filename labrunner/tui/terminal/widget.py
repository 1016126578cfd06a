"""The shell pane: paints a `ScreenEmulator`, hands it keys, pastes and the mouse, and scrolls its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual import events, on
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from labrunner.tui.terminal.bittty_emulator import HISTORY_LINES, BitttyEmulator
from labrunner.tui.terminal.emulator import Colour, Pen, Row, ScreenEmulator
from labrunner.tui.terminal.feeder import Feeder
from labrunner.tui.themes import terminal_colours

LEAVE_KEYS = ("f6", "ctrl+right_square_bracket")
"""The keys that the shell never sees: they return to the lab."""

FRAME = 1 / 30
"""Seconds between two paints at most, while the learner is in the shell."""
FRAME_ASIDE = 1 / 12
"""The same while they are elsewhere on the screen."""
FRAME_BEHIND = 3.0
"""The same while a dialog is in front: each paint then blends the whole screen anew, which keys would have to wait for.
"""

_WHEEL_LINES = 3


class ShellTerminal(Widget, can_focus=True):
    """A terminal. Everything typed goes to the program, except `LEAVE_KEYS` and the scrolling keys."""

    DEFAULT_CSS = """
    ShellTerminal {
        height: 1fr;
        width: 1fr;
        background: $shell-background;
        color: $foreground;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f6", "leave", "Back to the lab", id="shell.leave", tooltip="Leave the shell; also Ctrl+]", key_display="F6"
        ),
        Binding(
            "shift+pageup",
            "scroll_history(-1)",
            "Look back",
            id="shell.scroll-up",
            tooltip="Look back in the shell; End returns",
            key_display="Shift+PgUp",
        ),
        Binding("shift+pagedown", "scroll_history(1)", "Scroll down", id="shell.scroll-down", show=False),
    ]

    class Leave(Message):
        """The learner asked to return to the lab."""

    class Changed(Message):
        """The emulator changed; sent at most once until handled."""

    @dataclass
    class Resized(Message):
        rows: int
        columns: int

    def __init__(
        self,
        send: Callable[[str], None],
        *,
        make_emulator: Callable[[Callable[[str], None]], ScreenEmulator] = BitttyEmulator,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.emulator = make_emulator(send)
        self._feeder = Feeder(self.emulator, self._changed_elsewhere, HISTORY_LINES)
        self._rows: dict[int, Row] = {}
        """The live screen as of the last paint."""
        self._cursor: tuple[int, int] | None = None
        self._strips: dict[int, Strip] = {}
        self._styles: dict[Pen, Style] = {}
        self._palette: tuple[str, ...] = ()
        self._base = Style()
        self._pending = False
        self._painted_at = 0.0
        self._view_top: int | None = None
        """Number of the history line shown at the top; None shows the live screen."""

    # -- output ------------------------------------------------------------------------------------------------

    def push(self, data: bytes) -> None:
        """What the shell prints; callable from any thread."""
        self._feeder.push(data)

    def wait_drained(self, timeout: float = 5.0) -> bool:
        return self._feeder.wait_drained(timeout)

    @property
    def shed_bytes(self) -> int:
        """Output that was never interpreted because nobody could have seen it."""
        return self._feeder.shed_bytes

    def on_mount(self) -> None:
        self._feeder.start()
        self._adopt_theme()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._adopt_theme())

    def on_unmount(self) -> None:
        self._feeder.close()

    def _changed_elsewhere(self) -> None:
        if not self._pending:
            self._pending = True
            self.post_message(self.Changed())

    @on(Changed)
    def _repaint_soon(self) -> None:
        wait = self._painted_at + self._frame() - monotonic()
        if wait > 0:
            self.set_timer(wait, self._repaint)
        else:
            self._repaint()

    def _frame(self) -> float:
        if self.has_focus:
            return FRAME
        return FRAME_ASIDE if self.app.screen is self.screen else FRAME_BEHIND

    def catch_up(self) -> None:
        """Paint now what a dialog in front held back."""
        if self._pending:
            self._repaint()

    def _repaint(self) -> None:
        self._pending = False
        self._painted_at = monotonic()
        changed = self.emulator.changed_rows()
        self._rows.update(changed)
        before, self._cursor = self._cursor, self.emulator.cursor
        for y in changed:
            self._strips.pop(y, None)
        rows = {*changed, *(cursor[1] for cursor in (before, self._cursor) if cursor)}
        if self._view_top is not None or len(rows) * 2 > self.size.height:
            self.refresh()
        else:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in rows))

    # -- painting ----------------------------------------------------------------------------------------------

    def _adopt_theme(self) -> None:
        self._palette = terminal_colours(self.app.current_theme)
        self._styles.clear()
        self._strips.clear()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        if base != self._base:
            self._base = base
            self._styles.clear()
            self._strips.clear()
        width = self.size.width
        offset = self.history_offset
        if offset:
            index = self.emulator.history_length - offset + y
            if index < self.emulator.history_length:
                return self._strip(self.emulator.history_row(index), width, y)
            return self._live(y - offset, width, y)
        strip = self._live(y, width, y)
        cursor = self._cursor
        if cursor is not None and cursor[1] == y and cursor[0] < width:
            strip = self._with_cursor(strip, cursor[0])
        return strip

    def _live(self, row: int, width: int, y: int) -> Strip:
        strip = self._strips.get(row)
        if strip is None or strip.cell_length != width or self.text_selection is not None:
            strip = self._strip(self._rows.get(row, ()), width, y)
            if self.text_selection is None:
                self._strips[row] = strip
        return strip

    def _strip(self, row: Row, width: int, y: int) -> Strip:
        segments = [Segment(text, self._style(pen)) for text, pen in row]
        strip = Strip(segments).adjust_cell_length(width, self._base)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(y)) is not None:
            start, end = span
            end = width if end == -1 else min(end, width)
            style = self.screen.get_component_rich_style("screen--selection")
            left, middle, right = strip.crop(0, start), strip.crop(start, end), strip.crop(end, width)
            strip = Strip.join([left, middle.apply_style(style), right])
        return strip.apply_offsets(0, y)

    def _with_cursor(self, strip: Strip, x: int) -> Strip:
        style = Style(reverse=True) if self.has_focus else Style(underline=True, bold=True)
        start, end = _cell_at(strip, x)
        cell = Strip([Segment(s.text, (s.style or self._base) + style) for s in strip.crop(start, end)])
        return Strip.join([strip.crop(0, start), cell, strip.crop(end)])

    def _style(self, pen: Pen) -> Style:
        style = self._styles.get(pen)
        if style is None:
            style = self._base + Style(
                color=self._colour(pen.foreground),
                bgcolor=self._colour(pen.background),
                bold=pen.bold or None,
                dim=pen.dim or None,
                italic=pen.italic or None,
                underline=pen.underline or bool(pen.link) or None,
                reverse=pen.reverse or None,
                strike=pen.strike or None,
                conceal=pen.conceal or None,
            )
            self._styles[pen] = style
        return style

    def _colour(self, colour: Colour) -> RichColor | None:
        if colour is None:
            return None
        if isinstance(colour, tuple):
            return RichColor.from_rgb(*colour)
        return RichColor.parse(self._palette[colour]) if colour < 16 else RichColor.from_ansi(colour)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        lines = [self._text_at(y) for y in range(self.size.height)]
        return selection.extract("\n".join(lines)), "\n"

    def _text_at(self, y: int) -> str:
        offset = self.history_offset
        index = self.emulator.history_length - offset + y
        in_history = offset and index < self.emulator.history_length
        row = self.emulator.history_row(index) if in_history else self._rows.get(y - offset, ())
        return "".join(text for text, _ in row).rstrip()

    # -- history -----------------------------------------------------------------------------------------------

    @property
    def history_offset(self) -> int:
        """How many lines the view is above the live screen."""
        if self._view_top is None or self.emulator.alternate_screen:
            return 0
        return max(0, min(self.emulator.history_length, self.emulator.history_total - self._view_top))

    def scroll_lines(self, lines: int) -> None:
        """Move the view; negative is back in time."""
        offset = max(0, min(self.emulator.history_length, self.history_offset - lines))
        self._view_top = self.emulator.history_total - offset if offset else None
        self.border_subtitle = f"{offset} lines back, End returns" if offset else ""
        self.refresh()

    def action_scroll_history(self, pages: int) -> None:
        self.scroll_lines(pages * max(1, self.size.height - 2))

    def scroll_to_live(self) -> None:
        if self._view_top is not None:
            self.scroll_lines(self.emulator.history_length)

    # -- input -------------------------------------------------------------------------------------------------

    @property
    def _leave_keys(self) -> tuple[str, ...]:
        """The user's keys for it, and always the last of `LEAVE_KEYS`, so that there is a way back."""
        keys_of = getattr(self.app, "keys_of", None)
        return (*keys_of("shell.leave"), LEAVE_KEYS[-1]) if keys_of else LEAVE_KEYS

    def action_leave(self) -> None:
        self.post_message(self.Leave())

    async def _on_key(self, event: events.Key) -> None:
        if event.key in self._leave_keys:
            event.stop()
            event.prevent_default()
            self.post_message(self.Leave())
            return
        if event.key in ("shift+pageup", "shift+pagedown") and not self.emulator.alternate_screen:
            return
        if event.key == "end" and self._view_top is not None:
            event.stop()
            event.prevent_default()
            self.scroll_to_live()
            return
        if self.emulator.key(event.key, event.character):
            event.stop()
            event.prevent_default()
            self.scroll_to_live()

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.emulator.paste(event.text)
        self.scroll_to_live()

    def on_focus(self) -> None:
        self.emulator.focus(True)
        self.refresh()

    def on_blur(self) -> None:
        self.emulator.focus(False)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        size: Size = event.size
        if size.width < 2 or size.height < 1:
            return
        self._strips.clear()
        self._rows = {y: row for y, row in self._rows.items() if y < size.height}
        if (size.height, size.width) != (self.emulator.rows, self.emulator.columns):
            self.emulator.resize(size.height, size.width)
            self.post_message(self.Resized(size.height, size.width))
            self._repaint()

    def _mouse(self, event: events.MouseEvent, kind: str, button: int) -> bool:
        if not self.emulator.mouse_tracking or self.history_offset:
            return False
        modifiers = {name for name in ("shift", "meta", "ctrl") if getattr(event, name)}
        self.emulator.mouse(int(event.x), int(event.y), button, kind, modifiers)
        event.stop()
        event.prevent_default()
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._mouse(event, "press", max(0, event.button - 1))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._mouse(event, "release", max(0, event.button - 1))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._mouse(event, "move", 0)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if not self._mouse(event, "press", 64):
            event.stop()
            self.scroll_lines(-_WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if not self._mouse(event, "press", 65):
            event.stop()
            self.scroll_lines(_WHEEL_LINES)


def _cell_at(strip: Strip, x: int) -> tuple[int, int]:
    """First and last column (exclusive) of the character at column `x`: two columns where it is a wide one."""
    for start in (x, x - 1):
        if start >= 0 and len(shown := strip.crop(start, start + 2).text) == 1 and cell_len(shown) == 2:
            return start, start + 2
    return x, x + 1
