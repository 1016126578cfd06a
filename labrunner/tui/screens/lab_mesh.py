"""What the lab screen shows of the mesh, and the ways from it to the mesh's own screens."""

from __future__ import annotations

from collections.abc import Callable

from textual import on, work
from textual.message import Message

from labrunner.lab.model import Check, Step
from labrunner.run.mesh.source import Exchange
from labrunner.tui.mesh.desk import MeshDesk
from labrunner.tui.screens.lab_actions import LabActions
from labrunner.tui.widgets.mesh_pane import MeshPane


class LabMesh(LabActions):
    """`begin_mesh` once the engine is ready, `end_mesh` when it is let go."""

    desk: MeshDesk | None = None
    _end_mesh: Callable[[], None] | None = None

    class MeshChanged(Message):
        """There is another picture."""

    def begin_mesh(self) -> None:
        """Follow the mesh in the small pane, where its traffic can be seen."""
        source = self.engine.mesh if self.engine is not None else None
        if source is None:
            return
        if self.desk is None or self.desk.source is not source:
            self.desk = MeshDesk(source)
        if not source.untraced and self._end_mesh is None:
            self._end_mesh = source.subscribe(self._mesh_changed)

    def end_mesh(self) -> None:
        end, self._end_mesh = self._end_mesh, None
        if end is not None:
            end()

    def _mesh_changed(self) -> None:
        self.post_message(self.MeshChanged())

    @on(MeshChanged)
    def _show_mesh(self) -> None:
        if self.desk is not None:
            self.query_one(MeshPane).show(self.desk.source.picture().drawn())

    @on(MeshPane.Asked)
    def _asked_for_mesh(self) -> None:
        self.action_mesh()

    def _desk_or_say(self) -> MeshDesk | None:
        if self.desk is None:
            self.notify(self._not_ready() or "This session has no mesh to look at.", severity="warning")
        return self.desk

    def action_mesh(self) -> None:
        """The whole map."""
        desk = self._desk_or_say()
        if desk is not None:
            from labrunner.tui.screens.mesh import MeshScreen

            self.app.push_screen(MeshScreen(desk, self.lab.title))

    def action_trace(self) -> None:
        """The way of the request that a failing check sends, or of the last one sent here."""
        desk = self._desk_or_say()
        if desk is None:
            return
        view = self.view.steps[self.shown]
        failing = [c for c in self.step.checks if (r := view.shown_result(c.id)) is not None and not r.passed]
        wanted = [check for check in failing if check.kind in ("request", "connectivity")]
        if wanted:
            self.notify("The check's request is sent once more, to see where it ends.", timeout=3)
            self._trace_check(desk, self.step, wanted[0])
        elif view.checking:
            self.notify("The checks are still being asked. Once one that sends a request fails, this shows its way.")
        elif desk.history:
            self._open_trace(desk, desk.history[-1])
        else:
            mesh = self._labrunner.key("lab.mesh")
            self.notify(f"No check that sends a request fails here. {mesh} opens the mesh: any wire there has a trace.")

    @work(thread=True, exclusive=True, exit_on_error=False, group="trace")
    def _trace_check(self, desk: MeshDesk, step: Step, check: Check) -> None:
        requests = self.engine.requests_of(step, check) if self.engine is not None else ()
        if not requests:
            self.app.call_from_thread(self.notify, "That check's request is not known.", severity="warning")
            return
        exchange = desk.source.send(requests[0])

        def show() -> None:
            desk.add(exchange)
            self._open_trace(desk, exchange)

        self.app.call_from_thread(show)

    def _open_trace(self, desk: MeshDesk, exchange: Exchange) -> None:
        from labrunner.tui.screens.trace import TraceScreen

        self.app.push_screen(TraceScreen(desk, self.lab.title, exchange))
