"""`labrunner trace`: sends a request for real and tells its way, hop by hop, and who decided."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from labrunner.errors import EnvironmentFault, ExitCode, UsageError

_EXAMPLE = """\
examples:
  labrunner trace --from deploy/sleep http://httpbin.default/get
  labrunner trace --from deploy/web -n shop -X POST -H 'x-user: a' http://orders/ --json
  labrunner trace --curl='--cacert ca.crt' https://shop.example.com/     from this machine, through a gateway

Headers, body and curl's own options are sent as they are; docs/trace.md describes the JSON.
exit status: 0 when the answer is below 400 (or TCP got through), 1 otherwise, 3 when it cannot be sent
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "--from", dest="source", default="host", metavar="WORKLOAD",
        help="who asks: a POD, deploy/NAME, or host, this machine (default)",
    )  # fmt: skip
    parser.add_argument("-n", "--namespace", default="", help="the caller's namespace")
    parser.add_argument("-c", "--container", default="", help="the caller's container that has curl")
    parser.add_argument("-X", "--request", dest="method", default="", metavar="METHOD", help="default: GET, or POST")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    parser.add_argument("-d", "--data", default="", help="the request's body")
    parser.add_argument("-m", "--max-time", type=_seconds, default=10.0, metavar="SECONDS", help="default: 10")
    parser.add_argument(
        "--curl", default="", metavar="'OPTIONS'", help="further options for curl: --cacert, --cert, --resolve, -k ..."
    )
    parser.add_argument("--name", default="", help="the sandbox (default: this shell's own, else default)")
    parser.add_argument("--json", action="store_true", help="print the whole way as JSON")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    from labrunner.check.http_probe import Request, perform
    from labrunner.check.mesh_questions import require_mesh, way_of
    from labrunner.cli.trace_text import document, succeeded, text
    from labrunner.sandbox.instance import Sandbox

    headers = dict(_header(given) for given in args.header)
    # In a lab's shell, or after `labrunner sandbox env`, the environment says which sandbox is meant.
    within = not args.name and "LABRUNNER_SANDBOX" in os.environ and "KUBECONFIG" in os.environ
    environment = dict(os.environ)
    if not within:
        sandbox = Sandbox(args.name or "default")
        if not sandbox.runs:
            hint = f"Start it: labrunner sandbox start --name {sandbox.name}"
            raise EnvironmentFault(f"sandbox '{sandbox.name}' is not running", hint=hint)
        environment |= sandbox.environment()
    cwd = Path.cwd()
    require_mesh(cwd, environment)
    request = Request(
        args.url, args.source, args.namespace, args.container, args.method, headers, args.data, _options(args.curl),
        args.max_time,
    )  # fmt: skip
    answer = perform(request, cwd, environment)[0]
    found = document(request, answer, way_of(request, answer, cwd, environment))
    if args.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8" or not sys.stdout.isatty()
        sys.stdout.write(text(found, plain=plain))
    return ExitCode.OK if succeeded(found) else ExitCode.CHECK_FAILED


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 300:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds from above 0 to 300")
    return value


def _options(text: str) -> tuple[str, ...]:
    import shlex

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--curl {text!r}: {error}", hint="Quote it as in a shell.") from error


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"'{text}' is no header", hint="Write it as -H 'name: value'.")
    return name.strip().lower(), value.strip()
