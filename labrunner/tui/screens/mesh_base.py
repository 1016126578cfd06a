"""What the screens of the mesh share: the desk, the picture as it changes, requests sent on a worker, and faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.worker import Worker, WorkerState

from labrunner.check.http_probe import Answer, Request
from labrunner.run.mesh.picture import Edge, Picture
from labrunner.run.mesh.source import Exchange
from labrunner.run.mesh.way import Way
from labrunner.tui.mesh.desk import MeshDesk, again
from labrunner.tui.screens.base import SizedScreen
from labrunner.tui.widgets.header_bar import HeaderBar

if TYPE_CHECKING:
    from labrunner.tui.app import LabrunnerApp


class MeshBase(SizedScreen):
    """Composed by its heirs. `where`: what the header calls it."""

    where = "Mesh"
    help_place = "mesh"
    """Whose keys the help shows first."""

    class Changed(Message):
        """The picture did."""

    def __init__(self, desk: MeshDesk, lab_title: str) -> None:
        super().__init__()
        self.desk = desk
        self._lab_title = lab_title
        self.picture = Picture()
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def _labrunner(self) -> LabrunnerApp:
        from labrunner.tui.app import LabrunnerApp

        assert isinstance(self.app, LabrunnerApp)
        return self.app

    def on_mount(self) -> None:
        self.set_class(self._labrunner.symbols.ascii, "-ascii")
        self.query_one(HeaderBar).set_place([self._lab_title, "Mesh", self.where], self._labrunner.symbols)
        self._unsubscribe = self.desk.source.subscribe(self._wake)
        self._take_picture()

    def on_unmount(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()

    def _wake(self) -> None:
        self.post_message(self.Changed())

    @on(Changed)
    def _take_picture(self) -> None:
        self.picture = self.desk.source.picture().drawn()
        self.query_one(HeaderBar).set_status(self._status())
        self.pictured()

    def pictured(self) -> None:
        """There is another `picture`."""

    def _status(self) -> Content:
        symbols, picture = self._labrunner.symbols, self.picture
        if picture.unavailable:
            return Content.styled(f"{symbols.error} no traffic seen here", "$warning")
        if picture.problem:
            return Content.styled(f"{symbols.failed} no Envoy", "$error")
        if not picture.known:
            return Content.styled(f"{symbols.ring} asking", "$muted")
        if picture.pending:
            return Content.styled(f"{symbols.running} changes on their way", "$warning")
        members = sum(node.in_mesh for node in picture.nodes)
        return Content.assemble(f"{members} of {len(picture.nodes)} in the mesh ", (symbols.dot, "$success"))

    def notice(self) -> str:
        """What must be said about the picture as a whole; empty when it speaks for itself."""
        picture = self.picture
        if picture.problem:
            return picture.problem
        if picture.unavailable:
            return picture.unavailable
        if not picture.known:
            return "Asking the cluster what runs in it."
        if not picture.nodes:
            return "No workload runs yet: there is nothing to draw."
        if not picture.has_mesh:
            return "No workload here is in the mesh: none has a sidecar, and no gateway runs. Nobody sees its traffic."
        if not picture.edges:
            matrix, ask = self._labrunner.key("mesh.matrix"), self._labrunner.key("mesh.ask")
            return f"No request was seen yet. {matrix} measures who reaches whom, {ask} asks what you like."
        return ""

    # -- requests

    def open_trace(self, exchange: Exchange) -> None:
        from labrunner.tui.screens.trace import TraceScreen

        self.app.push_screen(TraceScreen(self.desk, self._lab_title, exchange))

    def open_composer(self, request: Request | None) -> None:
        from labrunner.tui.screens.composer import ComposerScreen

        self.app.push_screen(ComposerScreen(self.desk, self._lab_title, request))

    @work(thread=True, exclusive=True, exit_on_error=False, group="trace")
    def trace_edge(self, edge: Edge) -> None:
        """Open the trace of the last request over an edge."""
        request = again(edge, self.picture) or Request(
            f"http://{edge.authority or edge.target}{edge.path}", edge.source
        )
        way = self.desk.source.way(edge.request_id, request) if edge.request_id else Way()
        answer = Answer(edge.request_id, 0, edge.code, {}, "", 0.0, "" if edge.code else "the connection was cut")
        send = self._labrunner.key("mesh.again")
        missing = f"Its log is gone, or it was no HTTP request: {send} on the map sends one that can be followed."
        exchange = Exchange(request, answer, way, at=edge.at, untraced="" if way.hops else missing)
        self.app.call_from_thread(self.open_trace, exchange)

    @work(thread=True, exclusive=True, exit_on_error=False, group="send")
    def send(self, request: Request, times: int = 1, then: Callable[[Exchange], None] | None = None) -> None:
        """Send for real; `then` has the outcome, on the app's thread."""
        exchange = self.desk.source.send(request, times)

        def done() -> None:
            self.desk.add(exchange)
            if then is not None and self.is_attached:
                then(exchange)

        self.app.call_from_thread(done)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self._labrunner.report(event.worker.error)
            self.failed(event.worker.group)

    def failed(self, group: str) -> None:
        """A worker of this group ended with an error, which was said."""

    def action_back(self) -> None:
        self.dismiss(None)
