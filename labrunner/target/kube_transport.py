"""An HTTPS connection pool to the API server of one kubeconfig context, with its credentials.

Fields: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. We keep to urllib3 instead of the `kubernetes`
package: it takes 200 ms to import, leaves keys in temporary files, and gives login plugins the terminal.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from labrunner.errors import EnvironmentFault
from labrunner.target.exec_credential import ExecCredential, run_plugin
from labrunner.target.kubeconfig import only_context, read_kubeconfig

if TYPE_CHECKING:
    import urllib3

_POOL: Final = 16
"""Connections kept: as many checks may ask at once."""
_SKEW: Final = 30.0
"""Seconds before their end that credentials count as expired."""
_TOKEN_AGE: Final = 60.0
"""Seconds after which a token file is read again; Kubernetes replaces projected tokens."""


class Transport:
    """`server`: its URL without a trailing slash; `namespace`: the context's; `pool`: for requests to it."""

    def __init__(self, kubeconfig: str, context: str | None) -> None:
        """Raises EnvironmentFault (or UsageError for an unknown context) when it cannot be used."""
        config = read_kubeconfig([Path(part) for part in kubeconfig.split(os.pathsep) if part])
        name = context or config["current-context"]
        if not name:
            raise EnvironmentFault(
                f"The kubeconfig {kubeconfig} names no current context (or does not exist).",
                hint="Choose one: kubectl config use-context NAME.",
            )
        chosen = only_context(config, name)
        self._where = f"The kubeconfig {kubeconfig}, context {name},"
        self.namespace = str(chosen["contexts"][0]["context"].get("namespace") or "default")
        cluster = chosen["clusters"][0].get("cluster") or {}
        user = (chosen["users"][0].get("user") or {}) if chosen["users"] else {}
        self.server = str(cluster.get("server") or "").rstrip("/")
        if not self.server.startswith(("https://", "http://")):
            raise self._unusable("has no server address", "Fetch it again.")
        plugin = user.get("exec")
        self._credential = run_plugin(plugin, cluster) if plugin else ExecCredential()
        self._user = user
        self._token = ""
        self._token_read = 0.0
        self.pool = self._make_pool(cluster)

    @property
    def expired(self) -> bool:
        """Whether the login plugin must be asked again: make a new Transport then."""
        return bool(self._credential.expires) and time.time() > self._credential.expires - _SKEW

    def headers(self) -> dict[str, str]:
        """The credentials that go with each request."""
        headers: dict[str, str] = {}
        if token := self._bearer():
            headers["Authorization"] = f"Bearer {token}"
        elif self._user.get("username"):
            pair = f"{self._user['username']}:{self._user.get('password', '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        if self._user.get("as"):
            headers["Impersonate-User"] = str(self._user["as"])
        return headers

    def close(self) -> None:
        self.pool.clear()

    def _bearer(self) -> str:
        if self._credential.token:
            return self._credential.token
        if path := self._user.get("tokenFile"):
            if time.monotonic() - self._token_read > _TOKEN_AGE:
                self._token = self._read(path).decode().strip()
                self._token_read = time.monotonic()
            return self._token
        return str(self._user.get("token") or "")

    def _make_pool(self, cluster: Mapping[str, Any]) -> urllib3.PoolManager:
        import urllib3

        options: dict[str, Any] = {"maxsize": _POOL, "retries": False}
        if self.server.startswith("https://"):
            options["ssl_context"] = self._tls(cluster)
            if name := cluster.get("tls-server-name"):
                options |= {"server_hostname": name, "assert_hostname": name}
            elif cluster.get("insecure-skip-tls-verify"):
                options["assert_hostname"] = False
        proxy = cluster.get("proxy-url") or self._proxy_of_environment()
        if not proxy:
            return urllib3.PoolManager(**options)
        try:
            return urllib3.ProxyManager(proxy, **options)
        except ValueError as error:
            raise self._unusable(f"has a proxy that cannot be used: {proxy}", "Only http proxies can.") from error

    def _proxy_of_environment(self) -> str:
        """HTTPS_PROXY and the like, unless NO_PROXY names the server."""
        url = urlsplit(self.server)
        if urllib.request.proxy_bypass(url.hostname or ""):
            return ""
        return urllib.request.getproxies().get(url.scheme, "") if not _is_loopback(url.hostname or "") else ""

    def _tls(self, cluster: Mapping[str, Any]) -> ssl.SSLContext:
        import urllib3

        ca = self._data(cluster, "certificate-authority")
        try:
            context = ssl.create_default_context(cadata=ca.decode() if ca else None)
        except (ssl.SSLError, ValueError) as error:
            raise self._unusable("has a CA certificate that cannot be read", "Fetch it again.") from error
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            # The kubeconfig says so, and kubectl is silent about it as well.
            warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
        # Private clusters' CAs often lack what RFC 5280 asks and OpenSSL 3 checks strictly; kubectl does not.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        certificate = self._credential.certificate.encode() or self._data(self._user, "client-certificate")
        key = self._credential.key.encode() or self._data(self._user, "client-key")
        if certificate and key:
            self._load_pair(context, certificate, key)
        return context

    def _load_pair(self, context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
        """`ssl` reads keys from files only: this one exists while it is read."""
        try:
            with tempfile.NamedTemporaryFile(prefix="labrunner-", suffix=".pem") as file:
                file.write(certificate.rstrip() + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name, password=lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            raise self._unusable("has a client certificate that cannot be used", "Fetch it again.") from error
        except OSError as error:
            raise self._unusable(f"cannot be used: {error.strerror}", "Is the disk full?") from error

    def _data(self, entry: Mapping[str, Any], field: str) -> bytes:
        """`<field>-data` (base64), or the content of the file that `<field>` names."""
        if encoded := entry.get(f"{field}-data"):
            try:
                return base64.b64decode(encoded, validate=False)
            except (binascii.Error, ValueError, TypeError) as error:
                raise self._unusable(f"has {field}-data that is not base64", "Fetch it again.") from error
        return self._read(entry[field]) if entry.get(field) else b""

    def _read(self, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise self._unusable(f"names {path}, which cannot be read: {error.strerror}", "Fetch it again.") from error

    def _unusable(self, why: str, hint: str) -> EnvironmentFault:
        return EnvironmentFault(f"{self._where} {why}.", hint=hint)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"
