"""`istioctl proxy-status` and `proxy-config`: what each proxy was given, as its Envoy says."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import quote

from labrunner.sandbox.istioctl import proxy_tables
from labrunner.sandbox.istioctl.kube import CommandError, Kube
from labrunner.sandbox.istioctl.options import parse
from labrunner.sandbox.istioctl.table import columns

MESH = "/labrunner/mesh"
_XDS = ("cds", "lds", "eds", "rds")
_KINDS = {
    "listener": ("listeners", "l"), "listeners": ("listeners", "l"),
    "route": ("routes", "r"), "routes": ("routes", "r"),
    "cluster": ("clusters", "c"), "clusters": ("clusters", "c"), "endpoint": ("endpoints", "ep"),
    "endpoints": ("endpoints", "ep"), "secret": ("secrets", "s"), "secrets": ("secrets", "s"), "all": ("all", "a"),
    "bootstrap": ("bootstrap", "b"), "log": ("log", "o"), "ecds": ("ecds", ""),
}  # fmt: skip
_VALUED = {
    "output": "o", "file": "f", "fqdn": "", "port": "", "direction": "", "subset": "", "address": "", "type": "",
    "name": "", "cluster": "", "status": "", "level": "",
}  # fmt: skip


def mesh_status(kube: Kube) -> dict[str, Any]:
    """`revision`, `istiod`, `proxies`. Raises CommandError where no Envoy runs."""
    return _ask(kube, "status")


def _ask(kube: Kube, what: str, **query: str) -> dict[str, Any]:
    text = "&".join(f"{key}={quote(value)}" for key, value in query.items())
    try:
        found: dict[str, Any] = json.loads(kube.raw(f"{MESH}/{what}?{text}"))
    except CommandError as error:
        if "could not find the requested resource" in error.message or "no such command" in error.message:
            raise CommandError("no mesh runs here: this sandbox has no Envoy (see `labrunner doctor`)") from error
        raise
    return found


def status(kube: Kube, arguments: list[str]) -> int:
    """One line for each proxy."""
    options = parse(arguments, {"output": "o", "file": "f", "xds-address": "", "verbosity": "v"}, {})
    found = mesh_status(kube)
    proxies = found["proxies"]
    if kube.namespace and not options.words:
        proxies = [p for p in proxies if p["name"].rpartition(".")[2] == kube.namespace]
    if options.words:
        wanted = pod_of(kube, options.words[0])
        proxies = [p for p in proxies if p["name"] == wanted]
        if not proxies:
            raise CommandError(f"no proxy of pod {wanted} is known to istiod")
        own = proxies[0]
        for kind, word in (("cds", "Clusters"), ("lds", "Listeners"), ("rds", "Routes")):
            sys.stdout.write(f"{word} {'Match' if own[kind] == 'SYNCED' else own[kind]}\n")
        return 0
    if options.value("output") == "json":
        _print(proxies, "json")
        return 0
    short = _is_short(proxies) and options.value("verbosity", "0") == "0"
    sys.stdout.write(columns(_subscribed(proxies, found["istiod"]) if short else _states(proxies, found["istiod"])))
    return 0


def _is_short(proxies: list[dict[str, Any]]) -> bool:
    """Istio 1.27 left each kind's state out of the table unless one asks for it; here also unless one is stale."""
    versions = [[int(part) for part in p["version"].split(".")[:2] if part.isdigit()] for p in proxies]
    return all(v >= [1, 27] for v in versions) and all(p[kind] == "SYNCED" for p in proxies for kind in _XDS)


def _subscribed(proxies: list[dict[str, Any]], istiod: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES")]
    for each in sorted(proxies, key=lambda p: p["name"]):
        rows.append((each["name"], "Kubernetes", istiod, each["version"], "4 (CDS,LDS,EDS,RDS)"))
    return rows


def _states(proxies: list[dict[str, Any]], istiod: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION")]
    for each in sorted(proxies, key=lambda p: p["name"]):
        rows.append((each["name"], "Kubernetes", *(each[k] for k in (*_XDS, "ecds")), istiod, each["version"]))
    return rows


def pod_of(kube: Kube, text: str) -> str:
    """`pod.namespace` of `POD`, `POD.NAMESPACE` or `deployment/NAME[.NAMESPACE]`."""
    kind, slash, name = text.partition("/")
    name = name if slash else kind
    base, _, namespace = name.partition(".")
    where = namespace or kube.default_namespace()
    if not slash or kind in ("pod", "pods", "po"):
        found = kube.get("pods", where, base)[0]
        return f"{found['metadata']['name']}.{where}"
    owner = kube.get(kind, where, base)[0]
    selector = owner["spec"].get("selector") or {}
    labels = selector.get("matchLabels") or selector
    chosen = ",".join(f"{k}={v}" for k, v in labels.items())
    pods = json.loads(kube.run("get", "pods", "--namespace", where, f"--selector={chosen}", "--output=json"))["items"]
    if not pods:
        raise CommandError(f"no pods found for {text} in namespace {where}")
    return f"{pods[0]['metadata']['name']}.{where}"


def config(kube: Kube, arguments: list[str]) -> int:
    """One kind of configuration of one proxy."""
    options = parse(arguments, _VALUED, {"verbose": "", "reset": "r"})
    if not options.words:
        raise CommandError("use one of: all, bootstrap, cluster, ecds, endpoint, listener, log, route, secret")
    word = options.words[0]
    kind = next((k for name, (k, letter) in _KINDS.items() if word in (name, letter)), "")
    if not kind:
        raise CommandError(f'unknown command "{word}" for "istioctl proxy-config"')
    if len(options.words) != 2:
        raise CommandError(f"{word} requires pod name or --file parameter")
    proxy = pod_of(kube, options.words[1])
    if kind == "log":
        return _log(kube, proxy, options.value("level"))
    dump = _ask(kube, "config_dump", proxy=proxy)
    form = options.value("output", "short")
    if form in ("json", "yaml"):
        document: Any = dump if kind == "all" else dump.get(kind, [])
        if kind in proxy_tables.TABLES:
            document = [each for each in document if proxy_tables.wanted(kind, each, options)]
        _print(protojson(proxy_tables.statuses(document) if kind == "endpoints" else document), form)
        return 0
    if form != "short":
        raise CommandError(f'output format "{form}" not supported')
    if kind == "bootstrap":
        _print(protojson(dump["bootstrap"]), "json")
        return 0
    kinds = ("clusters", "listeners", "routes", "secrets") if kind == "all" else (kind,)
    texts = [proxy_tables.render(each, dump, options) for each in kinds]
    sys.stdout.write("\n".join(texts))
    return 0


def protojson(value: Any) -> Any:
    """Field names as istioctl's JSON has them: `virtualHosts`. Names of filters and labels stay as they are."""
    if isinstance(value, dict):
        return {key if "." in key or "@" in key else _camel(key): protojson(each) for key, each in value.items()}
    return [protojson(each) for each in value] if isinstance(value, list) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _log(kube: Kube, proxy: str, level: str) -> int:
    found = _ask(kube, "log", proxy=proxy, level=level)
    sys.stdout.write(f"{proxy}:\nactive loggers:\n")
    sys.stdout.write("".join(f"  {name}: {value}\n" for name, value in sorted(found["loggers"].items())))
    return 0


def _print(document: Any, form: str) -> None:
    if form == "yaml":
        import yaml

        sys.stdout.write(yaml.safe_dump(document, sort_keys=False))
    else:
        sys.stdout.write(json.dumps(document, indent=4) + "\n")
