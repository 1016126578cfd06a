"""One line of the shared access log (`mesh.access_log`), with addresses as the cluster knows them."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from labrunner.sandbox.mesh.access_log import TAG
from labrunner.sandbox.workload.addresses import AddressPlan, pod_port


@dataclass(frozen=True, slots=True)
class Record:
    """One request (or TCP connection) at one proxy. Empty texts where Envoy had nothing to say."""

    proxy: str
    """`pod.namespace`."""
    direction: str
    """`inbound` or `outbound`; a gateway's are outbound, with `gateway` set."""
    start: float
    """Seconds since the epoch."""
    duration: int
    """Milliseconds."""
    code: int
    """Of the HTTP response; 0: none was sent, or TCP."""
    flags: str = ""
    details: str = ""
    termination: str = ""
    method: str = ""
    path: str = ""
    protocol: str = ""
    """`HTTP/1.1`, `HTTP/2`; empty: TCP."""
    authority: str = ""
    request_id: str = ""
    traceparent: str = ""
    user_agent: str = ""
    forwarded_for: str = ""
    received: int = 0
    sent: int = 0
    upstream_time: str = ""
    upstream_host: str = ""
    upstream_cluster: str = ""
    """As istiod names it: without the proxy."""
    upstream_local: str = ""
    upstream_failure: str = ""
    upstream_peer: str = ""
    local: str = ""
    remote: str = ""
    direct_remote: str = ""
    sni: str = ""
    peer: str = ""
    """The client's SPIFFE URI; empty: not mutual TLS."""
    own: str = ""
    tls: str = ""
    downstream_failure: str = ""
    chain: str = ""
    route: str = ""
    port: str = ""
    """The service's or container's port that the listener is for."""
    start_text: str = ""
    gateway: bool = False
    rule: str = ""
    """`namespace/name` of the DestinationRule that the chosen cluster follows."""
    virtual_service: str = ""
    """`namespace/name` of what the chosen route is from."""
    place: str = ""
    """Where in it: `http[0].match[1]`."""
    attempts: int = 0
    """How often the upstream was tried."""
    trace: str = ""
    """What `labrunner trace` marked the request with: gateways give requests from outside a new id."""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_http(self) -> bool:
        return bool(self.protocol)

    @property
    def handshake_failed(self) -> bool:
        """TLS with the client did not come about, so that no filter saw the connection."""
        return bool(self.downstream_failure) and not self.is_http and not self.upstream_cluster

    @property
    def unmatched(self) -> bool:
        """No filter chain took the connection."""
        return "NR" in self.flags and not self.is_http

    @property
    def end(self) -> float:
        return self.start + self.duration / 1000

    @property
    def policy(self) -> str:
        """The rule that Envoy says decided (`ns[..]-policy[..]-rule[..]`), `none` where no rule matched, or empty."""
        text = self.details if self.is_http else self.termination or self.details
        start = text.find("matched_policy[")
        return text[start + len("matched_policy[") : -1] if start >= 0 and text.endswith("]") else ""

    @property
    def denied(self) -> bool:
        return "rbac_access_denied" in self.details or "rbac_access_denied" in self.termination


def parse(line: str, addresses: AddressPlan | None) -> Record | None:
    """None for a line that is no record: torn, or not ours."""
    try:
        found = orjson.loads(line)
        started = str(found["start"])
        start = datetime.datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp()
        proxy, direction = str(found["proxy"]), str(found["direction"])
    except (ValueError, KeyError, TypeError):
        return None
    address = _translated(addresses)

    def text(name: str) -> str:
        value = found.get(name)
        # Most values come again and again: records of many requests share them.
        return "" if value is None or value == "-" else sys.intern(str(value))

    def number(name: str) -> int:
        value = text(name)
        return int(value) if value.isdigit() else 0

    return Record(
        proxy=proxy, direction="outbound" if direction == "gateway" else direction, gateway=direction == "gateway",
        start=start, start_text=started, duration=number("duration"),
        code=number("code"), flags=text("flags"), details=text("details"), termination=text("termination"),
        method=text("method"), path=text("path"), protocol=text("protocol"), authority=text("authority"),
        request_id=text("request_id"), traceparent=text("traceparent"), user_agent=text("user_agent"),
        forwarded_for=text("forwarded_for"), received=number("received"), sent=number("sent"),
        upstream_time=text("upstream_time"), upstream_host=address(text("upstream_host")),
        upstream_cluster=text("upstream_cluster").rpartition("/")[2], upstream_local=address(text("upstream_local")),
        upstream_failure=text("upstream_failure"), upstream_peer=text("upstream_peer"),
        local=address(text("local")), remote=address(text("remote")), direct_remote=address(text("direct_remote")),
        sni=text("sni"), peer=text("peer"), own=text("own"), tls=text("tls"),
        downstream_failure=text("downstream_failure"), chain=text("chain"), route=text("route"), port=text("port"),
        rule=_object(text("rule")), virtual_service=_object(text("virtual_service")), place=text("place"),
        attempts=number("attempts"), trace=text("trace"),
        tags={key.removeprefix(TAG): str(value) for key, value in found.items() if key.startswith(TAG) and value},
    )  # fmt: skip


def _object(config: str) -> str:
    """`/apis/GROUP/V/namespaces/NS/kind/NAME`, as istiod writes it, -> `NS/NAME`."""
    parts = config.split("/")
    return f"{parts[-3]}/{parts[-1]}" if len(parts) > 3 else ""


def _translated(addresses: AddressPlan | None) -> Callable[[str], str]:
    def translate(text: str) -> str:
        host, colon, port = text.rpartition(":")
        if addresses is None or not colon or not port.isdigit() or host.count(".") != 3:
            return text
        return f"{addresses.pod_ip(host)}:{pod_port(int(port))}"

    return translate


def facts_of(record: Record, headers: Mapping[str, str]) -> dict[str, Any]:
    """Arguments for `explain.observed.http_facts`, as far as a record has them; addresses of the cluster."""
    host, _, port = record.local.rpartition(":")
    return {
        "method": record.method,
        "path": record.path,
        "authority": record.authority,
        "headers": headers,
        "direct_remote_ip": (record.direct_remote or record.remote).rpartition(":")[0],
        "destination": (host, int(port) if port.isdigit() else 0),
        "principal": record.peer,
        "sni": record.sni,
    }
