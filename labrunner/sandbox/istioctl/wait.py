"""`istioctl experimental wait`: until a resource has reached every sidecar it concerns."""

from __future__ import annotations

import sys
import time

from labrunner.sandbox.istioctl.kube import CommandError, Kube
from labrunner.sandbox.istioctl.options import parse
from labrunner.sandbox.istioctl.proxies import mesh_status

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def wait(kube: Kube, arguments: list[str]) -> int:
    """`--for=delivery|deletion TYPE NAME[.NAMESPACE]`; exit 1 at the time limit."""
    options = parse(arguments, {"for": "", "timeout": "", "threshold": "", "resource-version": ""}, {"verbose": "v"})
    what = options.value("for", "delivery")
    if what not in ("delivery", "deletion") or len(options.words) != 2:
        raise CommandError("usage: istioctl experimental wait --for=delivery|deletion TYPE NAME[.NAMESPACE]")
    kind, full = options.words
    name, _, namespace = full.partition(".")
    where = namespace or kube.default_namespace()
    limit = _seconds(options.value("timeout", "30s"))
    started = time.monotonic()
    while True:
        if what == "deletion":
            done = not kube.run("get", kind, name, "--namespace", where, "--ignore-not-found", "--output=name").strip()
        else:
            kube.run("get", kind, name, "--namespace", where, "--output=name")
            done = not mesh_status(kube)["pending"]
        if done:
            sys.stdout.write(f"Resource {kind}/{where}/{name} {'delivered' if what == 'delivery' else 'deleted'}\n")
            return 0
        if time.monotonic() - started > limit:
            raise CommandError(
                f"timeout expired before resource {kind}/{where}/{name} became effective on all sidecars"
            )
        time.sleep(0.05)


def _seconds(text: str) -> float:
    for unit, seconds in _UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return float(number) * seconds
    raise CommandError(f'invalid argument "{text}" for "--timeout" flag: time: invalid duration "{text}"')
