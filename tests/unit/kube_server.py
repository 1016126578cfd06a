"""An HTTP server that answers like a Kubernetes API, as far as reading goes."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml


class FakeApi:
    """`answers`: path -> JSON. `status`: answer everything with this code. `requests`: paths asked, with queries."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.status = 200
        self.body: bytes | None = None
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.server: ThreadingHTTPServer | None = None

    def serve_kinds(self, api_version: str, *kinds: tuple[str, str, bool]) -> None:
        """Add a group version with (kind, plural, namespaced)."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        self.answers[root] = {
            "resources": [
                {"kind": k, "name": p, "namespaced": n, "verbs": ["get", "list", "create"]} for k, p, n in kinds
            ]
            + [{"kind": k, "name": f"{p}/status", "namespaced": n, "verbs": ["get"]} for k, p, n in kinds]
        }
        group, _, version = api_version.rpartition("/")
        if group:
            entry = {"name": group, "versions": [{"groupVersion": api_version, "version": version}]}
            entry["preferredVersion"] = {"groupVersion": api_version}
            self.answers[f"/apis/{group}"] = entry
            self.answers.setdefault("/apis", {"groups": []})["groups"].append(entry)

    @property
    def url(self) -> str:
        assert self.server is not None
        scheme = "https" if isinstance(self.server.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server.server_address[1]}"

    def kubeconfig(self, path: Path, **cluster: Any) -> Path:
        """A kubeconfig for it with contexts `fake` (namespace shop) and `other`."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "c", "cluster": {"server": self.url, **cluster}}],
            "users": [{"name": "u", "user": {"token": "t0ken"}}],
            "contexts": [
                {"name": "fake", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
                {"name": "other", "context": {"cluster": "c", "user": "u"}},
            ],
        }
        path.write_text(yaml.safe_dump(config))
        return path


@contextlib.contextmanager
def running(certificate: tuple[Path, Path] | None = None) -> Iterator[FakeApi]:
    """The server, until the block ends. `certificate`: (certificate, key) to serve TLS with."""
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            api.connections += 1
            super().setup()

        def do_GET(self) -> None:
            api.requests.append(self.path)
            api.headers.append(dict(self.headers))
            url = urlparse(self.path)
            answer = api.answers.get(url.path)
            token = parse_qs(url.query).get("continue", [""])[0]
            if token:
                answer = api.answers.get(f"{url.path}#{token}")
            status = api.status if api.status != 200 else 200 if answer is not None else 404
            body = json.dumps(answer if status == 200 else {"kind": "Status", "message": "as told"}).encode()
            if api.body is not None:
                body = api.body
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    api.server = server
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
