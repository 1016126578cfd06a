"""kubectl inside a pod: reads with the pod's own token, so that RBAC can be seen to work."""

from __future__ import annotations

import json

from labrunner.sandbox.workload.http.client import Answer, exchange
from labrunner.sandbox.workload.machine.process import Process

_PATHS = {
    "pods": "api/v1", "pod": "api/v1", "po": "api/v1", "services": "api/v1", "svc": "api/v1", "configmaps": "api/v1",
    "cm": "api/v1", "secrets": "api/v1", "namespaces": "api/v1", "ns": "api/v1", "nodes": "api/v1",
    "deployments": "apis/apps/v1", "deploy": "apis/apps/v1", "serviceaccounts": "api/v1", "sa": "api/v1",
}  # fmt: skip
_FULL = {"pod": "pods", "po": "pods", "svc": "services", "cm": "configmaps", "ns": "namespaces",
         "deploy": "deployments",
         "sa": "serviceaccounts", "node": "nodes", "service": "services", "deployment": "deployments"}  # fmt: skip
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


async def main(process: Process) -> int:
    """`kubectl get KIND [NAME] [-n NS] [-o name|json]`, `kubectl version`, `kubectl auth whoami`"""
    words = process.argv[1:]
    if words[:1] == ["version"]:
        await process.line("Client Version: v1.36.1")
        return 0
    if words[:1] != ["get"] or len(words) < 2:
        await process.error("error: this sandbox's kubectl in a pod only knows `get` and `version`\n")
        return 1
    try:
        token = process.read_file(f"{_ACCOUNT}/token").decode()
        namespace = process.read_file(f"{_ACCOUNT}/namespace").decode()
    except OSError:
        await process.error(
            "The connection to the server localhost:8080 was refused - did you specify the right host or port?\n"
        )
        return 1
    rest, output, everywhere = [], "", False
    index = 1
    while index < len(words):
        word = words[index]
        if word in ("-n", "--namespace", "-o", "--output"):
            index += 1
            value = words[index] if index < len(words) else ""
            if word in ("-n", "--namespace"):
                namespace = value
            else:
                output = value
        elif word in ("-A", "--all-namespaces"):
            everywhere = True
        elif word.startswith("-o"):
            output = word[2:].lstrip("=")
        elif not word.startswith("-"):
            rest.append(word)
        index += 1
    kind, _, name = (rest[0] if rest else "").partition("/")
    name = name or (rest[1] if len(rest) > 1 else "")
    plural = _FULL.get(kind, kind)
    base = _PATHS.get(kind) or _PATHS.get(plural)
    if base is None:
        await process.error(f'error: the server doesn\'t have a resource type "{kind}"\n')
        return 1
    scope = "" if plural in ("namespaces", "nodes") or everywhere else f"/namespaces/{namespace}"
    path = f"/{base}{scope}/{plural}" + (f"/{name}" if name else "")
    table = output not in ("json", "name")
    answer = await _ask(process, path, token, table=table)
    data = json.loads(answer.body)
    if answer.status >= 400:
        await process.error(f"Error from server ({data.get('reason')}): {data.get('message')}\n")
        return 1
    if output == "json":
        await process.line(json.dumps(data, indent=4))
    elif output == "name":
        for item in data.get("items", [data]):
            await process.line(f"{plural.removesuffix('s')}/{item['metadata']['name']}")
    else:
        await _table(process, data, namespace)
    return 0


async def _ask(process: Process, path: str, token: str, *, table: bool) -> Answer:
    network, machine = process.container.pod.network.network, process.container.pod
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" if table else "application/json"
    headers = [("Host", "kubernetes.default.svc"), ("Authorization", f"Bearer {token}"), ("Accept", accept)]
    return await exchange(lambda: network.connect(machine, "10.96.0.1", 443), "GET", path, headers, tls=True)


async def _table(process: Process, data: dict[str, object], namespace: str) -> None:
    columns = [c for c in data.get("columnDefinitions", []) if not c.get("priority")]  # type: ignore[attr-defined]
    count = len(columns)
    rows = [[c["name"].upper() for c in columns]]
    for row in data.get("rows", []):  # type: ignore[attr-defined]
        rows.append([str(cell) for cell in row["cells"][:count]])
    if len(rows) == 1:
        await process.error(f"No resources found in {namespace} namespace.\n")
        return
    widths = [max(len(row[i]) for row in rows) for i in range(count)]
    for row in rows:
        await process.line("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
