"""Whether a request belongs in its proxy's access log, as Telemetry resources say.

Source: `accessLogging.filter.expression` of the Telemetry reference: CEL over Envoy's request and response attributes.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from labrunner.cel_library import load
from labrunner.sandbox.mesh.model import World
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.telemetry import AccessLogging, access_logging_of


def is_logged(record: Record, world: World, directory: Directory) -> bool:
    workload = directory.by_key.get(record.proxy)
    choice = AccessLogging(world.mesh.access_log)
    if workload is not None and world.configs.get("Telemetry"):
        choice = access_logging_of(world, workload)
    return choice.enabled and all(_holds(expression, record) for expression in choice.expressions)


def _holds(expression: str, record: Record) -> bool:
    """An expression that is none, or asks for an attribute that a request has not, is not held to hold: as in Envoy."""
    program = _compiled(expression)
    if program is None:
        return False
    context = load().Context()
    for name, value in attributes(record).items():
        context.add_variable(name, value)
    try:
        return program.execute(context) is True
    except (ValueError, RuntimeError, TypeError, KeyError):
        return False


@lru_cache(maxsize=64)
def _compiled(expression: str) -> Any:
    logging.getLogger("cel").setLevel(logging.CRITICAL)
    try:
        return load().compile(expression)
    except ValueError:
        return None


def attributes(record: Record) -> dict[str, Any]:
    """Envoy's attributes, as far as the log knows them."""
    path = record.path.partition("?")[0]
    headers = {"user-agent": record.user_agent, "x-request-id": record.request_id, ":authority": record.authority}
    response: dict[str, Any] = {"code_details": record.details, "size": record.sent}
    if record.code:
        response["code"] = record.code
    source, destination = record.remote.rpartition(":"), record.local.rpartition(":")
    return {
        "request": {
            "method": record.method, "path": record.path, "url_path": path, "host": record.authority,
            "id": record.request_id, "useragent": record.user_agent, "protocol": record.protocol,
            "scheme": "https" if record.tls else "http", "size": record.received, "duration": record.duration / 1000,
            "headers": {name: value for name, value in headers.items() if value},
        },
        "response": response,
        "connection": {
            "mtls": bool(record.peer), "requested_server_name": record.sni, "tls_version": record.tls,
            "uri_san_peer_certificate": record.peer, "termination_details": record.termination,
        },
        "source": {"address": record.remote, "port": _number(source[2])},
        "destination": {"address": record.local, "port": _number(destination[2])},
        "upstream": {"address": record.upstream_host, "transport_failure_reason": record.upstream_failure},
    }  # fmt: skip


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
