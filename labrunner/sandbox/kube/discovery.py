"""Discovery documents: aggregated (apidiscovery.k8s.io) and legacy, made from the table of kinds.

Groups come in the server's order of priority, custom ones after the built-in by name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import orjson

from labrunner.sandbox.kube.kinds import Kind, KindTable

_GROUP_ORDER = (
    "", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
    "autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
    "storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io",
    "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io",
)  # fmt: skip

_KUBE_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")

SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "status": ("", "", "", ("get", "patch", "update")),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "binding": ("", "v1", "Binding", ("create",)),
    "ephemeralcontainers": ("", "v1", "Pod", ("get", "patch", "update")),
    "resize": ("", "v1", "Pod", ("get", "patch", "update")),
    "log": ("", "v1", "Pod", ("get",)),
    "exec": ("", "v1", "PodExecOptions", ("create", "get")),
    "attach": ("", "v1", "PodAttachOptions", ("create", "get")),
    "portforward": ("", "v1", "PodPortForwardOptions", ("create", "get")),
    "proxy": ("", "v1", "", ("create", "delete", "get", "patch", "update")),
    "finalize": ("", "v1", "Namespace", ("update",)),
    "approval": ("", "", "", ("get", "patch", "update")),
}
"""Subresource -> (group, version, kind, verbs) of its response; an empty kind is that of the resource."""


def version_priority(version: str) -> tuple[int, int, int]:
    """Sorts versions as Kubernetes ranks them: GA before beta before alpha, higher first."""
    found = _KUBE_VERSION.fullmatch(version)
    if not found:
        return (3, 0, 0)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (stage, -int(found[1]), -int(found[3] or 0))


class DiscoveryDocuments:
    """All documents, kept until `forget` (a CRD came or went)."""

    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds
        self._cache: dict[str, bytes] = {}

    def forget(self) -> None:
        self._cache.clear()

    # what is served

    def groups(self) -> dict[str, list[str]]:
        """Group -> versions, most preferred first, in the server's order of groups."""
        found: dict[str, set[str]] = {}
        for kind in self._kinds:
            found.setdefault(kind.group, set()).update(kind.versions)
        rank = {group: i for i, group in enumerate(_GROUP_ORDER)}
        ordered = sorted(found, key=lambda group: (rank.get(group, len(rank)), group))
        return {group: sorted(found[group], key=version_priority) for group in ordered}

    def of_version(self, group: str, version: str) -> list[Kind]:
        """The kinds served there, by plural."""
        return sorted(
            (k for k in self._kinds if k.group == group and version in k.versions), key=lambda kind: kind.plural
        )

    # documents

    def aggregated(self, core: bool, version: str) -> tuple[bytes, str]:
        """`/api` (core) or `/apis` as APIGroupDiscoveryList; returns (body, etag)."""
        key = f"aggregated {core} {version}"
        if key not in self._cache:
            items = [
                {
                    "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                    "versions": [self._aggregated_version(group, v) for v in versions],
                }
                for group, versions in self.groups().items()
                if core == (not group)
            ]
            document = {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": f"apidiscovery.k8s.io/{version}",
                "metadata": {},
                "items": items,
            }
            self._cache[key] = orjson.dumps(document)
        body = self._cache[key]
        return body, '"' + hashlib.sha256(body).hexdigest().upper() + '"'

    def _aggregated_version(self, group: str, version: str) -> dict[str, Any]:
        resources = []
        for kind in self.of_version(group, version):
            entry: dict[str, Any] = {
                "resource": kind.plural,
                "responseKind": {"group": group, "version": version, "kind": kind.kind},
                "scope": "Namespaced" if kind.namespaced else "Cluster",
                "singularResource": kind.singular,
                "verbs": list(kind.verbs),
            }
            if kind.short_names:
                entry["shortNames"] = list(kind.short_names)
            if kind.categories:
                entry["categories"] = list(kind.categories)
            subresources = []
            for name, response_group, response_version, response_kind, verbs in _subresources(kind, version):
                response = {"group": response_group, "version": response_version, "kind": response_kind}
                subresources.append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
            if subresources:
                entry["subresources"] = subresources
            resources.append(entry)
        return {"version": version, "resources": resources, "freshness": "Current"}

    def legacy_versions(self, address: str) -> bytes:
        return orjson.dumps(
            {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
            }
        )

    def legacy_groups(self) -> bytes:
        if "groups" not in self._cache:
            groups = [self._legacy_group(group, versions) for group, versions in self.groups().items() if group]
            self._cache["groups"] = orjson.dumps({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        return self._cache["groups"]

    @staticmethod
    def _legacy_group(group: str, versions: list[str]) -> dict[str, Any]:
        listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
        return {"name": group, "versions": listed, "preferredVersion": listed[0]}

    def legacy_group(self, group: str) -> bytes | None:
        versions = self.groups().get(group)
        if not group or not versions:
            return None
        return orjson.dumps({"kind": "APIGroup", "apiVersion": "v1"} | self._legacy_group(group, versions))

    def legacy_resources(self, group: str, version: str) -> bytes | None:
        """`/api/v1`, `/apis/<group>/<version>`; None when not served."""
        key = f"resources {group} {version}"
        if key not in self._cache:
            kinds = self.of_version(group, version)
            if not kinds:
                return None
            resources = []
            for kind in kinds:
                resources += list(self._legacy_resource(kind, version))
            resources.sort(key=lambda entry: str(entry["name"]))
            document = {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}" if group else version,
                "resources": resources,
            }
            self._cache[key] = orjson.dumps(document)
        return self._cache[key]

    @staticmethod
    def _legacy_resource(kind: Kind, version: str) -> Iterator[dict[str, Any]]:
        entry: dict[str, Any] = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        hashed = hashlib.sha256(f"{kind.id}/{version}".encode()).digest()[:8]
        if "list" in kind.verbs:
            import base64

            entry["storageVersionHash"] = base64.b64encode(hashed).decode()
        yield entry
        for name, group, sub_version, response_kind, verbs in _subresources(kind, version):
            sub: dict[str, Any] = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
            if (group, sub_version) != (kind.group, version):
                sub |= {"group": group, "version": sub_version}
            yield sub | {"kind": response_kind, "verbs": list(verbs)}


def _subresources(kind: Kind, version: str) -> Iterator[tuple[str, str, str, str, tuple[str, ...]]]:
    for name in sorted(kind.subresources):
        group, response_version, response_kind, verbs = SUBRESOURCES.get(name, ("", "", "", ("get",)))
        if not response_kind:
            response_kind = (
                {"services": "ServiceProxyOptions", "pods": "PodProxyOptions", "nodes": "NodeProxyOptions"}[kind.plural]
                if name == "proxy"
                else kind.kind
            )
            group, response_version = kind.group, version
        yield name, group, response_version, response_kind, verbs
