"""What a sandbox's mesh tells of itself, asked with the lab's kubectl: hops of a request, proxies, metrics."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from labrunner.check.probe import run_probe
from labrunner.errors import EnvironmentFault

_SECONDS = 15.0


def ask_mesh(what: str, cwd: Path, environment: Mapping[str, str], **query: str) -> Any:
    """The answer's JSON. Raises EnvironmentFault where no mesh of the sandbox answers."""
    text = "&".join(f"{key}={quote(value)}" for key, value in query.items())
    command = shlex.join(["kubectl", "get", "--raw", f"/labrunner/mesh/{what}?{text}"])
    result = run_probe(command, cwd, environment, _SECONDS)
    try:
        found = json.loads(result.stdout) if result.exit == 0 else None
    except ValueError:
        found = None
    if found is None:
        said = result.stderr.strip()[-200:]
        raise EnvironmentFault(
            f"The mesh cannot be asked: {said or 'no answer'}.",
            hint="Only a sandbox whose mesh has an Envoy can tell this: see `labrunner doctor`.",
        )
    return found


def require_mesh(cwd: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The mesh's status. Raises EnvironmentFault where its Envoy does not run."""
    status: dict[str, Any] = ask_mesh("status", cwd, environment)
    if status.get("problem"):
        raise EnvironmentFault(f"Traffic of the mesh cannot be tried: {status['problem']}")
    return status


def hops_of(
    request_id: str, headers: Mapping[str, str], cwd: Path, environment: Mapping[str, str], url: str = ""
) -> list[dict[str, Any]]:
    """The hops of one request, in order; empty when no proxy saw it.

    `url`: to find a connection that was refused before there was a request.
    """
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    sent = json.dumps(dict(headers))
    answer = ask_mesh("hops", cwd, environment, request_id=request_id, headers=sent, host=host)
    hops: list[dict[str, Any]] = answer["hops"]
    return hops


def decisive(hops: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The hop that decided: the last one that denied or failed, else the last one."""
    found = [hop for hop in hops if hop["verdict"] in ("denied", "failed")] or hops
    return found[-1] if found else None


def told(hops: list[dict[str, Any]]) -> str:
    """One sentence on why the request ended as it did; empty when the mesh has nothing to add."""
    hop = decisive(hops)
    if hop is None or not hop["why"]:
        return ""
    where = f"{hop['workload']}'s {'sidecar' if hop['direction'] == 'inbound' else 'outbound sidecar'}"
    return f"At {where}: {hop['why']}."
