"""A small world for check kinds: files in a directory, objects of a cluster that is a dictionary."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labrunner.check.kind import CheckContext
from labrunner.target.base import KubeObject, ObjectName, UnknownKind


class FakeCluster:
    """A KubeClient over a list of objects. `served`: (apiVersion, kind) pairs; None serves everything."""

    def __init__(self, objects: list[KubeObject], served: set[tuple[str, str]] | None = None) -> None:
        self.objects = objects
        self.served = served
        self.fault: Exception | None = None

    def _ask(self, api_version: str, kind: str) -> None:
        if self.fault is not None:
            raise self.fault
        if self.served is not None and (api_version, kind) not in self.served:
            raise UnknownKind(f"The cluster does not serve {api_version} ({kind}).", hint="Is its CRD installed?")

    def namespace(self) -> str:
        return "default"

    def namespaced(self, api_version: str, kind: str) -> bool:
        self._ask(api_version, kind)
        return kind not in ("Namespace", "ClusterRole", "Node")

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> KubeObject | None:
        found = [o for o in self.list(api_version, kind, namespace) if o["metadata"]["name"] == name]
        return found[0] if found else None

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        all_namespaces: bool = False,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Any:
        self._ask(api_version, kind)
        wanted = None if all_namespaces or not self.namespaced(api_version, kind) else namespace or "default"
        labels = dict(part.split("=", 1) for part in label_selector.split(",") if part)
        return [
            o
            for o in self.objects
            if (o["apiVersion"], o["kind"]) == (api_version, kind)
            and (wanted is None or o["metadata"].get("namespace", "default") == wanted)
            and all(o["metadata"].get("labels", {}).get(k) == v for k, v in labels.items())
        ]

    def inventory(self) -> set[ObjectName]:
        return set()


class FakeTarget:
    name = "sandbox"
    features = frozenset({"kubernetes"})

    def __init__(self, client: FakeCluster) -> None:
        self.client = client

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def environment(self) -> Mapping[str, str]:
        return {}

    def kube(self) -> FakeCluster:
        return self.client

    def snapshot(self, snapshot_id: str) -> bool:
        return False

    def restore(self, snapshot_id: str) -> bool:
        return False


def context(
    directory: Path,
    objects: list[KubeObject] | None = None,
    environment: Mapping[str, str] | None = None,
    answer: str = "",
    client: FakeCluster | None = None,
) -> CheckContext:
    """What a check sees in this directory."""
    cluster = client or FakeCluster(objects or [])
    variables = {"PATH": os.environ["PATH"], "HOME": str(directory), **(environment or {})}
    return CheckContext(FakeTarget(cluster), directory, variables, {"q": answer} if answer else {}, check_id="q")


def build(world: Mapping[str, Any], directory: Path) -> CheckContext:
    """The world of an example: `files`, `prepare` (bash), `objects`, `secrets` (of files), `environment`, `answer`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in world.get("files", {}).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if "prepare" in world:
        subprocess.run(
            ["bash", "-e", "-c", world["prepare"]], cwd=directory, check=True, capture_output=True, timeout=60
        )
    objects = list(world.get("objects", []))
    for secret in world.get("secrets", []):
        data = {k: base64.b64encode((directory / f).read_bytes()).decode() for k, f in secret["files"].items()}
        metadata = {"name": secret["name"], "namespace": secret["namespace"]}
        objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    return context(directory, objects, world.get("environment"), str(world.get("answer", "")))
