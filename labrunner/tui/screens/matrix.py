"""Who reaches whom: every workload that can call asks every service, for real, and the cell says what came of it."""

from __future__ import annotations

import re
import threading
from typing import ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from labrunner.run.mesh.source import Exchange
from labrunner.tui.mesh.desk import MeshDesk, name_of
from labrunner.tui.mesh.matrix import Matrix, matrix_of
from labrunner.tui.mesh.words import STATES, colour, legend
from labrunner.tui.screens.mesh_base import MeshBase
from labrunner.tui.widgets.header_bar import HeaderBar
from labrunner.tui.widgets.key_bar import KeyBar

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_NOTHING = "No workload here can ask a service: none is ready, or there is no service."
_ASKED = re.compile(r"^\s*(?:([A-Za-z]+)\s+)?(/\S*)\s*$")


class MatrixScreen(MeshBase):
    """`r` measures, `i` stops; Enter on a cell opens its trace."""

    CSS_PATH = "matrix.tcss"
    where = "Matrix"
    help_place = "matrix"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "measure", "Measure", id="matrix.run", tooltip="Send every cell's request now"),
        Binding("i", "stop", "Stop", id="matrix.stop", tooltip="Stop measuring; what is there stays"),
        Binding("t", "trace", "Trace", id="matrix.trace", tooltip="The chosen cell's request, hop by hop"),
        Binding("a", "ask", "Ask", id="matrix.ask", tooltip="Change the chosen cell's request, then send it"),
        Binding("p", "path", "Path", id="matrix.path", tooltip="What to ask: method and path of every cell"),
        Binding("escape,x", "back", "Back", id="matrix.back", tooltip="Back to the map"),
        Binding("question_mark", "app.help", "Help", id="app.help", tooltip="Keys and symbols"),
    ]

    class Measured(Message):
        """One cell's request was answered."""

        def __init__(self, matrix: Matrix, index: int, exchange: Exchange) -> None:
            super().__init__()
            self.matrix, self.index, self.exchange = matrix, index, exchange

    class Ended(Message):
        """No cell is on its way any more."""

        def __init__(self, matrix: Matrix) -> None:
            super().__init__()
            self.matrix = matrix

    def __init__(self, desk: MeshDesk, lab_title: str) -> None:
        super().__init__(desk, lab_title)
        self._stop = threading.Event()
        self._laid: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield HeaderBar()
        with Vertical(id="matrix-pane", classes="pane"):
            yield Static(id="matrix-notice")
            yield Input(value="GET /", id="matrix-asked", compact=True)
            yield DataTable(id="matrix", header_height=2, cursor_foreground_priority="css", zebra_stripes=False)
            yield Static(id="matrix-cell")
            yield Static(id="matrix-legend")
        yield self.too_small()
        yield KeyBar()

    def on_mount(self) -> None:
        pane = self.query_one("#matrix-pane")
        pane.border_title = "Who reaches whom"
        if self.desk.matrix is not None:
            self.query_one("#matrix-asked", Input).value = f"{self.desk.matrix.method} {self.desk.matrix.path}"
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw())
        self.table.focus()

    def on_unmount(self) -> None:
        self._stop.set()

    def on_resize(self, event: events.Resize) -> None:
        self._adopt_size()
        self.query_one("#matrix-legend", Static).update(legend(self._labrunner.symbols, event.size.width))

    @property
    def table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    @property
    def matrix(self) -> Matrix | None:
        return self.desk.matrix

    def pictured(self) -> None:
        notice = self.query_one("#matrix-notice", Static)
        text = self.notice() if self.picture.edges or self.picture.problem or not self.picture.nodes else ""
        if self.picture.unavailable:
            text = self.picture.unavailable
        notice.update(text)
        notice.display = bool(text)
        if self.picture.nodes and (self.matrix is None or not self.matrix.cells) and not self._measuring:
            self.desk.matrix = matrix_of(self.picture, *self._asked())
        self._draw()

    @property
    def _measuring(self) -> bool:
        return self.matrix is not None and self.matrix.running

    def _asked(self) -> tuple[str, str]:
        """(path, method) as typed; "/" and GET where that cannot be read."""
        found = _ASKED.match(self.query_one("#matrix-asked", Input).value)
        method = (found[1] or "GET").upper() if found else ""
        return (found[2], method) if found and method in METHODS else ("/", "GET")

    # -- drawing

    def _draw(self) -> None:
        matrix, table = self.matrix, self.table
        if matrix is None:
            return
        laid = (matrix.callers, matrix.goals)
        if laid != self._laid:
            self._laid = laid
            table.clear(columns=True)
            for goal in matrix.goals:
                name, _, rest = goal.name.partition(".")
                table.add_column(Text(f"{name}\n{rest}"), width=max(9, len(name), len(rest)))
            for row, caller in enumerate(matrix.callers):
                label = Text.assemble((caller.name, "bold"), (f".{caller.namespace}", self._colour("$muted")))
                cells = [self._cell(matrix, row, column) for column in range(len(matrix.goals))]
                table.add_row(*cells, label=label)
        else:
            for row in range(len(matrix.callers)):
                for column in range(len(matrix.goals)):
                    table.update_cell_at(Coordinate(row, column), self._cell(matrix, row, column))
        self._say()

    def _colour(self, token: str) -> str:
        return self.app.theme_variables.get(token.removeprefix("$"), "")

    def _cell(self, matrix: Matrix, row: int, column: int) -> Text:
        symbols = self._labrunner.symbols
        exchange = matrix.cells.get((row, column))
        if exchange is None:
            return Text(f" {symbols.running if matrix.running else symbols.todo}", self._colour("$muted"))
        if exchange.answer is None:
            return Text(" cannot", self._colour("$muted"))
        code = str(exchange.answer.status) if exchange.answer.status else "cut"
        mark = f"{symbols.lock(exchange.mtls)}{symbols.verdict(exchange.state)} {code}"
        return Text(f" {mark}", self._colour(colour(exchange.state)))

    def _say(self) -> None:
        matrix = self.matrix
        if matrix is None or not self.is_mounted:
            return
        states = [exchange.state for exchange in matrix.cells.values()]
        counts = [
            f"{states.count(state)} {word}"
            for state, word in (
                ("allowed", "let in"), ("denied", "denied"), ("answered", "4xx/5xx"), ("failed", "cut"),
                ("fault", "could not ask"),
            )
            if state in states
        ]  # fmt: skip
        progress = f"{len(states)} of {matrix.count}"
        how = "measuring" if matrix.running else "stopped" if matrix.stopped else "measured"
        pane = self.query_one("#matrix-pane")
        pane.border_subtitle = (
            f"{how} {progress}{': ' if counts else ''}{', '.join(counts)}" if states or matrix.running else ""
        )
        self.query_one("#matrix-cell", Static).update(self._about_cell())
        self.refresh_bindings()

    def _about_cell(self) -> Content:
        matrix = self.matrix
        if matrix is None or not matrix.count:
            return Content.styled(_NOTHING, "$muted")
        row, column = self.table.cursor_coordinate
        if row >= len(matrix.callers) or column >= len(matrix.goals):
            return Content("")
        symbols = self._labrunner.symbols
        caller, goal = matrix.callers[row], matrix.goals[column]
        pair = f"{caller.name}.{caller.namespace} {symbols.arrow} {matrix.method} {goal.name}{matrix.path}"
        exchange = matrix.cells.get((row, column))
        if exchange is None:
            what = Content.styled(
                "on its way"
                if matrix.running
                else f"not measured yet: {self._labrunner.key('matrix.run')} sends them all",
                "$muted",
            )
        elif exchange.answer is None:
            what = Content.styled(exchange.fault, "$warning")
        else:
            over = {True: " over mutual TLS", False: " in plaintext", None: ""}[exchange.mtls]
            deciding = exchange.way.deciding
            said = exchange.hops[deciding].why if deciding >= 0 else exchange.way.why
            why = f": {said}" if said and exchange.state != "allowed" else ""
            what = Content.styled(
                f"{exchange.answer.outcome()}, {STATES[exchange.state]}{over}{why}", colour(exchange.state)
            )
        return Content.assemble((pair, "bold"), "\n", what)

    # -- what one does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action == "measure":
            return True if not self._measuring and self.matrix is not None and self.matrix.count else None
        if action == "stop":
            return self._measuring
        if action == "trace":
            exchange = self._chosen
            return True if exchange is not None and exchange.answer is not None else None
        return True

    @property
    def _chosen(self) -> Exchange | None:
        if self.matrix is None:
            return None
        row, column = self.table.cursor_coordinate
        return self.matrix.cells.get((row, column))

    def action_measure(self) -> None:
        if self._measuring or not self.picture.nodes:
            return
        typed = self.query_one("#matrix-asked", Input).value
        path, method = self._asked()
        if not _ASKED.match(typed) or method not in typed.upper() + "GET":
            self.notify(f"'{typed}' is no request: write it as GET /path. GET / is asked.", severity="warning")
        matrix = matrix_of(self.picture, path, method)
        if not matrix.count:
            self.notify(_NOTHING, severity="warning")
            return
        self.desk.matrix = matrix
        matrix.running = True
        self._stop.clear()
        self._draw()
        self._measure(matrix)

    @work(thread=True, exclusive=True, exit_on_error=False, group="matrix")
    def _measure(self, matrix: Matrix) -> None:
        def each(index: int, exchange: Exchange) -> None:
            self.post_message(self.Measured(matrix, index, exchange))

        try:
            self.desk.source.send_all(matrix.requests(), each, self._stop.is_set)
        finally:
            matrix.running = False
            self.post_message(self.Ended(matrix))

    @on(Measured)
    def _measured(self, message: Measured) -> None:
        message.matrix.cells[message.matrix.place(message.index)] = message.exchange
        if message.matrix is self.matrix:
            row, column = message.matrix.place(message.index)
            self.table.update_cell_at(Coordinate(row, column), self._cell(message.matrix, row, column))
            self._say()

    @on(Ended)
    def _ended(self, message: Ended) -> None:
        message.matrix.stopped = len(message.matrix.cells) < message.matrix.count
        self._draw()

    def action_stop(self) -> None:
        self._stop.set()

    @on(DataTable.CellHighlighted)
    def _moved(self) -> None:
        self._say()

    @on(DataTable.CellSelected)
    def _selected(self) -> None:
        self.action_trace()

    def action_trace(self) -> None:
        exchange = self._chosen
        if exchange is not None and exchange.answer is not None:
            self.open_trace(exchange)
        elif exchange is not None:
            self.notify(
                exchange.fault, title=f"{name_of(exchange.request, self.picture)} could not ask", severity="warning"
            )
        else:
            self.notify(f"This cell was not measured yet: {self._labrunner.key('matrix.run')} sends them all.")

    def action_ask(self) -> None:
        if self.matrix is not None and self.matrix.count:
            row, column = self.table.cursor_coordinate
            self.open_composer(self.matrix.requests()[row * len(self.matrix.goals) + column])

    def action_path(self) -> None:
        self.query_one("#matrix-asked", Input).focus()

    @on(Input.Submitted, "#matrix-asked")
    def _submitted(self) -> None:
        self.table.focus()
        self.action_measure()
