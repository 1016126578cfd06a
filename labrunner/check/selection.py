"""Which Kubernetes objects a check is about, and what to say when they are not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labrunner.check.phrase import counted, did_you_mean, listed, near
from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault
from labrunner.target.base import KubeClient, KubeObject, UnknownKind

SELECTION_PROPERTIES: Final[Mapping[str, Any]] = {
    "apiVersion": {"type": "string", "description": "As in a manifest: v1, apps/v1, networking.istio.io/v1 ..."},
    "kind": {"type": "string", "description": "As in a manifest: Deployment, Gateway ..."},
    "name": {"type": "string", "description": "The object's name; without it every object selected below is meant."},
    "namespace": {"type": "string", "description": "Where it is; default: the context's namespace."},
    "allNamespaces": {"type": "boolean", "description": "Look in all namespaces."},
    "labelSelector": {"type": "string", "description": "As for kubectl -l: app=web,tier!=db,env in (a,b)."},
    "fieldSelector": {"type": "string", "description": "As for kubectl --field-selector: status.phase=Running."},
}


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects meant: one by name, or those that selectors pick."""

    api_version: str
    kind: str
    name: str = ""
    namespace: str = ""
    all_namespaces: bool = False
    label_selector: str = ""
    field_selector: str = ""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Selection:
        return cls(
            params["apiVersion"],
            params["kind"],
            params.get("name", ""),
            params.get("namespace", ""),
            params.get("allNamespaces", False),
            params.get("labelSelector", ""),
            params.get("fieldSelector", ""),
        )

    def __str__(self) -> str:
        """`Gateway default/apim`, `Pods in ns with app=web`."""
        if self.name:
            return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
        text = f"{self.kind} objects"
        if self.all_namespaces:
            text += " in all namespaces"
        elif self.namespace:
            text += f" in {self.namespace}"
        selectors = listed([s for s in (self.label_selector, self.field_selector) if s])
        return f"{text} with {selectors}" if selectors else text

    def fetch(self, client: KubeClient) -> list[KubeObject]:
        """The objects there are. Raises `UnknownKind` and `EnvironmentFault` as the client does."""
        if self.name and not self.all_namespaces:
            obj = client.get(self.api_version, self.kind, self.name, self.namespace or None)
            return [obj] if obj is not None else []
        objects = client.list(
            self.api_version,
            self.kind,
            self.namespace or None,
            all_namespaces=self.all_namespaces,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )
        return [o for o in objects if not self.name or o["metadata"]["name"] == self.name]

    def resolved(self, client: KubeClient) -> Selection:
        """With the namespace that is meant when none is named, so that findings can name it."""
        if self.namespace or self.all_namespaces or not client.namespaced(self.api_version, self.kind):
            return self
        return Selection(
            self.api_version, self.kind, self.name, client.namespace(), False, self.label_selector, self.field_selector
        )


def lint_selection(params: Mapping[str, Any]) -> list[str]:
    """Combinations that the schema cannot refuse."""
    problems = []
    if params.get("namespace") and params.get("allNamespaces"):
        problems.append("namespace: cannot be combined with allNamespaces")
    if params.get("name") and (params.get("labelSelector") or params.get("fieldSelector")):
        problems.append("name: cannot be combined with labelSelector or fieldSelector")
    return problems


def label_of(obj: KubeObject) -> str:
    """`Gateway default/apim`."""
    metadata = obj.get("metadata", {})
    name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
    return f"{obj.get('kind', 'object')} {namespace}/{name}" if namespace else f"{obj.get('kind', 'object')} {name}"


def unknown_kind(selection: Selection, error: UnknownKind) -> Finding:
    """The finding for a kind that is not served: a CRD to install, or a version that is none."""
    message = f"{error.message} {error.hint}".strip()
    return Finding("unknown-kind", message, f"{selection.kind} ({selection.api_version})", "not served", str(selection))


def missing(client: KubeClient, selection: Selection) -> Finding:
    """Why the named object is not there: the same name elsewhere, or a name much like it."""
    where = str(selection)
    try:
        elsewhere, names = _neighbours(client, selection)
    except UnknownKind as error:
        return unknown_kind(selection, error)
    same = sorted(o["metadata"].get("namespace", "") for o in elsewhere if o["metadata"]["name"] == selection.name)
    if same:
        return Finding(
            "wrong-namespace",
            f"{selection.kind} {selection.name} is in namespace {listed(same)}, not in {selection.namespace}.",
            f"in namespace {selection.namespace}",
            f"in namespace {listed(same)}",
            where,
        )
    if not names and (lacking := _missing_namespace(client, selection.namespace)):
        seen = f"no namespace {selection.namespace}"
        return Finding("missing", f"{where} does not exist: {lacking}", str(selection), seen, where)
    close = near(selection.name, names)
    there = f"there is {listed(sorted(names))}" if names else f"there is {counted(0, selection.kind)}"
    if selection.namespace:
        there += f" in {selection.namespace}" if names else f" in namespace {selection.namespace}"
    message = f"{where} does not exist; " + (f'did you mean "{close}"? ' if close else "") + f"{there}."
    return Finding("missing", message, f"{selection.kind} {selection.name}", there.removeprefix("there is "), where)


def _missing_namespace(client: KubeClient, namespace: str) -> str:
    """A sentence when there is no such namespace; empty when there is, or one may not ask."""
    try:
        if not namespace or client.get("v1", "Namespace", namespace) is not None:
            return ""
        names = [o["metadata"]["name"] for o in client.list("v1", "Namespace")]
    except (EnvironmentFault, UnknownKind):
        return ""
    return f"there is no namespace {namespace}.{did_you_mean(namespace, names)}"


def _neighbours(client: KubeClient, selection: Selection) -> tuple[list[KubeObject], list[str]]:
    """Objects of the kind in all namespaces (where that may be asked), and the names in the one asked for."""
    namespaced = bool(selection.namespace)
    try:
        objects = client.list(selection.api_version, selection.kind, all_namespaces=namespaced)
    except EnvironmentFault:
        # A learner's credentials may not reach beyond one namespace: what is near is a courtesy, not the question.
        try:
            objects = client.list(selection.api_version, selection.kind, selection.namespace or None)
        except EnvironmentFault:
            objects = []
    here = [
        o["metadata"]["name"]
        for o in objects
        if not namespaced or o["metadata"].get("namespace", "") == selection.namespace
    ]
    return objects, here
