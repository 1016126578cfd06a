"""`labrunner trace`: sends a request for real and tells its way, hop by hop, and who decided."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from labrunner.check.http_probe import Answer, Request

_EXAMPLE = """\
examples:
  labrunner trace --from deploy/sleep http://httpbin.default/get
  labrunner trace --from deploy/web -n shop -X POST -H 'x-user: a' http://orders/ --json
  labrunner trace http://172.18.0.10/productpage        from this machine, through a gateway

exit status: 0 when the answer is below 400, 1 otherwise, 3 when it cannot be sent
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "--from", dest="source", default="host", metavar="WORKLOAD", help="POD or deploy/NAME that asks"
    )
    parser.add_argument("-n", "--namespace", default="", help="the caller's namespace")
    parser.add_argument("-c", "--container", default="", help="the caller's container that has curl")
    parser.add_argument("-X", "--request", dest="method", default="", metavar="METHOD")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'")
    parser.add_argument("-d", "--data", default="", help="the request's body")
    parser.add_argument("-m", "--max-time", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--name", default="default", help="the sandbox (default: default)")
    parser.add_argument("--json", action="store_true", help="print the hops as JSON")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    from labrunner.check.http_probe import Request, perform
    from labrunner.check.mesh_questions import hops_of, require_mesh
    from labrunner.sandbox.instance import Sandbox

    headers = dict(_header(text) for text in args.header)
    name = args.name if args.name != "default" else os.environ.get("LABRUNNER_SANDBOX", "default")
    environment = {**os.environ, **Sandbox(name).environment()}
    cwd = Path.cwd()
    require_mesh(cwd, environment)
    request = Request(
        args.url, args.source, args.namespace, args.container, args.method, headers, args.data, timeout=args.max_time
    )
    answer = perform(request, cwd, environment)[0]
    sent = {**headers, **_sent_by_curl(answer)}
    hops = hops_of(sent["x-request-id"], sent, cwd, environment, request.url)
    if args.json:
        sys.stdout.write(json.dumps(_document(request, answer, hops), indent=2) + "\n")
    else:
        sys.stdout.write(_text(request, answer, hops))
    return ExitCode.OK if 0 < answer.status < 400 else ExitCode.CHECK_FAILED


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"'{text}' is no header", hint="Write it as -H 'name: value'.")
    return name.strip().lower(), value.strip()


def _sent_by_curl(answer: Answer) -> dict[str, str]:
    return {"x-request-id": answer.request_id, "accept": "*/*"}


def _document(request: Request, answer: Answer, hops: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "url": request.url,
        "method": request.method or ("POST" if request.data else "GET"),
        "from": request.source,
        "status": answer.status,
        "curlExit": answer.exit,
        "error": answer.error,
        "seconds": answer.seconds,
        "requestId": answer.request_id,
        "hops": hops,
    }


def _text(request: Request, answer: Answer, hops: list[dict[str, Any]]) -> str:
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8" or not sys.stdout.isatty()
    good, bad = ("ok ", "NO ") if plain else ("✔ ", "✘ ")
    method = request.method or ("POST" if request.data else "GET")
    title = f"{method} {request.url}"
    lines = [f"{title:<88}{answer.outcome()} in {answer.seconds * 1000:.0f} ms"]
    who = "this machine" if request.source == "host" else request.source
    lines.append(f" 1 {'client':<22}{who}")
    for number, hop in enumerate(hops, 2):
        lines.append(f"{number:>2} {hop['workload']:<22}{_way(hop)}")
        indent = " " * 25
        if hop["why"] or hop["verdict"] in ("denied", "failed"):
            mark = bad if hop["verdict"] in ("denied", "failed") else good
            lines.append(f"{indent}{mark}{hop['why'] or hop['details']}")
        lines += [f"{indent}  {text}" for text in hop["change"]]
    if not hops:
        lines.append("   no sidecar and no gateway saw it: neither end is in the mesh, or it never left the client")
    return "\n".join(lines) + "\n"


def _way(hop: dict[str, Any]) -> str:
    code = f" -> {hop['code']}" if hop["code"] else ""
    flags = f" {hop['flags']}" if hop["flags"] else ""
    if hop["direction"] == "inbound":
        return f"sidecar, inbound {hop['listener']}, {hop['tls']} from {hop['client']}{code}{flags}"
    server = f" as {hop['server']}" if hop["server"] else ""
    route = f", route {hop['route']}" if hop["route"] else ""
    return f"outbound {hop['listener']}{route}, to {hop['upstream']}, {hop['tls']}{server}{code}{flags}"
