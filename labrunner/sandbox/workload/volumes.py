"""What is mounted in containers: ConfigMaps, Secrets, tokens, the downward API, and directories that pods share.

Volumes with sources are looked at anew when a file in them is read, so updates arrive as they do from a real kubelet;
`subPath` mounts keep what they began with. Source: k8s.io/kubernetes/pkg/volume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.workload.environment import data_of, field_value, resource_value
from labrunner.sandbox.workload.filesystem.node import Directory, File, GeneratedDirectory, Node, Symlink

IssueToken = Callable[[Obj, str, int], str]
"""(pod, audience, seconds) -> a token of the pod's ServiceAccount."""

_DATA = "..2026_01_01_00_00_00.0000000001"
_KINDS = {
    "configMap": "ConfigMap",
    "secret": "Secret",
}


class Volumes:
    """The volumes of one pod. `shared`: directories that live as long as the pod, by volume name."""

    def __init__(
        self, api: Api, namespace: str, name: str, shared: dict[str, Directory], token: IssueToken,
        claims: dict[tuple[str, str], Directory], node: Callable[[], Directory],
    ) -> None:  # fmt: skip
        self._api, self._namespace, self._name = api, namespace, name
        self._shared, self._token, self._claims, self._node = shared, token, claims, node
        self._tokens: dict[tuple[str, str], tuple[float, str]] = {}

    def pod(self) -> Obj | None:
        return self._api.get("Pod", self._name, self._namespace)

    def root(self, volume: dict[str, Any]) -> tuple[Directory, bool, str]:
        """(root directory, whether it cannot be written, kind of file system)."""
        name = volume["name"]
        if any(key in volume for key in ("configMap", "secret", "projected", "downwardAPI")):
            return GeneratedDirectory(lambda: self._generated(volume), 0o777), True, "tmpfs"
        if claim := volume.get("persistentVolumeClaim"):
            key = (self._namespace, claim.get("claimName", ""))
            return self._claims.setdefault(key, Directory(None, 0o777)), bool(claim.get("readOnly")), "ext4"
        if host := volume.get("hostPath"):
            found = sub_path(self._node(), host.get("path", "/"))
            return found if isinstance(found, Directory) else Directory(), False, "ext4"
        medium = (volume.get("emptyDir") or {}).get("medium")
        kind = "tmpfs" if medium == "Memory" else "ext4"
        return self._shared.setdefault(name, Directory(None, 0o777)), False, kind

    def _generated(self, volume: dict[str, Any]) -> Mapping[str, Node]:
        """Files behind `..data`, as the kubelet's atomic writer lays them out."""
        files = self.files(volume)
        data = Directory(None, 0o755)
        top: dict[str, Node] = {_DATA: data, "..data": Symlink(_DATA)}
        for path, (content, mode) in files.items():
            current = data
            parts = [part for part in path.split("/") if part]
            for part in parts[:-1]:
                child = current.entries.get(part)
                if not isinstance(child, Directory):
                    child = current.entries[part] = Directory()
                current = child
            if parts:
                current.entries[parts[-1]] = File(content, mode)
                top[parts[0]] = Symlink(f"..data/{parts[0]}")
        return top

    def files(self, volume: dict[str, Any]) -> dict[str, tuple[bytes, int]]:
        """Path -> (content, mode) of a volume made of objects."""
        found: dict[str, tuple[bytes, int]] = {}
        if source := volume.get("configMap"):
            found |= self._object("ConfigMap", source.get("name", ""), source, _mode(source, 0o644))
        if source := volume.get("secret"):
            found |= self._object("Secret", source.get("secretName", ""), source, _mode(source, 0o644))
        if source := volume.get("downwardAPI"):
            found |= self._downward(source, _mode(source, 0o644))
        if projected := volume.get("projected"):
            mode = _mode(projected, 0o644)
            for part in projected.get("sources") or ():
                for field, kind in _KINDS.items():
                    if source := part.get(field):
                        found |= self._object(kind, source.get("name", ""), source, mode)
                if source := part.get("downwardAPI"):
                    found |= self._downward(source, mode)
                if source := part.get("serviceAccountToken"):
                    found[source.get("path", "token")] = (self._issued(source).encode(), mode)
        return found

    def _object(self, kind: str, name: str, source: dict[str, Any], mode: int) -> dict[str, tuple[bytes, int]]:
        data = data_of(self._api.get(kind, name, self._namespace))
        items = source.get("items")
        if items:
            return {
                item["path"]: (data[item["key"]], int(item.get("mode") or mode))
                for item in items
                if item["key"] in data
            }
        return {key: (value, mode) for key, value in data.items()}

    def _downward(self, source: dict[str, Any], mode: int) -> dict[str, tuple[bytes, int]]:
        pod = self.pod()
        found: dict[str, tuple[bytes, int]] = {}
        for item in source.get("items") or ():
            text = ""
            if pod is not None and (reference := item.get("fieldRef")):
                text = field_value(pod, reference.get("fieldPath", ""))
            elif pod is not None and (reference := item.get("resourceFieldRef")):
                text = resource_value(pod, {}, reference)
            found[item.get("path", "")] = (text.encode(), int(item.get("mode") or mode))
        return found

    def _issued(self, source: dict[str, Any]) -> str:
        """A token, renewed when four fifths of its time are over, as the kubelet does."""
        seconds = int(source.get("expirationSeconds") or 3600)
        key = (str(source.get("audience") or ""), source.get("path", ""))
        now = self._api.now()
        known = self._tokens.get(key)
        if known is not None and known[0] > now:
            return known[1]
        pod = self.pod()
        token = self._token(pod, key[0], seconds) if pod is not None else ""
        self._tokens[key] = (now + seconds * 0.8, token)
        return token


def _mode(source: dict[str, Any], default: int) -> int:
    mode = source.get("defaultMode")
    return default if mode is None else int(mode)


def sub_path(root: Directory, path: str) -> Node:
    """What is at a `subPath`, made as a directory when it is missing; of generated volumes a copy."""
    current: Node = root
    for part in [p for p in path.split("/") if p and p != "."]:
        if not isinstance(current, Directory):
            return Directory()
        child = current.children().get(part)
        if isinstance(child, Symlink):
            return sub_path(root, child.target + "/" + path.partition(part)[2])
        if child is None:
            child = Directory(None, 0o777)
            if type(current) is Directory:
                current.entries[part] = child
        current = child
    if isinstance(current, GeneratedDirectory):
        return current.copy()
    return current
