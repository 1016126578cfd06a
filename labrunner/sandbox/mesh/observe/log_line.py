"""A record as a line of Istio's default access log format (mesh config `accessLogFormat`)."""

from __future__ import annotations

from labrunner.sandbox.mesh.observe.record import Record


def log_line(record: Record) -> str:
    """Without its newline."""

    def plain(text: str) -> str:
        return text or "-"

    request = f"{plain(record.method)} {plain(record.path)} {plain(record.protocol)}"
    if not record.is_http:
        request = "- - -"
    fields = [
        f"[{record.start_text}]",
        f'"{request}"',
        str(record.code),
        plain(record.flags),
        plain(record.details.replace(" ", "_")),
        plain(record.termination.replace(" ", "_")),
        f'"{plain(record.upstream_failure)}"',
        str(record.received),
        str(record.sent),
        str(record.duration),
        plain(record.upstream_time),
        f'"{plain(record.forwarded_for)}"',
        f'"{plain(record.user_agent)}"',
        f'"{plain(record.request_id)}"',
        f'"{plain(record.authority)}"',
        f'"{plain(record.upstream_host)}"',
        plain(record.upstream_cluster),
        plain(record.upstream_local),
        plain(record.local),
        plain(record.remote),
        plain(record.sni),
        plain(record.route),
    ]
    return " ".join(fields)
