"""Cluster DNS as CoreDNS answers it: Services, headless Services, pods, ExternalNames; search lists and ndots."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labrunner.sandbox.kube.api import Obj

if TYPE_CHECKING:
    from labrunner.sandbox.workload.network import Network

DOMAIN = "cluster.local"
SERVER = "10.96.0.10"
NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


@dataclass(slots=True)
class Answer:
    """`name` is the fully qualified name that was found (or asked last); `status` NOERROR, NXDOMAIN or SERVFAIL."""

    name: str
    status: str = "NXDOMAIN"
    addresses: list[str] = field(default_factory=list)
    canonical: str = ""
    """The target of a CNAME."""
    services: list[tuple[int, str]] = field(default_factory=list)
    """(port, target) of SRV records."""
    tried: list[str] = field(default_factory=list)


def search_list(pod: Obj | None, namespace: str) -> tuple[list[str], int, list[str]]:
    """(search domains, ndots, name servers) by a pod's dnsPolicy and dnsConfig."""
    spec: dict[str, Any] = (pod or {}).get("spec") or {}
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    host = spec.get("hostNetwork") and policy == "ClusterFirst"
    searches: list[str] = []
    servers: list[str] = []
    ndots = 1
    if policy == "Default" or host:
        servers = ["168.63.129.16"]
    elif policy in ("ClusterFirst", "ClusterFirstWithHostNet"):
        searches = [f"{namespace}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN]
        servers, ndots = [SERVER], 5
    config = spec.get("dnsConfig") or {}
    servers += [s for s in config.get("nameservers") or () if s not in servers]
    searches += [s for s in config.get("searches") or () if s not in searches]
    for option in config.get("options") or ():
        if option.get("name") == "ndots" and str(option.get("value") or "").isdigit():
            ndots = int(option["value"])
    return searches, ndots, servers


def resolv_conf(pod: Obj | None, namespace: str) -> str:
    """/etc/resolv.conf"""
    searches, ndots, servers = search_list(pod, namespace)
    lines = []
    if searches:
        lines.append("search " + " ".join(searches))
    lines += [f"nameserver {server}" for server in servers]
    options = [f"ndots:{ndots}"] if ndots != 1 else []
    for option in (((pod or {}).get("spec") or {}).get("dnsConfig") or {}).get("options") or ():
        if option.get("name") != "ndots":
            value = option.get("value")
            options.append(f"{option['name']}:{value}" if value else str(option["name"]))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def hosts_file(pod: Obj, hostname: str) -> str:
    """/etc/hosts as the kubelet manages it."""
    spec = pod.get("spec") or {}
    ip = (pod.get("status") or {}).get("podIP", "")
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    subdomain = spec.get("subdomain")
    namespace = (pod.get("metadata") or {}).get("namespace", "")
    full = f"{hostname}.{subdomain}.{namespace}.svc.{DOMAIN}\t{hostname}" if subdomain else hostname
    if ip:
        lines.append(f"{ip}\t{full}")
    aliases = spec.get("hostAliases") or ()
    if aliases:
        lines.append("\n# Entries added by HostAliases.")
        lines += [f"{a['ip']}\t" + "\t".join(a.get("hostnames") or ()) for a in aliases]
    return "\n".join(lines) + "\n"


class Resolver:
    """`outside` answers names that are not of the cluster: a list of addresses, or None when there is no such name."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.outside: Callable[[str], list[str] | None] = lambda name: None

    def resolve(self, pod: Obj | None, namespace: str, name: str) -> Answer:
        """As a resolver library: absolute names as they are, others through the search list."""
        searches, ndots, servers = search_list(pod, namespace)
        if not servers:
            return Answer(name, "SERVFAIL")
        bare = name.rstrip(".")
        candidates = [bare]
        if not name.endswith("."):
            expanded = [f"{bare}.{domain}" for domain in searches]
            candidates = [bare, *expanded] if bare.count(".") >= ndots else [*expanded, bare]
        cluster = SERVER in servers
        answer = Answer(bare)
        tried: list[str] = []
        for candidate in candidates:
            tried.append(candidate)
            answer = self.lookup(candidate, cluster=cluster)
            if answer.addresses or answer.status == "SERVFAIL":
                break
        answer.tried = tried
        return answer

    def lookup(self, name: str, *, cluster: bool = True) -> Answer:
        """One fully qualified name."""
        name = name.rstrip(".").lower()
        labels = name.split(".")
        if len(name) > 253 or not all(NAME.fullmatch(label) for label in labels):
            return Answer(name)
        if cluster and not self._network.dns_works():
            return Answer(name, "SERVFAIL")
        if name.endswith("." + DOMAIN) and cluster:
            return self._cluster(name, labels[: -len(DOMAIN.split("."))])
        if name == "localhost":
            return Answer(name, "NOERROR", ["127.0.0.1"])
        found = self.outside(name)
        return Answer(name, "NOERROR", found) if found else Answer(name)

    def _cluster(self, name: str, labels: list[str]) -> Answer:
        api = self._network.api
        match labels:
            case [*rest, namespace, "svc"] if rest:
                return self._service(name, rest, namespace)
            case [dashed, namespace, "pod"]:
                ip = dashed.replace("-", ".")
                known = re.fullmatch(r"\d+\.\d+\.\d+\.\d+", ip) and api.get("Namespace", namespace) is not None
                return Answer(name, "NOERROR", [ip]) if known else Answer(name)
            case ["dns-version"]:
                return Answer(name, "NOERROR")
        return Answer(name)

    def _service(self, name: str, rest: list[str], namespace: str) -> Answer:
        api = self._network.api
        srv = [label[1:] for label in rest if label.startswith("_")]
        hosts = [label for label in rest if not label.startswith("_")]
        service = api.get("Service", hosts[-1], namespace) if hosts else None
        if service is None:
            return Answer(name)
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            target = str(spec.get("externalName", "")).rstrip(".")
            inner = self.lookup(target) if target != name else Answer(target)
            return Answer(name, "NOERROR" if inner.addresses else "NXDOMAIN", inner.addresses, target)
        if len(hosts) == 1:
            if spec.get("clusterIP") in (None, "None"):
                addresses = self._headless(service)
            else:
                addresses = list(spec.get("clusterIPs") or [spec["clusterIP"]])
            answer = Answer(name, "NOERROR" if addresses else "NXDOMAIN", addresses)
            if srv:
                wanted = srv[0]
                answer.services = [
                    (int(p["port"]), f"{hosts[0]}.{namespace}.svc.{DOMAIN}")
                    for p in spec.get("ports") or ()
                    if p.get("name") == wanted
                ]
                answer.addresses = []
                answer.status = "NOERROR" if answer.services else "NXDOMAIN"
            return answer
        if len(hosts) == 2 and spec.get("clusterIP") in (None, "None"):
            addresses = self._headless(service, hosts[0])
            return Answer(name, "NOERROR" if addresses else "NXDOMAIN", addresses)
        return Answer(name)

    def _headless(self, service: Obj, hostname: str = "") -> list[str]:
        meta = service["metadata"]
        found: list[str] = []
        slices = self._network.api.objects(
            "discovery.k8s.io/EndpointSlice", meta["namespace"], {"kubernetes.io/service-name": meta["name"]}
        )
        unready = bool(service["spec"].get("publishNotReadyAddresses"))
        for slice_ in slices:
            for endpoint in slice_.get("endpoints") or ():
                if not unready and (endpoint.get("conditions") or {}).get("ready") is False:
                    continue
                for address in endpoint.get("addresses") or ():
                    names = {endpoint.get("hostname") or "", address.replace(".", "-")}
                    if not hostname or hostname in names:
                        found.append(address)
        return list(dict.fromkeys(found))


def addresses_in_hosts(text: str, name: str) -> list[str]:
    """What /etc/hosts says of a name."""
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and name.lower() in (word.lower() for word in words[1:]):
            found.append(words[0])
    return found
