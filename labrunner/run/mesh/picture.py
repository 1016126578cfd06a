"""The mesh at one moment, as values: workloads, who talks to whom, and what belongs to a workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["workload", "gateway", "client", "external"]
Verdict = Literal["allowed", "denied", "failed", "answered"]
"""`failed`: no proper answer came. `answered`: with an error of the called program's own."""


@dataclass(frozen=True, slots=True)
class Port:
    """`kind`: Istio's protocol (http, grpc, tcp, ...)."""

    number: int
    kind: str

    @property
    def is_http(self) -> bool:
        return self.kind in ("http", "http2", "grpc", "grpc-web", "auto")


@dataclass(frozen=True, slots=True)
class Service:
    """`host`: as one would ask for it, `payment.tenant-a`."""

    host: str
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A workload, a gateway, whoever calls from outside (`client`), or a host outside (`external`)."""

    id: str
    name: str
    namespace: str = ""
    kind: Kind = "workload"
    pods: int = 1
    ready: int = 1
    proxies: int = 0
    """How many of its pods have a sidecar."""
    mtls: str = ""
    """STRICT, PERMISSIVE or DISABLE; empty where there is no sidecar to mind it."""
    policies: int = 0
    """AuthorizationPolicies that apply to it."""
    refused: str = ""
    """Why Envoy did not take its configuration; empty when it did."""
    system: bool = False
    """Of the cluster itself, not of anybody's application."""
    services: tuple[Service, ...] = ()
    caller: str = ""
    """A pod of it that can be made to call; empty when none is ready."""

    @property
    def in_mesh(self) -> bool:
        return self.kind == "gateway" or self.proxies > 0


@dataclass(frozen=True, slots=True)
class Edge:
    """Requests from one node to another. `rate`: per second; `wrong`: the share of them that went wrong, 0 to 1."""

    source: str
    target: str
    mtls: bool
    verdict: Verdict
    stale: bool = False
    """The rules that decide changed since the last request."""
    expected: bool | None = None
    """Whether that request would be let in by the rules of now; None: not known. A forecast: only Envoy decides."""
    code: int = 0
    flags: str = ""
    method: str = ""
    path: str = ""
    authority: str = ""
    request_id: str = ""
    at: float = 0.0
    """When the last request ended: seconds since the epoch."""
    rate: float = 0.0
    wrong: float = 0.0
    total: int = 0
    errors: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.source, self.target

    @property
    def state(self) -> str:
        """The verdict, or `unsure`, `expect-allowed`, `expect-denied` where the rules changed since."""
        if not self.stale:
            return self.verdict
        return {None: "unsure", True: "expect-allowed", False: "expect-denied"}[self.expected]


@dataclass(frozen=True, slots=True)
class Picture:
    """`available`: "" or why there is no picture of traffic. `problem`: why the mesh's Envoy does not run."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    problem: str = ""
    pending: bool = False
    """Changes are still on their way to the proxies."""
    unavailable: str = ""
    known: bool = False
    """False until the first answer came."""

    def node(self, node_id: str) -> Node | None:
        return next((node for node in self.nodes if node.id == node_id), None)

    def edge(self, key: tuple[str, str]) -> Edge | None:
        return next((edge for edge in self.edges if edge.key == key), None)

    @property
    def shape(self) -> tuple[object, ...]:
        """What decides where things stand in a drawing."""
        return (
            tuple((n.id, n.kind, n.proxies, n.pods, n.ready, n.mtls, n.policies, n.refused) for n in self.nodes),
            tuple(edge.key for edge in self.edges),
        )

    @property
    def has_mesh(self) -> bool:
        return any(node.in_mesh for node in self.nodes)

    def drawn(self) -> Picture:
        """Without what is of the cluster itself and talks to nobody, and gateways that nobody uses when there are
        workloads to look at."""
        talks = {end for edge in self.edges for end in edge.key}
        nodes = tuple(node for node in self.nodes if node.id in talks or not node.system)
        kept = {node.id for node in nodes}
        edges = tuple(edge for edge in self.edges if edge.source in kept and edge.target in kept)
        return Picture(nodes, edges, self.problem, self.pending, self.unavailable, self.known)


@dataclass(frozen=True, slots=True)
class Pod:
    """`proxy`: SYNCED, STALE, REFUSED or none."""

    name: str
    ip: str
    ready: bool
    proxy: str
    refused: str = ""
    identity: str = ""
    not_after: str = ""


@dataclass(frozen=True, slots=True)
class Resources:
    """What belongs to a node. `objects`: (kind, namespace/name, what it says)."""

    id: str
    pods: tuple[Pod, ...] = ()
    account: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    services: tuple[tuple[str, str], ...] = ()
    """(host, ports)."""
    mtls: str = ""
    mtls_from: str = ""
    mtls_ports: Mapping[str, str] = field(default_factory=dict)
    objects: tuple[tuple[str, str, str], ...] = ()


def picture_of(document: Mapping[str, Any]) -> Picture:
    """From the sandbox's `graph`."""
    return Picture(
        tuple(_node(each) for each in document["nodes"]),
        tuple(_edge(each) for each in document["edges"]),
        str(document.get("problem") or ""),
        bool(document.get("pending")),
        known=True,
    )


def _node(each: Mapping[str, Any]) -> Node:
    services = tuple(
        Service(s["host"], tuple(Port(int(p["port"]), p["kind"]) for p in s["ports"]))
        for s in each.get("services") or ()
    )
    return Node(
        each["id"], each["name"], each.get("namespace", ""), each.get("kind", "workload"), each.get("pods", 1),
        each.get("ready", 1), each.get("proxies", 0), each.get("mtls", ""), each.get("policies", 0),
        each.get("refused", ""), each.get("system", False), services,
        each.get("caller", ""),
    )  # fmt: skip


def _edge(each: Mapping[str, Any]) -> Edge:
    return Edge(
        each["source"], each["target"], each["mtls"], each["verdict"], each["stale"], each["expected"], each["code"],
        each["flags"], each["method"], each["path"], each["authority"], each["requestId"], each["at"], each["rate"],
        each["wrong"], each["total"], each["errors"],
    )  # fmt: skip


def resources_of(document: Mapping[str, Any]) -> Resources:
    """From the sandbox's `node`."""
    mtls = document["mtls"]
    return Resources(
        document["id"],
        tuple(
            Pod(p["name"], p["ip"], p["ready"], p["proxy"], p["refused"], p["identity"], p["notAfter"])
            for p in document["pods"]
        ),
        document["serviceAccount"],
        document["labels"],
        tuple((s["host"], ", ".join(s["ports"])) for s in document["services"]),
        mtls["mode"],
        mtls["from"],
        mtls["ports"],
        tuple((o["kind"], o["name"], o["says"]) for o in document["objects"]),
    )
