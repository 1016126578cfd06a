"""What a sandbox's mesh tells of itself, asked with the lab's kubectl: hops of a request, proxies, metrics."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labrunner.check.http_probe import Answer, Request
from labrunner.check.probe import run_probe
from labrunner.errors import EnvironmentFault
from labrunner.sandbox.mesh.access_log import TRACE_HEADER

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


def require_envoy(cwd: Path, environment: Mapping[str, str]) -> None:
    """For a connection that failed: raises EnvironmentFault where that is because the mesh's Envoy does not run.

    Without a mesh there is nothing to say.
    """
    try:
        status = ask_mesh("status", cwd, environment)
    except EnvironmentFault:
        return
    if status.get("problem"):
        raise EnvironmentFault(f"Traffic of the mesh cannot be tried: {status['problem']}")


def way_of(request: Request, answer: Answer, cwd: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The request's way through the mesh: `client`, `hops`, `application`, `why`, `change` (see docs/trace.md).

    Raises EnvironmentFault where no mesh answers.
    """
    found: dict[str, Any] = ask_mesh("way", cwd, environment, **way_query(request, answer))
    return found


def way_query(request: Request, answer: Answer) -> dict[str, str]:
    """What `way` is asked with."""
    sent = {"accept": "*/*", **{name.lower(): value for name, value in request.headers.items()}}
    sent |= {"x-request-id": answer.request_id, TRACE_HEADER: answer.mark}
    return {
        "request_id": answer.request_id, "trace": answer.mark, "since": f"{answer.started:.3f}",
        "caller": request.caller(), "url": request.url, "headers": json.dumps(sent),
    }  # fmt: skip


def decisive(hops: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The hop that decided: the last one that denied or failed, else the last of the request's own."""
    own = [hop for hop in hops if not hop.get("depth")]
    bad = [hop for hop in own if hop["verdict"] in ("denied", "failed")]
    if bad:
        # Behind a proxy that gave up, the next one sees its client go away.
        return ([hop for hop in bad if hop.get("flags") != "DC"] or bad)[-1]
    nested = [hop for hop in hops if hop.get("depth") and hop["verdict"] in ("denied", "failed")]
    if nested and own and own[-1]["verdict"] == "answered":
        return nested[-1]
    return own[-1] if own else None


def place_of(hop: Mapping[str, Any]) -> str:
    """`web.shop's sidecar`, for people."""
    if hop.get("kind") == "gateway":
        return f"gateway {hop['workload']}"
    return f"{hop['workload']}'s {'sidecar' if hop['direction'] == 'inbound' else 'outbound sidecar'}"


def told(way: Mapping[str, Any]) -> str:
    """One sentence on why the request ended as it did; empty when the mesh has nothing to add."""
    hop = decisive(way.get("hops") or [])
    if hop is not None and hop["why"]:
        return f"At {place_of(hop)}: {hop['why']}."
    why = str(way.get("why") or "")
    return f"{why[0].upper()}{why[1:]}." if why else ""
