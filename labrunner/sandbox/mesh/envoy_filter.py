"""EnvoyFilters: patches on what has been rendered for a proxy, in istiod's order of objects and patches.

Only what can be applied here is; `problems` names the rest. Source: pilot/pkg/networking/core/envoyfilter and the
EnvoyFilter reference.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import orjson

from labrunner.sandbox.mesh.model import Config, Workload, World

Node = dict[str, Any]
Resources = dict[str, Node]

HCM = "envoy.filters.network.http_connection_manager"
_TYPED_STRUCTS = ("udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct")
_APPLIED = (
    "HTTP_FILTER", "NETWORK_FILTER", "LISTENER", "FILTER_CHAIN", "LISTENER_FILTER", "CLUSTER", "HTTP_ROUTE",
    "VIRTUAL_HOST", "ROUTE_CONFIGURATION",
)  # fmt: skip
_OPERATIONS = ("MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE")


@dataclass(slots=True)
class Patched:
    """`used`: `namespace/name` of EnvoyFilters that changed something; `problems` by the same name."""

    used: set[str] = field(default_factory=set)
    problems: dict[str, str] = field(default_factory=dict)


def filters_for(world: World, proxy: Workload) -> list[Config]:
    """The root namespace's, then its own; by priority, then age."""
    found = []
    for namespace in dict.fromkeys((world.mesh.root_namespace, proxy.namespace)):
        chosen = []
        for config in world.of("EnvoyFilter", namespace):
            spec = config.get("spec") or {}
            labels = (spec.get("workloadSelector") or {}).get("labels") or {}
            if not spec.get("targetRefs") and all(proxy.labels.get(k) == v for k, v in labels.items()):
                chosen.append(config)
        found += sorted(chosen, key=lambda c: int((c.get("spec") or {}).get("priority") or 0))
    return found


def name_of(config: Config) -> str:
    return f"{config['metadata'].get('namespace', '')}/{config['metadata']['name']}"


def apply(
    world: World, proxy: Workload, listeners: Resources, clusters: Resources, without: Collection[str] = ()
) -> tuple[Resources, Resources, Patched]:
    """The patched resources; `without`: EnvoyFilters that Envoy has refused."""
    result = Patched()
    configs = [c for c in filters_for(world, proxy) if name_of(c) not in without]
    if not configs:
        return listeners, clusters, result
    listeners, clusters = _own(listeners), _own(clusters)
    patcher = _Patcher(proxy, listeners, clusters)
    for config in configs:
        for index, patch in enumerate((config.get("spec") or {}).get("configPatches") or ()):
            kind = patch.get("applyTo", "")
            operation = (patch.get("patch") or {}).get("operation", "")
            if kind not in _APPLIED or operation not in _OPERATIONS:
                result.problems[name_of(config)] = f"spec.configPatches[{index}]: {kind} {operation} is not supported"
                continue
            if (patch.get("match") or {}).get("proxy", {}).get("metadata"):
                continue
            if patcher.apply(kind, operation, patch):
                result.used.add(name_of(config))
    return listeners, clusters, result


def _own(resources: Resources) -> Resources:
    """A copy in which nothing is shared: chains of one listener use the same filters, and each is patched once."""
    copied: Resources = orjson.loads(orjson.dumps(resources))
    return copied


class _Patcher:
    def __init__(self, proxy: Workload, listeners: Resources, clusters: Resources) -> None:
        self._proxy, self._listeners, self._clusters = proxy, listeners, clusters

    def apply(self, kind: str, operation: str, patch: Node) -> bool:
        """Whether something was changed."""
        match, value = patch.get("match") or {}, typed((patch.get("patch") or {}).get("value") or {})
        context = match.get("context", "ANY")
        if kind == "CLUSTER":
            return self._cluster(operation, match.get("cluster") or {}, context, value)
        changed = False
        wanted = match.get("listener") or {}
        if kind == "LISTENER" and operation == "ADD":
            return False
        for name, listener in list(self._listeners.items()):
            if not self._in_context(context, listener) or not _listener_matches(wanted, listener):
                continue
            if kind == "LISTENER":
                changed = True
                if operation == "REMOVE":
                    del self._listeners[name]
                else:
                    self._listeners[name] = merged(listener, {k: v for k, v in value.items() if k != "address"})
            elif kind == "LISTENER_FILTER":
                listed = listener.setdefault("listener_filters", [])
                changed |= edit(listed, operation, value, wanted.get("listenerFilter", ""))
            else:
                changed |= self._chains(kind, operation, match, listener, value)
        return changed

    def _in_context(self, context: str, listener: Node) -> bool:
        if context in ("", "ANY"):
            return True
        if self._proxy.gateway:
            return bool(context == "GATEWAY")
        wanted = {"SIDECAR_INBOUND": "INBOUND", "SIDECAR_OUTBOUND": "OUTBOUND"}.get(context)
        return bool(wanted == listener.get("traffic_direction"))

    def _chains(self, kind: str, operation: str, match: Node, listener: Node, value: Node) -> bool:
        changed = False
        chosen = (match.get("listener") or {}).get("filterChain") or {}
        chains = listener.get("filter_chains") or []
        if default := listener.get("default_filter_chain"):
            chains = [*chains, default]
        for chain in chains:
            if not _chain_matches(chosen, (match.get("listener") or {}).get("portNumber"), chain):
                continue
            if kind == "FILTER_CHAIN":
                if operation == "MERGE":
                    chain.update(merged(chain, value))
                    changed = True
                elif operation == "REMOVE" and chain in listener.get("filter_chains", []):
                    listener["filter_chains"].remove(chain)
                    changed = True
            elif kind == "NETWORK_FILTER":
                named = (chosen.get("filter") or {}).get("name", "")
                changed |= edit(chain["filters"], operation, value, named)
            else:
                changed |= self._managers(kind, operation, match, chain, value)
        return changed

    def _managers(self, kind: str, operation: str, match: Node, chain: Node, value: Node) -> bool:
        changed = False
        wanted = ((match.get("listener") or {}).get("filterChain") or {}).get("filter") or {}
        if wanted.get("name") not in (None, "", HCM) and kind == "HTTP_FILTER":
            return False
        for network_filter in chain.get("filters") or ():
            if network_filter["name"] != HCM:
                continue
            manager = network_filter["typed_config"]
            if kind == "HTTP_FILTER":
                named = (wanted.get("subFilter") or {}).get("name", "")
                changed |= edit(manager["http_filters"], operation, value, named, before_router=True)
            else:
                changed |= _routes(kind, operation, match.get("routeConfiguration") or {}, manager, value)
        return changed

    def _cluster(self, operation: str, wanted: Node, context: str, value: Node) -> bool:
        if operation == "ADD":
            name = value.get("name", "")
            if not name or name in self._clusters:
                return False
            self._clusters[name] = value
            return True
        changed = False
        for name, cluster in list(self._clusters.items()):
            short = name.partition("/")[2]
            direction, _, rest = short.partition("|")
            if context == "GATEWAY" and not self._proxy.gateway:
                continue
            if context == "SIDECAR_INBOUND" and direction != "inbound":
                continue
            if context == "SIDECAR_OUTBOUND" and (self._proxy.gateway or direction == "inbound"):
                continue
            parts = rest.split("|") if rest else []
            port, subset, host = [*parts, "", "", ""][:3]
            if wanted.get("name") and wanted["name"] != short:
                continue
            if wanted.get("portNumber") and str(wanted["portNumber"]) != port:
                continue
            if wanted.get("service") and wanted["service"] != host:
                continue
            if "subset" in wanted and wanted["subset"] and wanted["subset"] != subset:
                continue
            changed = True
            if operation == "REMOVE":
                del self._clusters[name]
            elif operation == "MERGE":
                self._clusters[name] = {**merged(cluster, value), "name": name}
        return changed


def _listener_matches(wanted: Node, listener: Node) -> bool:
    port = str(wanted["portNumber"]) if wanted.get("portNumber") else ""
    name: str = wanted.get("name", "")
    own: str = listener["name"].partition("/")[2]
    if name == "virtualInbound":
        return bool(listener.get("traffic_direction") == "INBOUND")
    if name == "virtualOutbound":
        return bool(own == "outbound")
    if name and not (own == name or any(c.get("name") == name for c in listener.get("filter_chains") or ())):
        return False
    if not port or own == "outbound":
        return True
    return own.rpartition("|")[2] == port or own.rpartition("_")[2] == port


def _chain_matches(wanted: Node, port: Any, chain: Node) -> bool:
    match = chain.get("filter_chain_match") or {}
    if wanted.get("name") and wanted["name"] != chain.get("name"):
        return False
    if wanted.get("sni") and wanted["sni"] not in (match.get("server_names") or ()):
        return False
    if wanted.get("transportProtocol") and wanted["transportProtocol"] != match.get("transport_protocol"):
        return False
    if wanted.get("destinationPort") and int(wanted["destinationPort"]) != match.get("destination_port"):
        return False
    if port and "destination_port" in match and match["destination_port"] != int(port):
        return False
    names = [f["name"] for f in chain.get("filters") or ()]
    inner = (wanted.get("filter") or {}).get("name")
    return not inner or inner in names


def _routes(kind: str, operation: str, wanted: Node, manager: Node, value: Node) -> bool:
    config = manager.get("route_config") or {}
    if not _is_route_table(wanted, str(config.get("name", ""))):
        return False
    if kind == "ROUTE_CONFIGURATION":
        manager["route_config"] = merged(config, {k: v for k, v in value.items() if k != "name"})
        return True
    chosen = wanted.get("vhost") or {}
    changed = False
    if kind == "VIRTUAL_HOST" and operation == "ADD":
        config.setdefault("virtual_hosts", []).append(value)
        return True
    for host in list(config.get("virtual_hosts") or ()):
        if chosen.get("name") and chosen["name"] != host["name"]:
            continue
        if chosen.get("domainName") and chosen["domainName"] not in host["domains"]:
            continue
        if kind == "VIRTUAL_HOST":
            changed = True
            if operation == "REMOVE":
                config["virtual_hosts"].remove(host)
            else:
                host.update(merged(host, {k: v for k, v in value.items() if k != "name"}))
            continue
        changed |= _host_routes(operation, chosen.get("route") or {}, host, value)
    return changed


def _is_route_table(wanted: Node, name: str) -> bool:
    """Tables are named `8000`, `host:8000`, `inbound|8080||`, `http.8080` or `https.443.port.gateway.namespace`."""
    port, port_name, gateway = name.rpartition(":")[2], "", ""
    if name.startswith("inbound|"):
        port = name.split("|")[1]
    elif name.startswith(("http.", "https.")):
        _, port, port_name, gateway, namespace = [*name.split("."), "", "", ""][:5]
        gateway = f"{namespace}/{gateway}"
    for key, own in (("name", name), ("portNumber", port), ("portName", port_name), ("gateway", gateway)):
        if wanted.get(key) and str(wanted[key]) != own:
            return False
    return True


def _host_routes(operation: str, wanted: Node, host: Node, value: Node) -> bool:
    listed = host.setdefault("routes", [])
    if operation in ("ADD", "INSERT_FIRST"):
        listed.insert(0 if operation == "INSERT_FIRST" else len(listed), value)
        return True
    changed = False
    for index in reversed(range(len(listed))):
        route = listed[index]
        if wanted.get("name") and wanted["name"] != route.get("name"):
            continue
        action = wanted.get("action", "ANY")
        if action not in ("", "ANY") and action.lower() not in route:
            continue
        changed = True
        match operation:
            case "REMOVE":
                del listed[index]
            case "INSERT_BEFORE":
                listed.insert(index, value)
                break
            case "INSERT_AFTER":
                listed.insert(index + 1, value)
                break
            case _:
                listed[index] = merged(route, value)
    return changed


def edit(listed: list[Node], operation: str, value: Node, anchor: str, *, before_router: bool = False) -> bool:
    """Insert into, merge into or remove from a list of filters; `anchor` names the filter meant."""
    where = next((i for i, f in enumerate(listed) if _same_name(f["name"], anchor)), None) if anchor else None
    match operation:
        case "INSERT_FIRST":
            listed.insert(0, value)
        case "ADD":
            last = len(listed) - 1 if before_router and listed and listed[-1]["name"].endswith(".router") else None
            listed.insert(last if last is not None else len(listed), value)
        case "INSERT_BEFORE":
            if anchor and where is None:
                return False
            listed.insert(where or 0, value)
        case "INSERT_AFTER":
            if anchor and where is None:
                return False
            listed.insert((where + 1) if where is not None else len(listed), value)
        case "REMOVE":
            if where is None:
                return False
            del listed[where]
        case "REPLACE":
            if where is None:
                return False
            listed[where] = value
        case _:
            if where is None:
                return False
            listed[where] = merged(listed[where], value)
    return True


def _same_name(name: str, wanted: str) -> bool:
    """Filters had shorter names once (`envoy.router`)."""
    return name == wanted or (wanted.startswith("envoy.") and name.rpartition(".")[2] == wanted.rpartition(".")[2]
                              and wanted.count(".") == 1)  # fmt: skip


def merged(base: Node, over: Node) -> Node:
    """As protobuf merges messages: fields of messages one by one, lists added to, everything else replaced."""
    found = dict(base)
    for key, value in over.items():
        own = found.get(key)
        if isinstance(own, dict) and isinstance(value, dict):
            if "@type" in value and value["@type"] != own.get("@type"):
                found[key] = value
            else:
                found[key] = merged(own, value)
        elif isinstance(own, list) and isinstance(value, list):
            found[key] = [*own, *value]
        else:
            found[key] = value
    return found


def typed(value: Any) -> Any:
    """Camel case to snake case where a message is written so, and TypedStructs as the messages they stand for."""
    if isinstance(value, list):
        return [typed(one) for one in value]
    if not isinstance(value, dict):
        return value
    kind = str(value.get("@type", ""))
    if kind.rpartition("/")[2] in _TYPED_STRUCTS and value.get("type_url"):
        inner = typed(value.get("value") or {})
        return {"@type": value["type_url"], **inner}
    return {key: typed(one) for key, one in value.items()}
