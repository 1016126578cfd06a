"""`curl -w`: what is shown after a transfer.

Source: curl's man page and src/tool_writeout.c.
"""

from __future__ import annotations

import json
import re
import time
from urllib.parse import urlsplit

from labrunner.sandbox.workload.http.job import Job, Result
from labrunner.sandbox.workload.http.url import DEFAULT_PORTS


def rendered(template: str, result: Result, job: Job) -> tuple[str, str]:
    """(for stdout, for stderr) of a `-w` format."""
    values = _values(result, job)
    out: list[str] = []
    errors: list[str] = []
    current = out
    at = 0
    pattern = re.compile(r"%\{([^}]*)\}|%header\{([^}]*)\}|%%|\\(.)", re.DOTALL)
    while at < len(template):
        found = pattern.search(template, at)
        if not found:
            current.append(template[at:])
            break
        current.append(template[at : found.start()])
        at = found.end()
        if found[0] == "%%":
            current.append("%")
        elif found[3] is not None:
            current.append({"n": "\n", "t": "\t", "r": "\r"}.get(found[3], "\\" + found[3]))
        elif found[2] is not None:
            current.append((result.head.get(found[2]) or "") if result.head else "")
        elif found[1] == "stderr":
            current = errors
        elif found[1] == "stdout":
            current = out
        elif found[1] == "onerror":
            if result.status == 0:
                break
        elif found[1] == "json":
            current.append(json.dumps({k: _typed(k, v) for k, v in sorted(values.items())}))
        elif found[1] == "header_json":
            head: dict[str, list[str]] = {}
            for name, value in result.head.headers if result.head else ():
                head.setdefault(name.lower(), []).append(value)
            current.append(json.dumps(head))
        elif found[1] in values:
            current.append(values[found[1]])
        else:
            errors.append(f"curl: unknown --write-out variable: '{found[1]}'\n")
    return "".join(out), "".join(errors)


def _typed(name: str, value: str) -> object:
    if re.fullmatch(r"\d+", value) and name not in ("method", "url"):
        return int(value)
    if re.fullmatch(r"\d+\.\d+", value) and name.startswith("time"):
        return float(value)
    return value or None


def _values(result: Result, job: Job) -> dict[str, str]:
    times = result.times
    total = times.get("total", time.monotonic() - result.started)
    speed = int(result.downloaded / total) if total > 0 else 0
    parts = urlsplit(result.effective or job.url)
    version = result.head.version.removeprefix("HTTP/") if result.head else "0"
    found = {
        "http_code": f"{result.code:03d}", "response_code": f"{result.code:03d}", "exitcode": str(result.status),
        "errormsg": result.message, "size_download": str(result.downloaded), "size_upload": str(result.uploaded),
        "size_header": str(result.header_size), "size_request": str(result.request_size), "remote_ip": result.remote_ip,
        "remote_port": str(result.remote_port), "local_ip": result.local_ip, "local_port": str(result.local_port),
        "ssl_verify_result": str(result.verify), "num_connects": str(result.connects),
        "num_redirects": str(result.redirects), "num_headers": str(len(result.head.headers) if result.head else 0),
        "num_retries": str(result.retries), "redirect_url": result.redirect, "url_effective": result.effective,
        "url": job.url, "urlnum": str(job.index), "method": result.method, "scheme": result.scheme.lower(),
        "http_version": version.removesuffix(".0") if version in ("2.0", "3.0") else version,
        "content_type": (result.head.get("Content-Type") or "") if result.head else "", "speed_download": str(speed),
        "speed_upload": str(int(result.uploaded / total) if total > 0 else 0), "filename_effective": result.output,
        "http_connect": "000", "proxy_ssl_verify_result": "0", "certs": "", "num_certs": "0", "conn_id": "0",
        "xfer_id": "0",
        "referer": "", "ftp_entry_path": "", "curl_version": "libcurl/8.10.1",
        "url.host": parts.hostname or "", "url.path": parts.path, "url.scheme": parts.scheme, "url.query": parts.query,
        "url.port": str(parts.port or DEFAULT_PORTS.get(parts.scheme, 0)), "urle.host": parts.hostname or "",
    }  # fmt: skip
    for name in ("namelookup", "connect", "appconnect", "pretransfer", "starttransfer"):
        found[f"time_{name}"] = f"{times.get(name, 0.0):.6f}"
    found["time_redirect"] = "0.000000"
    found["time_posttransfer"] = found["time_pretransfer"]
    found["time_total"] = f"{total:.6f}"
    return found
