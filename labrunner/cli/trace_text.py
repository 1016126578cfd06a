"""A traced request as a document (docs/trace.md) and as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labrunner.check.http_probe import HOST, Answer, Request
from labrunner.check.mesh_questions import decisive, place_of

VERSION = 1
"""Of the document; fields may be added within a version."""
_UNTRUSTED = (51, 60)
"""curl's exit codes for a certificate that it does not accept."""
_INDENT = " " * 14


def document(request: Request, answer: Answer, way: Mapping[str, Any]) -> dict[str, Any]:
    hop = decisive(way["hops"])
    why = (hop["why"] if hop else "") or way["why"]
    change = (hop["change"] if hop else []) or way["change"]
    if answer.exit in _UNTRUSTED:
        why = f"the client does not accept the server's certificate: {answer.error}"
        change = ["give it the CA (--curl='--cacert ca.crt'), and call a name that the certificate has"]
    agrees = all(each["agrees"] for each in way["hops"])
    return {
        "version": VERSION,
        "url": request.url,
        "method": request.method or ("POST" if request.data else "GET"),
        "from": request.source if request.source == HOST else request.caller(),
        "status": answer.status,
        "curlExit": answer.exit,
        "error": answer.error,
        "seconds": answer.seconds,
        "requestId": answer.request_id,
        "verdict": _verdict(answer, hop, way["application"]["state"]),
        "decidedBy": place_of(hop) if hop else "",
        "why": why,
        "change": change,
        "agrees": agrees,
        "client": way["client"],
        "hops": way["hops"],
        "application": way["application"],
    }


def _verdict(answer: Answer, hop: Mapping[str, Any] | None, state: str) -> str:
    """allowed, denied, failed, answered (an error of the application's own) or unseen (by any proxy)."""
    if hop is None:
        return "unseen"
    if hop["verdict"] != "allowed" or 0 < answer.status < 400:
        return str(hop["verdict"])
    if answer.status:
        return "answered"
    # Whoever listens behind a TCP port need not speak HTTP: curl is not content, the mesh was.
    return "allowed" if state == "answered" and not hop["code"] else "failed"


def succeeded(found: Mapping[str, Any]) -> bool:
    return 0 < found["status"] < 400 or (not found["status"] and found["verdict"] == "allowed")


def text(found: Mapping[str, Any], *, plain: bool) -> str:
    """For a terminal; `plain`: ASCII marks."""
    good, bad, arrow = ("ok", "NO", "->") if plain else ("✔", "✘", "→")
    outcome = str(found["status"]) if found["status"] else found["error"] or f"curl exit {found['curlExit']}"
    lines = [f"{found['method']} {found['url']}  {arrow}  {outcome}  in {found['seconds'] * 1000:.0f} ms", ""]
    client = found["client"]
    outside = client["who"] == "this machine"
    who = client["identity"] or ("" if outside else "no identity: it has no sidecar")
    lines.append(f" 1 client     {client['who']}" + (f"  ({who})" if who else ""))
    number = 1
    for hop in found["hops"]:
        number += 1
        lines += _hop(number, hop, good if hop["verdict"] in ("allowed", "answered") else bad)
    application = found["application"]
    if application["who"]:
        about = "" if application["sidecar"] or "outside" in application["who"] else ", which has no sidecar,"
        state = {"answered": "answered", "silent": "did not answer in time", "unreached": "was not reached"}
        lines.append(f"{number + 1:>2} app        {application['who']}{about} {state[application['state']]}")
    if not found["hops"]:
        lines.append("   no sidecar and no gateway saw it")
    lines.append("")
    lines += _decision(found, good, bad)
    return "\n".join(lines).rstrip() + "\n"


def _hop(number: int, hop: Mapping[str, Any], mark: str) -> Iterator[str]:
    depth = "  " * hop["depth"]
    flags = f" {hop['flags']}" if hop["flags"] else ""
    side = "" if hop["kind"] == "gateway" else f"{hop['direction']} "
    result = f"{hop['code'] or 'tcp'}{flags}"
    yield f"{number:>2} {hop['kind']:<10} {depth}{hop['proxy']}  {side}{result}, {hop['milliseconds']} ms"
    lines = [f"listener  {hop['listener']}" + (f" ({hop['address']})" if hop["address"] != hop["listener"] else "")]
    if hop["direction"] == "inbound" or hop["kind"] == "gateway":
        lines.append(f"from      {hop['client']}, {hop['incoming']}")
    if hop["direction"] == "outbound":
        if hop["route"] or hop["origin"]:
            lines.append(f"route     {hop['origin'] or hop['route']}")
        if hop["cluster"]:
            rule = f", DestinationRule {hop['rule']}" if hop["rule"] else ""
            lines.append(f"cluster   {hop['cluster']}{rule}")
        if hop["endpoint"]:
            pod = f" ({hop['pod']})" if hop["pod"] else ""
            server = f" as {hop['server']}" if hop["server"] else ""
            lines.append(f"endpoint  {hop['endpoint']}{pod}, {hop['tls']}{server}")
    good = hop["verdict"] in ("allowed", "answered")
    if not good and hop["details"]:
        lines.append(f"envoy     {hop['details']}")
    if hop["why"] or not good:
        lines.append(f"{mark:<9} {hop['why'] or hop['verdict']}")
    for each in lines:
        yield f"{_INDENT}{depth}{each}"


def _decision(found: Mapping[str, Any], good: str, bad: str) -> Iterator[str]:
    mark = good if succeeded(found) else bad
    why, place, verdict = found["why"], found["decidedBy"], found["verdict"]
    if verdict == "unseen":
        yield f"{mark} no proxy saw it: {why or 'neither end is in the mesh'}"
    elif verdict == "answered":
        yield f"{mark} the application answered {found['status']} itself; {place} let it through"
    elif why.startswith(verdict):
        yield f"{mark} {place}: {why}"
    else:
        yield f"{mark} {verdict} at {place}{f': {why}' if why else ''}"
    for change in found["change"]:
        yield f"   to change it: {change}"
