"""A small reading client for any Kubernetes API.

One keep-alive pool per client, made on first use or, ahead of it, by `warm`; thread-safe. Discovery asks one request
per group version, keeps the answer, and asks again for a kind it does not know, since a lab may have installed the
CRD in the meantime.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.target import kube_fault
from labrunner.target.base import KubeObject, ObjectName, UnknownKind
from labrunner.target.kube_inventory import is_noise
from labrunner.target.kube_transport import Transport
from labrunner.target.kube_watch import KubeWatch

_CONNECT_TIMEOUT: Final = 5.0
_READ_TIMEOUT: Final = 15.0
"""Seconds; a list of thousands of objects over a slow line is the worst case."""
_PAGE: Final = 500
"""Objects per list request, as kubectl asks."""


Objects = list[KubeObject]
"""Inside the client, `list` is a method."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as discovery describes it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def root(self) -> str:
        return f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"


class KubeApiClient:
    """Implements `labrunner.target.base.KubeClient` for one kubeconfig and one context."""

    def __init__(
        self,
        kubeconfig: Path | str,
        context: str | None = None,
        *,
        timeouts: tuple[float, float] = (_CONNECT_TIMEOUT, _READ_TIMEOUT),
    ) -> None:
        """`kubeconfig`: one path, or several joined by `:` as in $KUBECONFIG. `timeouts`: (connect, read) seconds."""
        self._kubeconfig = str(kubeconfig)
        self._context = context
        self._timeouts = timeouts
        self._lock = threading.RLock()
        self._transport: Transport | None = None
        self._served: dict[str, dict[str, Resource]] = {}

    def warm(self) -> None:
        """Read the kubeconfig and connect in the background; errors are left for the first question."""

        def load() -> None:
            with contextlib.suppress(LabrunnerError):
                self.server_version()

        threading.Thread(target=load, name="kube-client-warm", daemon=True).start()

    def close(self) -> None:
        """Let go of the connections; the client may be used again."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()
                self._transport = None
            self._served.clear()

    def namespace(self) -> str:
        return self._connect().namespace

    def namespaced(self, api_version: str, kind: str) -> bool:
        return self._resource(api_version, kind).namespaced

    def server_version(self) -> str:
        """`v1.36.2`. Raises EnvironmentFault."""
        return str(self._get("/version").get("gitVersion", ""))

    def raw(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path of the API server, as `kubectl get --raw` has it; None where there is nothing."""
        return self._get(f"{path}?{urlencode(query)}" if query else path, missing_ok=True)

    def serves_group(self, group: str) -> bool:
        """Whether an API group (`networking.istio.io`) is served at all."""
        return self._get(f"/apis/{quote(group)}", missing_ok=True) is not None

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> KubeObject | None:
        resource = self._resource(api_version, kind)
        found = self._get(f"{self._collection(resource, namespace)}/{quote(name, safe='')}", missing_ok=True)
        return found if found is None else self._typed(found, resource)

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        all_namespaces: bool = False,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Objects:
        resource = self._resource(api_version, kind)
        everywhere = all_namespaces or not resource.namespaced
        path = f"{resource.root}/{resource.plural}" if everywhere else self._collection(resource, namespace)
        query = {"limit": str(_PAGE)}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        try:
            items = self._pages(path, query)
        except kube_fault.Refused as refusal:
            if refusal.status != 404:
                raise
            # It was served when we asked: its CRD has been deleted since.
            self._discover(api_version)
            self._resource(api_version, kind)
            raise
        return [self._typed(item, resource) for item in items]

    def watch(self, api_version: str, kind: str) -> KubeWatch:
        """See `labrunner.target.base.Watches`."""
        resource = self._resource(api_version, kind)
        collection = f"{resource.root}/{resource.plural}"
        try:
            page = self._get(f"{collection}?limit=1")
        except kube_fault.Refused as refusal:
            if refusal.status != 403 or not resource.namespaced:
                raise
            collection = self._collection(resource, None)
            page = self._get(f"{collection}?limit=1")
        return KubeWatch(self._connect(), collection, str((page.get("metadata") or {}).get("resourceVersion", "")))

    def inventory(self) -> set[ObjectName]:
        """See `KubeClient.inventory`. A kind that these credentials may not list is left out."""
        found: set[ObjectName] = set()
        for resource in self._everything():
            try:
                items = self._pages(f"{resource.root}/{resource.plural}", {"limit": str(_PAGE)})
            except kube_fault.Refused:
                continue
            for item in items:
                if not is_noise(resource.kind, item):
                    metadata = item["metadata"]
                    name = metadata["name"]
                    found.add(ObjectName(resource.api_version, resource.kind, metadata.get("namespace", ""), name))
        return found

    def _collection(self, resource: Resource, namespace: str | None) -> str:
        if not resource.namespaced:
            return f"{resource.root}/{resource.plural}"
        return f"{resource.root}/namespaces/{quote(namespace or self.namespace(), safe='')}/{resource.plural}"

    @staticmethod
    def _typed(obj: KubeObject, resource: Resource) -> KubeObject:
        """Items of lists carry no apiVersion and kind on the wire."""
        return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}

    def _pages(self, path: str, query: Mapping[str, str]) -> Objects:
        items: Objects = []
        asked = dict(query)
        while True:
            page = self._get(f"{path}?{urlencode(asked)}")
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return items
            asked["continue"] = token

    def _resource(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind. Raises UnknownKind with what is served instead."""
        with self._lock:
            found = self._served.get(api_version, {}).get(kind)
        if found is not None:
            return found
        served = self._discover(api_version)
        if kind in served:
            return served[kind]
        raise kube_fault.unknown_kind(api_version, kind, served, self._versions(api_version) if not served else [])

    def _discover(self, api_version: str) -> dict[str, Resource]:
        """The kinds of one group version, asked afresh; empty when it is not served."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        found = self._get(quote(root), missing_ok=True)
        served: dict[str, Resource] = {}
        for item in (found or {}).get("resources", ()):
            if "/" not in item["name"]:
                verbs = frozenset(item.get("verbs", ()))
                served[item["kind"]] = Resource(api_version, item["kind"], item["name"], item["namespaced"], verbs)
        with self._lock:
            self._served[api_version] = served
        return served

    def _versions(self, api_version: str) -> Sequence[str]:
        """The served versions of the group, as apiVersions."""
        group, _, _ = api_version.rpartition("/")
        found = self._get(f"/apis/{quote(group)}", missing_ok=True) if group else {}
        return [v["groupVersion"] for v in (found or {}).get("versions", ())]

    def _everything(self) -> Sequence[Resource]:
        """Every kind that can be listed, in its group's preferred version."""
        groups = self._get("/apis").get("groups", ())
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        return [r for version in versions for r in self._discover(version).values() if "list" in r.verbs]

    def _connect(self) -> Transport:
        """The connection, made once and again when its credentials end. Raises EnvironmentFault."""
        with self._lock:
            if self._transport is None or self._transport.expired:
                self._transport = Transport(self._kubeconfig, self._context)
            return self._transport

    def _forget(self, transport: Transport) -> None:
        """Read the kubeconfig anew for the next question: a cluster made again has another port and other keys."""
        with self._lock:
            if self._transport is transport:
                self._transport = None
        transport.close()

    def _get(self, path: str, *, missing_ok: bool = False) -> Any:
        """The JSON answer; None for 404 when that is an answer. Raises EnvironmentFault."""
        import urllib3

        transport = self._connect()
        connect, read = self._timeouts
        try:
            response = transport.pool.request(
                "GET",
                transport.server + path,
                headers={"Accept": "application/json", "User-Agent": "labrunner", **transport.headers()},
                timeout=urllib3.Timeout(connect=connect, read=read),
                # One more try covers a kept-alive connection that the server closed meanwhile.
                retries=urllib3.Retry(total=1, connect=0, read=1, redirect=0, status=0, other=0),
            )
        except urllib3.exceptions.HTTPError as error:
            self._forget(transport)
            raise kube_fault.unreachable(transport.server, error, connect, read) from error
        if response.status == 404 and missing_ok:
            return None
        if response.status == 401:
            self._forget(transport)
        if response.status >= 400:
            raise kube_fault.refused(response.status, response.data, path, transport.server)
        try:
            return json.loads(response.data)
        except ValueError as error:
            raise EnvironmentFault(
                f"{transport.server} does not answer like a Kubernetes API: {path} is no JSON.",
                hint="Look at the server's address in the kubeconfig (kubectl config view --minify).",
            ) from error


__all__ = ("KubeApiClient", "Resource", "UnknownKind")
