"""What belongs to a workload: its pods and proxies, certificates, services, and the objects that rule calls to it."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from labrunner.run.mesh.picture import Node, Pod, Resources
from labrunner.tui.mesh.words import Keys
from labrunner.tui.symbols import Symbols

if TYPE_CHECKING:
    from labrunner.tui.mesh.desk import MeshDesk

_PROXY = {
    "SYNCED": ("holds the latest configuration", "$success"),
    "STALE": ("waits for the latest configuration", "$warning"),
    "REFUSED": ("Envoy refused its configuration", "$error"),
    "none": ("no sidecar: plaintext only, no identity", "$muted"),
}


class NodeScreen(ModalScreen[None]):
    """Asks the sandbox once, when it opens; `r` asks again."""

    CSS_PATH = "mesh_node.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "ask", "Look again", id="node.again", tooltip="Ask the sandbox again"),
        Binding("escape,enter,q", "dismiss", "Close", id="node.close", tooltip="Back to the mesh"),
    ]

    def __init__(self, desk: MeshDesk, node: Node, symbols: Symbols, key: Keys) -> None:
        super().__init__()
        self._desk, self._node, self._symbols, self._key = desk, node, symbols, key

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog -node") as dialog:
            dialog.border_title = f"{self._node.name}.{self._node.namespace}"
            dialog.border_subtitle = f"{self._key('node.again')} looks again   {self._key('node.close')} closes"
            yield Static(Content.styled("Asking the sandbox.", "$muted"), id="resources")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.action_ask()

    def action_ask(self) -> None:
        self._ask()

    @work(thread=True, exclusive=True, exit_on_error=False, group="node")
    def _ask(self) -> Resources | None:
        return self._desk.source.resources(self._node.id)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group != "node":
            return
        if event.state is WorkerState.SUCCESS:
            found = event.worker.result
            text = Content.styled("It is gone.", "$warning") if found is None else self._text(found)
            self.query_one("#resources", Static).update(text)
        elif event.state is WorkerState.ERROR and event.worker.error is not None:
            from labrunner.tui.app import LabrunnerApp

            assert isinstance(self.app, LabrunnerApp)
            message, hint = self.app.explain(event.worker.error)
            self.query_one("#resources", Static).update(Content.styled(f"{message}\n{hint}".strip(), "$warning"))

    def _text(self, found: Resources) -> Content:
        lines = [_heading("Pods")]
        for pod in found.pods:
            lines += self._pod(pod)
        lines += [_pair("account", found.account)]
        if found.mtls:
            source = f" by {found.mtls_from}" if found.mtls_from else " (nothing says otherwise)"
            ports = "".join(f", port {port} {mode}" for port, mode in found.mtls_ports.items())
            lines += [_heading("Mutual TLS"), _pair("mode", f"{found.mtls}{source}{ports}")]
        lines.append(_heading("Services"))
        lines += [_pair(host.removesuffix(".svc.cluster.local"), ports) for host, ports in found.services] or [
            Content.styled("  none: nobody can ask for it by name", "$muted")
        ]
        lines.append(_heading("What rules calls to it"))
        lines += [
            Content.assemble((f"  {kind} ", "$muted"), (name, "bold"), f"  {says}")
            for kind, name, says in found.objects
        ] or [Content.styled("  no policy, no rule: whoever reaches it is let in", "$muted")]
        return Content("\n").join(lines)

    def _pod(self, pod: Pod) -> list[Content]:
        symbols = self._symbols
        said, style = _PROXY.get(pod.proxy, (pod.proxy, ""))
        mark = symbols.passed if pod.ready else symbols.failed
        lines = [
            Content.assemble(
                (f"  {mark} ", "$success" if pod.ready else "$error"), (pod.name, "bold"), (f"  {pod.ip}", "$muted")
            ),
            Content.assemble(("    proxy     ", "$muted"), (said, style)),
        ]
        if pod.refused:
            lines.append(Content.styled(f"    {pod.refused}", "$error"))
        if pod.identity:
            lines.append(Content.assemble(("    identity  ", "$muted"), pod.identity))
            lines.append(Content.assemble(("    expires   ", "$muted"), _expiry(pod.not_after)))
        return lines


def _expiry(text: str) -> str:
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _heading(text: str) -> Content:
    return Content.styled(f"\n{text}", "bold $accent")


def _pair(name: str, value: str) -> Content:
    return Content.assemble((f"  {name}  ", "$muted"), value)
