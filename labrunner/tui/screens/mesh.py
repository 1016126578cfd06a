"""The mesh as it is now: who talks to whom, over what, and whether they are let in."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from labrunner.check.http_probe import Request
from labrunner.run.mesh.picture import Edge, Node
from labrunner.tui.mesh.desk import again, caller_of, urls
from labrunner.tui.mesh.drawing import Chosen
from labrunner.tui.mesh.words import about_edge, about_node, legend
from labrunner.tui.screens.mesh_base import MeshBase
from labrunner.tui.widgets.header_bar import HeaderBar
from labrunner.tui.widgets.key_bar import KeyBar
from labrunner.tui.widgets.mesh_list import MeshList
from labrunner.tui.widgets.mesh_map import MeshMap


class MeshScreen(MeshBase):
    """A map, or a list where the terminal is narrow (`v` swaps them), and what is known of the chosen one."""

    CSS_PATH = "mesh.tcss"
    where = "Map"
    help_place = "mesh"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="mesh.open", tooltip="A workload's resources, or a wire's trace"),
        Binding("t", "trace", "Trace", id="mesh.trace", tooltip="The last request over the chosen wire, hop by hop"),
        Binding("s", "send_again", "Resend", id="mesh.again", tooltip="Send the wire's last request once more"),
        Binding("a", "ask", "Ask", id="mesh.ask", tooltip="Compose a request and send it as a workload"),
        Binding("x", "matrix", "Matrix", id="mesh.matrix", tooltip="Who reaches whom, measured by real requests"),
        Binding("v", "swap", "List", id="mesh.swap", tooltip="The map as a list, and back"),
        Binding("escape,m,q", "back", "Back", id="mesh.back", tooltip="Back to the lab"),
        Binding("question_mark", "app.help", "Help", id="app.help", tooltip="Keys and symbols"),
    ]

    _as_list: bool | None = None

    def compose(self) -> ComposeResult:
        symbols = self._labrunner.symbols
        yield HeaderBar()
        with Container(id="mesh-body"):
            with Vertical(id="mesh-main", classes="pane"):
                yield Static(id="mesh-notice")
                yield MeshMap(symbols, "map")
                yield MeshList(symbols, "list")
                yield Static(id="mesh-legend")
            with VerticalScroll(id="mesh-about", classes="pane"):
                yield Static(id="about")
        yield self.too_small()
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#mesh-main").border_title = "Mesh"
        self.query_one("#mesh-about").border_title = "Chosen"
        self._adopt_size()
        self._show_form()
        self._shown.focus()  # then the base's: Textual calls the handlers of all classes

    def on_resize(self, event: events.Resize) -> None:
        self._adopt_size()
        self._show_form()
        self.query_one("#mesh-legend", Static).update(legend(self._labrunner.symbols, event.size.width))

    @property
    def map(self) -> MeshMap:
        return self.query_one(MeshMap)

    @property
    def list(self) -> MeshList:
        return self.query_one(MeshList)

    @property
    def _shown(self) -> MeshMap | MeshList:
        return self.list if self.has_class("-list") else self.map

    @property
    def chosen(self) -> Chosen:
        return self._shown.chosen

    def _show_form(self) -> None:
        as_list = self.narrow if self._as_list is None else self._as_list
        if as_list is not self.has_class("-list"):
            before, had_focus = self.chosen, self._shown.has_focus
            self.set_class(as_list, "-list")
            self._shown.show(self.picture)
            self._shown.choose(before)
            if had_focus:
                self._shown.focus()

    def pictured(self) -> None:
        notice = self.query_one("#mesh-notice", Static)
        text = self.notice()
        notice.update(text)
        notice.display = bool(text)
        self._shown.show(self.picture)
        self._about()

    def _about(self) -> None:
        symbols = self._labrunner.symbols
        what = self._meant()
        if isinstance(what, Node):
            text = about_node(what, self.picture, symbols, self._labrunner.key)
        elif isinstance(what, Edge):
            text = about_edge(what, self.picture, symbols, self._labrunner.key)
        else:
            text = Content.styled("Choose a workload or a wire with the arrows or the mouse.", "$muted")
        self.query_one("#about", Static).update(text)
        self.refresh_bindings()

    def _meant(self) -> Node | Edge | None:
        chosen = self.chosen
        if chosen is None:
            return None
        return self.picture.node(chosen) if isinstance(chosen, str) else self.picture.edge(chosen)

    @on(MeshMap.Chose)
    def _chose(self) -> None:
        self._about()

    @on(MeshMap.Opened)
    def _opened(self) -> None:
        self.action_open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("open", "trace", "send_again") and self.is_mounted:
            what = self._meant()
            fits = {"open": what is not None, "trace": isinstance(what, Edge)}
            return True if fits.get(action, isinstance(what, Edge) and again(what, self.picture) is not None) else None
        return True

    def action_open(self) -> None:
        what = self._meant()
        if isinstance(what, Edge):
            self.action_trace()
        elif isinstance(what, Node):
            if what.kind in ("client", "external"):
                self.notify("That is outside the cluster: there is nothing to look into.")
                return
            from labrunner.tui.screens.mesh_node import NodeScreen

            self.app.push_screen(NodeScreen(self.desk, what, self._labrunner.symbols, self._labrunner.key))

    def action_trace(self) -> None:
        what = self._meant()
        if isinstance(what, Edge):
            self.trace_edge(what)

    def action_send_again(self) -> None:
        what = self._meant()
        request = again(what, self.picture) if isinstance(what, Edge) else None
        if request is not None:
            self.send(request)

    def action_ask(self) -> None:
        what = self._meant()
        request: Request | None = None
        if isinstance(what, Edge):
            request = again(what, self.picture)
            if request is None and (found := urls([n for n in self.picture.nodes if n.id == what.target])):
                request = Request(found[0], *caller_of(self.picture.node(what.source)))
        elif isinstance(what, Node) and what.kind == "workload":
            request = Request("", *caller_of(what))
        self.open_composer(request)

    def action_matrix(self) -> None:
        from labrunner.tui.screens.matrix import MatrixScreen

        self.app.push_screen(MatrixScreen(self.desk, self._lab_title))

    def action_swap(self) -> None:
        self._as_list = not self.has_class("-list")
        self._show_form()
        self._about()
