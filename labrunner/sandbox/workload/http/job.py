"""What curl is asked to transfer, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from labrunner.sandbox.workload.http.message import Head


@dataclass(slots=True)
class Settings:
    """What the options say for all transfers of one command."""

    silent: bool = False
    show_error: bool = False
    verbose: bool = False
    include: bool = False
    head: bool = False
    fail: bool = False
    fail_with_body: bool = False
    insecure: bool = False
    location: bool = False
    trust_location: bool = False
    path_as_is: bool = False
    compressed: bool = False
    http10: bool = False
    ipv6_only: bool = False
    keep_alive: bool = True
    no_progress: bool = False
    parallel: bool = False
    keeps_cookies: bool = False
    create_dirs: bool = False
    json: bool = False
    method: str = ""
    write_out: str = ""
    dump_header: str = ""
    max_time: float = 0.0
    connect_timeout: float = 0.0
    max_redirects: int = 50
    retry: int = 0
    retry_delay: float = 0.0
    retry_max_time: float = 0.0
    retry_refused: bool = False
    retry_all: bool = False
    cacert: str = ""
    cert: str = ""
    key: str = ""
    tls_min: str = ""
    tls_max: str = ""
    range: str = ""
    user: str = ""
    bearer: str = ""
    user_agent: str = ""
    referer: str = ""
    cookies: str = ""
    cookie_jar: str = ""
    output_dir: str = ""
    request_target: str = ""
    upload: str = ""
    content_type: str = ""
    get_data: str = ""
    max_size: int = 0
    body: bytes | None = None
    headers: list[str] = field(default_factory=list)
    url_query: list[str] = field(default_factory=list)
    resolve: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    connect_to: list[tuple[str, str, str, str]] = field(default_factory=list)
    jar: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Job:
    """One URL. `output`: a file; `remote`: named after the URL."""

    url: str
    output: str = ""
    remote: bool = False
    index: int = 0
    of: int = 1


@dataclass(slots=True)
class Result:
    """What `-w` can show."""

    url: str
    status: int = 0
    """curl's exit code."""
    message: str = ""
    code: int = 0
    head: Head | None = None
    method: str = "GET"
    scheme: str = ""
    effective: str = ""
    redirect: str = ""
    redirects: int = 0
    connects: int = 0
    remote_ip: str = ""
    remote_port: int = 0
    local_ip: str = ""
    local_port: int = 0
    verify: int = 0
    downloaded: int = 0
    uploaded: int = 0
    header_size: int = 0
    request_size: int = 0
    output: str = ""
    retries: int = 0
    started: float = field(default_factory=time.monotonic)
    times: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> None:
        self.times[name] = time.monotonic() - self.started


class TransferFault(Exception):
    """Ends a transfer with this exit code and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
