"""A runnable block inside the instructions: its command, its run key, how its last run went."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.highlight import highlight
from textual.message import Message
from textual.widget import Widget

from labrunner.lab.model import Block
from labrunner.tui import format as fmt
from labrunner.tui.session_view import BlockView
from labrunner.tui.symbols import Symbols

_TAIL_LINES = 3


class BlockCard(Widget, can_focus=True):
    """Enter or a click posts `Run`."""

    DEFAULT_CSS = """
    BlockCard {
        height: auto;
        margin: 0 1 1 1;
        padding: 0 1;
        background: $panel;
        border-left: outer $primary 60%;
    }
    BlockCard:hover { background: $panel-lighten-1; }
    BlockCard:focus { border-left: outer $accent; background: $boost; }
    BlockCard.-ok { border-left: outer $success; }
    BlockCard.-failed { border-left: outer $error; }
    BlockCard.-running, BlockCard.-started { border-left: outer $accent; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "run", "Run this", id="block.run", show=False, tooltip="Run the focused block"),
        Binding("e", "screen.edit_block", "Edit", id="lab.edit", tooltip="Change the command, then run it"),
        Binding("y", "screen.copy_block", "Copy", id="lab.copy", tooltip="Copy the command"),
        Binding("o", "screen.show_output", "Output", id="lab.output", tooltip="What it printed"),
    ]

    @dataclass
    class Run(Message):
        block: Block
        role: str

    def __init__(self, block: Block, symbols: Symbols, role: str = "block") -> None:
        super().__init__()
        self.block = block
        self.role = role
        self.state = BlockView()
        self.show_output = False
        self.difference: str | None = None
        """Of a solution: what it would change in the cluster; empty: nothing; None: not known."""
        self._symbols = symbols
        self._columns = 0
        """Columns of text at the last layout."""
        self._command = highlight(block.run.rstrip("\n"), language="bash")
        if block.title:
            self.tooltip = f"Click to run: {block.title}"

    def show(self, state: BlockView | None, show_output: bool) -> None:
        """`show_output`: the tail of the output too, for when the shell is out of sight."""
        now = dataclasses.replace(state) if state else BlockView()
        if (now, show_output) == (self.state, self.show_output):
            return
        self.state, self.show_output = now, show_output
        for name in ("ok", "failed", "running", "started"):
            self.set_class(self.state.state == name, f"-{name}")
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._columns = width
        return super().get_content_height(container, viewport, width)

    def render(self) -> Content:
        return Content("\n").join(self._lines())

    def _lines(self) -> list[Content]:
        symbols, state = self._symbols, self.state
        title = self.block.title or "Run"
        marks = [
            word
            for word, holds in (
                ("asks first", bool(self.block.confirm)),
                ("needs you at the keyboard", self.block.interactive),
                ("keeps running", self.block.background),
            )
            if holds
        ]
        head = Content.assemble(
            (f"{symbols.play} ", "bold $accent"),
            (title, "bold"),
            (
                f"  {' · '.join(marks)}" if marks and not symbols.ascii else "".join(f"  ({m})" for m in marks),
                "$warning",
            ),
        )
        lines = [head, self._command]
        if state.command and not state.typed and state.command.strip() != self.block.run.strip():
            lines.append(Content.styled(f"{symbols.bar} run as you edited it", "$warning"))
        lines += self._difference()
        note = self._note()
        if note is not None:
            lines.append(note)
        if self.show_output or state.state == "failed":
            tail = [line for line in state.output.rstrip().splitlines() if line.strip()][-_TAIL_LINES:]
            lines += [line for text in tail for line in self._behind_bar(text)]
        return lines

    def _behind_bar(self, text: str) -> list[Content]:
        """A line of output, the bar before each line it takes here."""
        bar = f"{self._symbols.bar} "
        room = self._columns - len(bar)
        parts = Content(text.expandtabs()).fold(room) if room > 1 else [Content(text)]
        return [Content.assemble(bar, part).stylize("$muted") for part in parts]

    def show_difference(self, difference: str | None) -> None:
        if difference != self.difference:
            self.difference = difference
            self.refresh(layout=True)

    def _difference(self) -> list[Content]:
        """Signs carry the meaning; colour repeats it."""
        if self.difference is None:
            return []
        if not self.difference:
            return [Content.styled("The cluster already has all of this.", "$success")]
        lines = [Content.styled("Against what the cluster has now:", "$muted")]
        for line in self.difference.splitlines():
            style = {"+": "$success", "-": "$error", "@": "bold $primary"}.get(line[:1], "$muted")
            lines.append(Content.styled(line.removeprefix("@ "), style))
        return lines

    @property
    def note(self) -> Content:
        """How its last run went."""
        return self._note() or Content.styled("It has not run yet.", "$muted")

    def _note(self) -> Content | None:
        symbols, state = self._symbols, self.state
        took = fmt.duration(state.seconds) + (", typed by hand" if state.typed else "")
        match state.outcome:
            case "":
                return None
            case "running":
                return Content.styled(f"{symbols.running} running", "$accent")
            case "ok":
                return Content.styled(f"{symbols.passed} exit {state.exit}, {took}", "$success")
            case "started":
                return Content.styled(f"{symbols.dot} running in the background", "$accent")
            case "unexpected-exit":
                wanted = self.block.expect.exit
                return Content.styled(f"{symbols.failed} exit {state.exit}, expected {wanted}, {took}", "$error")
            case "unexpected-output":
                return Content.styled(
                    f"{symbols.failed} the output does not match /{self.block.expect.output}/, {took}", "$error"
                )
            case "timeout":
                return Content.styled(
                    f"{symbols.failed} stopped after {fmt.duration(self.block.timeout)}: took too long", "$error"
                )
            case "interrupted":
                return Content.styled(f"{symbols.stop} interrupted after {took}", "$warning")
            case "shell-died":
                return Content.styled(f"{symbols.failed} the shell ended; a new one was started", "$error")
        return Content.styled(f"{symbols.failed} {state.outcome}", "$error")

    def action_run(self) -> None:
        self.post_message(self.Run(self.block, self.role))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.focus()
        self.action_run()
