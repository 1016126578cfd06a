"""A mesh that follows a script: the same protocol as the real one, no process, no clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from labrunner.check.http_probe import Answer, Request
from labrunner.errors import LabrunnerError
from labrunner.run.mesh.picture import Edge, Node, Picture, Pod, Port, Resources, Service
from labrunner.run.mesh.source import Exchange, Stop
from labrunner.run.mesh.way import Hop, Way

SA = "spiffe://cluster.local/ns/{}/sa/{}"
AT = 1767323045.0


def workload(
    namespace: str, name: str, *, proxies: int = 1, serves: str = "", mtls: str = "", policies: int = 0
) -> Node:
    services = (Service(f"{serves}.{namespace}", (Port(8080, "http"),)),) if serves else ()
    return Node(
        f"{namespace}/{name}", name, namespace, proxies=proxies, mtls=mtls if proxies else "", policies=policies,
        services=services, caller=f"{name}-7ccd97b5f-9s2km",
    )  # fmt: skip


def request_edge(source: str, target: str, *, mtls: bool = True, verdict: str = "allowed", code: int = 200,
                 rate: float = 0.5, wrong: float = 0.0, **more: object) -> Edge:  # fmt: skip
    return Edge(
        source, target, mtls, verdict, code=code, method="GET", path="/status/200",  # type: ignore[arg-type]
        authority="payment.tenant-a:8080", request_id=f"{source}-{target}", at=AT, rate=rate, wrong=wrong, total=12,
        errors=3 if wrong else 0, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def make_picture() -> Picture:
    """Two tenants, a gateway, a client without a sidecar; every verdict."""
    nodes = (
        Node("outside", "internet", kind="client"),
        Node("istio-ingress/gateway", "gateway", "istio-ingress", "gateway", proxies=1, caller="gateway-1"),
        workload("tenant-a", "order", mtls="STRICT", policies=1),
        workload("tenant-a", "notify", mtls="STRICT", policies=1),
        workload("tenant-a", "payment-v1", serves="payment", mtls="STRICT", policies=2),
        workload("tenant-a", "inventory-v1", serves="inventory", mtls="STRICT", policies=1),
        workload("tenant-b", "order", proxies=0),
        workload("tenant-b", "inventory-v1", serves="inventory", mtls="PERMISSIVE"),
        workload("outside", "legacy", proxies=0),
        Node("host:api.bank.example", "api.bank.example", kind="external"),
        Node("kube-system/coredns", "coredns", "kube-system", system=True),
    )
    edges = (
        request_edge("outside", "istio-ingress/gateway", mtls=False, rate=3.2),
        request_edge("istio-ingress/gateway", "tenant-a/order", rate=3.2, wrong=0.02),
        request_edge("tenant-a/order", "tenant-a/payment-v1", rate=2.4),
        request_edge("tenant-a/order", "tenant-a/inventory-v1", stale=True, expected=True, rate=0),
        request_edge("tenant-a/notify", "tenant-a/payment-v1", verdict="denied", code=403, rate=0.1, wrong=1),
        request_edge("outside/legacy", "tenant-a/payment-v1", mtls=False, stale=True, expected=False, rate=0),
        request_edge("tenant-b/order", "tenant-b/inventory-v1", mtls=False, verdict="answered", code=503, wrong=1),
        request_edge("tenant-a/payment-v1", "host:api.bank.example", mtls=False, verdict="failed", code=0, wrong=1),
    )
    return Picture(nodes, edges, known=True)


def denied_way() -> Way:
    caller, called = SA.format("tenant-a", "notify"), SA.format("tenant-a", "payment")
    outbound = Hop(
        "notify.tenant-a", "outbound", listener="0.0.0.0_8080", route="default", endpoint="10.244.2.5:8080",
        cluster="outbound|8080||payment.tenant-a.svc.cluster.local", pod="payment-v1-7c48-52ctg.tenant-a",
        server=called, tls="mTLS", code=403, milliseconds=3, verdict="answered",
    )  # fmt: skip
    inbound = Hop(
        "payment-v1.tenant-a", "inbound", listener="0.0.0.0_8080", client=caller, incoming="mTLS TLSv1.3",
        tls="mTLS TLSv1.3", code=403, milliseconds=1, verdict="denied",
        details="rbac_access_denied_matched_policy[none]",
        why="denied: no rule of tenant-a/payment-callers matched",
        change=(
            "tenant-a/payment-callers rules[0] from.principals wants cluster.local/ns/tenant-a/sa/order; "
            f"it is {caller.removeprefix('spiffe://')}",
        ),
    )  # fmt: skip
    return Way((outbound, inbound), "notify-7ccd.tenant-a", caller, "payment-v1-7c48-52ctg.tenant-a", "unreached")


class ScriptedMesh:
    """`answers`: (caller pod's beginning, part of the URL) -> (status, mTLS or None for no hops)."""

    def __init__(self, picture: Picture | None = None) -> None:
        self.now = picture or make_picture()
        self.untraced = ""
        self.sent: list[tuple[Request, int]] = []
        self.fault: LabrunnerError | None = None
        self.denied: set[tuple[str, str]] = {("notify", "payment")}
        self.cannot: set[str] = set()
        """Beginnings of callers that have no curl."""
        self.hold = threading.Event()
        """While cleared, `send_all` does not go beyond its first answer."""
        self.hold.set()
        self.closed = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def picture(self) -> Picture:
        return self.now

    def change(self, **fields: object) -> None:
        """There is another picture."""
        self.now = replace(self.now, **fields)  # type: ignore[arg-type]
        for listener in list(self._listeners):
            listener()

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def resources(self, node_id: str) -> Resources | None:
        if self.fault is not None:
            raise self.fault
        if self.now.node(node_id) is None:
            return None
        return Resources(
            node_id,
            (Pod("payment-v1-7c48-52ctg", "10.244.2.5", True, "SYNCED", "", SA.format("tenant-a", "payment"),
                 "2026-11-22T12:47:52+00:00"),),
            "payment",
            {"app": "payment"},
            (("payment.tenant-a.svc.cluster.local", "8080/http"),),
            "STRICT",
            "tenant-a/default",
            {},
            (("AuthorizationPolicy", "tenant-a/payment-callers", "ALLOW, 1 rule"),
             ("PeerAuthentication", "tenant-a/default", "STRICT")),
        )  # fmt: skip

    def way(self, request_id: str, request: Request) -> Way:
        if self.fault is not None:
            raise self.fault
        return denied_way() if "notify" in request_id else Way()

    def send(self, request: Request, times: int = 1) -> Exchange:
        if self.fault is not None:
            raise self.fault
        self.sent.append((request, times))
        exchange = self._exchange(request)
        answers = (exchange.answer,) * times if exchange.answer else ()
        return replace(exchange, answers=answers)

    def _exchange(self, request: Request) -> Exchange:
        pod = request.source.rpartition("/")[2]
        if any(pod.startswith(name) for name in self.cannot):
            return Exchange(request, fault=f"{request.source} has no curl.", at=AT)
        if any(pod.startswith(who) and what in request.url for who, what in self.denied):
            answer = Answer("id", 0, 403, {"server": "envoy"}, "RBAC: access denied", 0.004)
            return Exchange(request, answer, Way() if self.untraced else denied_way(), at=AT, untraced=self.untraced)
        answer = Answer("id", 0, 200, {"content-type": "text/plain"}, "ok\n", 0.012)
        caller = SA.format("tenant-a", "order")
        mutual = not pod.startswith("legacy") and request.namespace != "tenant-b"
        tls = "mTLS TLSv1.3" if mutual else "plaintext"
        hop = Hop(
            "payment-v1.tenant-a", "inbound", listener="0.0.0.0_8080", client=caller if mutual else "10.244.0.7:46929",
            incoming=tls, tls=tls, code=200, verdict="allowed",
        )  # fmt: skip
        way = Way(
            (hop,), f"{pod}.{request.namespace}", caller if mutual else "", "payment-v1-7c48.tenant-a", "answered"
        )
        return Exchange(request, answer, Way() if self.untraced else way, at=AT, untraced=self.untraced)

    def send_all(
        self, requests: Sequence[Request], each: Callable[[int, Exchange], None], stop: Stop = lambda: False
    ) -> None:
        if self.fault is not None:
            raise self.fault
        for index, request in enumerate(requests):
            if stop():
                return
            each(index, self._exchange(request))
            while not self.hold.wait(0.01):
                if stop():
                    return

    def close(self) -> None:
        self.closed = True
