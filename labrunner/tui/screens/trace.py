"""A request's way, hop by hop: what each proxy did, who decided, and what would have to change."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from labrunner.run.mesh.source import Exchange
from labrunner.tui.mesh.desk import MeshDesk
from labrunner.tui.mesh.trace_text import trace_text
from labrunner.tui.screens.mesh_base import MeshBase
from labrunner.tui.widgets.header_bar import HeaderBar
from labrunner.tui.widgets.key_bar import KeyBar


class TraceScreen(MeshBase):
    """Shows one exchange; `r` sends the request again and shows what comes of it now."""

    CSS_PATH = "trace.tcss"
    where = "Trace"
    help_place = "trace"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "replay", "Send again", id="trace.replay", tooltip="Send the same request once more"),
        Binding("e", "edit", "Change it", id="trace.edit", tooltip="Change the request, then send it"),
        Binding("y", "copy", "Copy", id="trace.copy", tooltip="Copy the trace as text"),
        Binding("escape,t,q", "back", "Back", id="trace.back", tooltip="Back"),
        Binding("question_mark", "app.help", "Help", id="app.help", tooltip="Keys and symbols"),
    ]

    def __init__(self, desk: MeshDesk, lab_title: str, exchange: Exchange) -> None:
        super().__init__(desk, lab_title)
        self.exchange = exchange
        self._sending = False

    def compose(self) -> ComposeResult:
        yield HeaderBar()
        with VerticalScroll(id="trace-pane", classes="pane"):
            yield Static(id="trace")
        yield self.too_small()
        yield KeyBar()

    def on_mount(self) -> None:
        pane = self.query_one("#trace-pane")
        pane.border_title = "Trace"
        pane.focus()
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._adopt_size()
        self.call_after_refresh(self._draw)

    def pictured(self) -> None:
        self._draw()

    def _text(self) -> str:
        return trace_text(self.exchange, self.picture, self._labrunner.symbols, self._width).plain

    @property
    def _width(self) -> int:
        return max(40, self.query_one("#trace-pane").scrollable_content_region.width - 2)

    def _draw(self) -> None:
        if self.is_mounted:
            content = trace_text(self.exchange, self.picture, self._labrunner.symbols, self._width)
            self.query_one("#trace", Static).update(content)
            self.query_one("#trace-pane").border_subtitle = "sending" if self._sending else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("replay", "edit"):
            return True if not self._sending and self._can_send else None
        return True

    @property
    def _can_send(self) -> bool:
        """Not what was only seen on a wire, by a caller that is nobody's pod here."""
        return self.picture.node(self.exchange.request.source) is None

    def action_replay(self) -> None:
        self._sending = True
        self._draw()
        self.refresh_bindings()
        self.send(self.exchange.request, 1, self._replayed)

    def failed(self, group: str) -> None:
        if group == "send":
            self._sending = False
            self._draw()
            self.refresh_bindings()

    def _replayed(self, exchange: Exchange) -> None:
        self.exchange, self._sending = exchange, False
        self._draw()
        self.refresh_bindings()

    def action_edit(self) -> None:
        self.open_composer(self.exchange.request)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._text())
        self.notify("The trace was copied.")
