"""The short form of proxy-config: the tables of istioctl's config dump writers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labrunner.sandbox.istioctl.options import Parsed
from labrunner.sandbox.istioctl.table import columns

Item = dict[str, Any]
_HTTP = "envoy.filters.network.http_connection_manager"
_TCP = "envoy.filters.network.tcp_proxy"
_APP_HTTP = {"http/1.0", "http/1.1", "h2c"}


def render(kind: str, dump: dict[str, list[Item]], options: Parsed) -> str:
    """A table with its heading."""
    header, row = TABLES[kind]
    rows = [r for item in dump.get(kind, ()) if wanted(kind, item, options) for r in row(item)]
    return columns([header, *sorted(rows, key=_order)], padding=5 if kind != "listeners" else 1)


def wanted(kind: str, item: Item, options: Parsed) -> bool:
    """Whether the flags let it through."""
    match kind:
        case "listeners":
            socket = (item.get("address") or {}).get("socket_address", {})
            port, address = options.value("port"), options.value("address")
            own = {listener_type(item).lower()}
            return (
                (not port or str(socket.get("port_value")) == port)
                and (not address or socket.get("address") == address)
                and (not options.value("type") or options.value("type").lower() in own)
            )
        case "clusters" | "endpoints":
            name = str(item.get("name") or item.get("cluster_name", ""))
            direction, port, subset, host = _parts(name)
            if kind == "endpoints":
                return not options.value("cluster") or options.value("cluster") == name
            return all(
                not options.value(flag) or options.value(flag) == value
                for flag, value in (("fqdn", host), ("port", port), ("subset", subset), ("direction", direction))
            )
        case "routes":
            return not options.value("name") or options.value("name") == item.get("name")
    return True


def _order(row: tuple[str, ...]) -> tuple[tuple[int, int, str], ...]:
    """Ports as numbers, before words."""
    return tuple((0, int(cell), "") if cell.isdigit() else (1, 0, cell) for cell in (*row[1:2], *row))


def _parts(name: str) -> tuple[str, str, str, str]:
    parts = name.split("|")
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else ("", "", "", name)


def _clusters(item: Item) -> list[tuple[str, ...]]:
    direction, port, subset, host = _parts(item["name"])
    config = ((item.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", "")
    where = config.split("/")
    rule = f"{where[-1]}.{where[-3]}" if "destination-rule" in config and len(where) > 3 else ""
    return [(host, port or "-", subset or "-", direction or "-", item.get("type", "STATIC"), rule)]


def _chains(item: Item) -> list[Item]:
    return [*item.get("filter_chains", ()), *([item["default_filter_chain"]] if "default_filter_chain" in item else ())]


def listener_type(item: Item) -> str:
    """HTTP, TCP, HTTP+TCP or UNKNOWN."""
    names = {f["name"] for chain in _chains(item) for f in chain.get("filters", ())}
    found = [word for word, name in (("HTTP", _HTTP), ("TCP", _TCP)) if name in names]
    return "+".join(found) or "UNKNOWN"


def _listeners(item: Item) -> list[tuple[str, ...]]:
    socket = (item.get("address") or {}).get("socket_address", {})
    where = (str(socket.get("address", "")), str(socket.get("port_value", "")))
    return [(*where, _match(chain), _destination(chain)) for chain in _chains(item)]


def _match(chain: Item) -> str:
    match = chain.get("filter_chain_match") or {}
    found = []
    if match.get("server_names"):
        found.append(f"SNI: {','.join(match['server_names'])}")
    if match.get("transport_protocol"):
        found.append(f"Trans: {match['transport_protocol']}")
    protocols = match.get("application_protocols") or []
    if protocols:
        kind = (
            "HTTP"
            if set(protocols) <= _APP_HTTP
            else "TCP TLS"
            if protocols == ["istio-peer-exchange", "istio"]
            else ""
        )
        found.append(f"App: {kind or ','.join(protocols)}")
    port = match.get("destination_port")
    ranges = [f"{p['address_prefix']}/{p['prefix_len']}" for p in match.get("prefix_ranges", ())]
    if ranges or port:
        found.append(f"Addr: {','.join(ranges) or '*'}{f':{port}' if port else ''}")
    return "; ".join(found) or "ALL"


def _destination(chain: Item) -> str:
    for each in chain.get("filters", ()):
        config = each.get("typed_config") or {}
        if each["name"] == _HTTP:
            if config.get("rds"):
                return f"Route: {config['rds'].get('route_config_name', '')}"
            return _inline(config.get("route_config") or {})
        if each["name"] == _TCP:
            name = config.get("cluster", "") or ",".join(
                c["name"] for c in (config.get("weighted_clusters") or {}).get("clusters", ())
            )
            return name if "Cluster" in name else f"Cluster: {name}"
    return "Non-HTTP/Non-TCP"


def _inline(routes: Item) -> str:
    hosts = routes.get("virtual_hosts") or []
    if len(hosts) == 1 and hosts[0].get("domains") == ["*"] and len(hosts[0].get("routes", ())) == 1:
        name = (hosts[0]["routes"][0].get("route") or {}).get("cluster", "")
        if name:
            return name if "Cluster" in name else f"Cluster: {name}"
    texts = []
    for host in hosts:
        domains = "" if host.get("domains") == ["*"] else "/".join(host.get("domains", ())) + " "
        texts.append(domains + ", ".join(_path(r.get("match") or {}) for r in host.get("routes", ())))
    return f"Inline Route: {'; '.join(texts)}"


def _path(match: Item) -> str:
    if match.get("prefix"):
        return f"{match['prefix']}*"
    if match.get("path_separated_prefix"):
        return f"PathPrefix:{match['path_separated_prefix']}"
    if match.get("path"):
        return str(match["path"])
    return f"regex {match['safe_regex']['regex']}" if match.get("safe_regex") else "/*"


def _routes(item: Item) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for host in item.get("virtual_hosts") or ():
        domains = host.get("domains") or []
        shown = ", ".join(domains[:2]) + (f" + {len(domains) - 2} more..." if len(domains) > 2 else "")
        for route in host.get("routes") or ():
            config = ((route.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", "")
            where = config.split("/")
            service = f"{where[-1]}.{where[-3]}" if "virtual-service" in config and len(where) > 3 else ""
            rows.append(
                (str(item.get("name", "")), host.get("name", ""), shown, _path(route.get("match") or {}), service)
            )
    return rows


def _endpoints(item: Item) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for group in item.get("endpoints") or ():
        for each in group.get("lb_endpoints") or ():
            socket = each["endpoint"]["address"].get("socket_address", {})
            where = f"{socket.get('address', '')}:{socket.get('port_value', '')}"
            outlier = each.get("outlier_check", "OK")
            rows.append((where, each.get("health_status", "HEALTHY"), outlier, str(item.get("cluster_name", ""))))
    return rows


def statuses(found: list[Item]) -> list[Item]:
    """Endpoints as `proxy-config endpoint -o json` has them: Envoy's own view of its clusters."""
    return [
        {
            "name": each["cluster_name"],
            "added_via_api": True,
            "host_statuses": [
                {
                    "address": one["endpoint"]["address"],
                    "health_status": {
                        "eds_health_status": one.get("health_status", "HEALTHY"),
                        **({"failed_outlier_check": True} if one.get("outlier_check") == "FAILED" else {}),
                    },
                    "weight": one.get("load_balancing_weight", 1),
                }
                for group in each.get("endpoints") or ()
                for one in group.get("lb_endpoints") or ()
            ],
        }
        for each in found
    ]


def _secrets(item: Item) -> list[tuple[str, ...]]:
    keys = ("name", "type", "status", "valid", "serial", "not_after", "not_before")
    return [tuple(str(item.get(key, "")) for key in keys)]


TABLES: dict[str, tuple[tuple[str, ...], Callable[[Item], list[tuple[str, ...]]]]] = {
    "clusters": (("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"), _clusters),
    "listeners": (("ADDRESSES", "PORT", "MATCH", "DESTINATION"), _listeners),
    "routes": (("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"), _routes),
    "endpoints": (("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"), _endpoints),
    "secrets": (
        ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"),
        _secrets,
    ),
    "ecds": (("ECDS NAME", "TYPE"), lambda item: [(item.get("name", ""), item.get("type", ""))]),
}
