"""The shell pane: paints a `ScreenEmulator`, hands it keys, pastes and the mouse, and scrolls its history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from rich.style import Style
from textual import events, on
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from labrunner.tui.terminal.bittty_emulator import HISTORY_LINES, BitttyEmulator
from labrunner.tui.terminal.emulator import Row, ScreenEmulator
from labrunner.tui.terminal.feeder import Feeder
from labrunner.tui.terminal.look_back import KEYS, LookBack, Position
from labrunner.tui.terminal.painter import Painter
from labrunner.tui.themes import terminal_colours

FRAME = 1 / 30
"""Seconds between two paints at most, while the learner is in the shell."""
FRAME_ASIDE = 1 / 12
"""The same while they are elsewhere on the screen."""
FRAME_BEHIND = 3.0
"""The same while a dialog is in front: each paint then blends the whole screen anew, which keys would have to wait for.
"""

_WHEEL_LINES = 3


class ShellTerminal(Widget, can_focus=True):
    """A terminal. Everything typed goes to the program, except the keys of `BINDINGS`; while looking back
    (`look_back`) keys move through screen and scrollback instead."""

    DEFAULT_CSS = """
    ShellTerminal {
        height: 1fr;
        width: 1fr;
        background: $shell-background;
        color: $foreground;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        # Of priority: keys typed right after them already go where these lead.
        Binding(
            "f6",
            "leave",
            "Back to the lab",
            id="shell.leave",
            tooltip="Leave the shell; also Ctrl+]",
            key_display="F6",
            priority=True,
        ),
        Binding("ctrl+right_square_bracket", "leave", "Back to the lab", show=False, priority=True),
        Binding(
            "f7",
            "look_back",
            "Search, copy",
            id="shell.look-back",
            tooltip="Search the shell's output, select and copy with the keyboard",
            key_display="F7",
            priority=True,
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
    class Noted(Message):
        """What to say below the terminal; empty: nothing."""

        text: str

    @dataclass
    class Copied(Message):
        """The learner copied a text."""

        text: str

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
        self._painter = Painter()
        self._pending = False
        self._painted_at = 0.0
        self._view_top: int | None = None
        """Number of the history line shown at the top; None shows the live screen."""
        self._look: LookBack | None = None

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
            # Not `set_timer`: Textual 8.2 leaves out a tick that is late, and a short one is late when a flood is on.
            asyncio.get_running_loop().call_later(wait, self._repaint_later)
        else:
            self._repaint()

    def _repaint_later(self) -> None:
        if self.is_attached:
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
        self._painter.palette = terminal_colours(self.app.current_theme)
        self._painter.forget()
        self._strips.clear()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter.forget()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        if base != self._painter.base:
            self._painter.base = base
            self._painter.forget()
            self._strips.clear()
        width = self.size.width
        offset = self.history_offset
        if offset and y < offset:
            strip = self._painter.strip(self.emulator.history_row(self.emulator.history_length - offset + y), width)
        else:
            strip = self._live(y - offset, width)
        if self._look is not None:
            spans = self._look.spans(self._line_at(y))
            return self._painter.spans(strip, spans, self._selection_style) if spans else strip
        strip = self._with_selection(strip, y)
        cursor = self._cursor
        if not offset and cursor is not None and cursor[1] == y and cursor[0] < width:
            strip = self._painter.cursor(strip, cursor[0], self.has_focus)
        return strip

    def _live(self, row: int, width: int) -> Strip:
        strip = self._strips.get(row)
        if strip is None or strip.cell_length != width:
            strip = self._strips[row] = self._painter.strip(self._rows.get(row, ()), width)
        return strip

    def _with_selection(self, strip: Strip, y: int) -> Strip:
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(y)) is not None:
            strip = self._painter.selected(strip, *span, self._selection_style)
        return strip.apply_offsets(0, y)

    @property
    def _selection_style(self) -> Style:
        return self.screen.get_component_rich_style("screen--selection")

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        lines = [self._text_at(y) for y in range(self.size.height)]
        return selection.extract("\n".join(lines)), "\n"

    def _text_at(self, y: int) -> str:
        return self.texts(self._line_at(y), self._line_at(y))[0]

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
        self.post_message(self.Noted(f"{offset} lines back, End returns" if offset else ""))
        self.refresh()

    def action_scroll_history(self, pages: int) -> None:
        self.scroll_lines(pages * max(1, self.size.height - 2))

    def scroll_to_live(self) -> None:
        if self._view_top is not None:
            self.scroll_lines(self.emulator.history_length)

    # -- looking back (what `look_back.Lines` asks for) --------------------------------------------------------

    @property
    def first(self) -> int:
        on_screen_only = self.emulator.alternate_screen
        return self.emulator.history_total - (0 if on_screen_only else self.emulator.history_length)

    @property
    def last(self) -> int:
        return self.emulator.history_total + self.emulator.rows - 1

    def texts(self, first: int, last: int) -> list[str]:
        total, length = self.emulator.history_total, self.emulator.history_length
        rows = (
            self.emulator.history_row(number - total + length) if number < total else self._rows.get(number - total, ())
            for number in range(first, last + 1)
        )
        return ["".join(text for text, _ in row).rstrip() for row in rows]

    def _line_at(self, y: int) -> int:
        """The number of the line shown in row `y`."""
        return self.emulator.history_total - self.history_offset + y

    def action_look_back(self) -> None:
        """Search, select and copy with the keyboard; again: back to the shell."""
        if self._look is not None:
            self._end_look()
            return
        if self._view_top is None:
            self._view_top = self.emulator.history_total
            column, row = self.emulator.cursor or (0, self.emulator.rows - 1)
            cursor = Position(self._line_at(row), column)
        else:
            cursor = Position(self._line_at(self.size.height - 1), 0)
        self._look = LookBack(self, self.size.height, cursor)
        self._say_look()

    def _end_look(self) -> None:
        self._look = None
        self._view_top = None
        self.post_message(self.Noted(""))
        self.refresh()

    def _look_key(self, event: events.Key) -> None:
        look = self._look
        assert look is not None
        asked = look.key(event.key, event.character)
        if asked == "copy" and look.selecting:
            self.post_message(self.Copied(look.selected()))
        if asked:
            self._end_look()
            return
        if not self.emulator.alternate_screen:
            self._view_top = look.top(self._line_at(0))
        self._say_look()

    def _say_look(self) -> None:
        if self._look is not None:
            keys = next((keys for keys in KEYS if len(keys) < self.size.width - 4), KEYS[-1])
            self.post_message(self.Noted(self._look.note or keys))
        self.refresh()

    # -- input -------------------------------------------------------------------------------------------------

    def action_leave(self) -> None:
        self._look = None
        self.scroll_to_live()
        self.screen.set_focus(None)  # at once: what is typed next is not the shell's
        self.post_message(self.Leave())

    async def _on_key(self, event: events.Key) -> None:
        if self._look is not None:
            event.stop()
            event.prevent_default()
            self._look_key(event)
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
