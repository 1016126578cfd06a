"""CustomResourceDefinitions at work: a CRD in the store is a kind that is served.

Source: k8s.io/apiextensions-apiserver/pkg/controller (naming and establishing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.sandbox.kube.api import Change, Obj
from labrunner.sandbox.kube.controllers.conditions import put
from labrunner.sandbox.kube.request import Options
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, kind_of_crd

if TYPE_CHECKING:
    from labrunner.sandbox.kube.server import ApiServer

KIND = "apiextensions.k8s.io/CustomResourceDefinition"
_NAMES = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "shortNames": "ShortNamesConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}
"""Names of a CRD, and the reason when another CRD of the group has one of them. In the order of the controller."""


class CustomKinds:
    """Keeps the table of kinds, the schemas and discovery in step with the CRDs in the store."""

    def __init__(self, server: ApiServer, catalog: SchemaCatalog) -> None:
        self._server, self._catalog = server, catalog
        for crd in server.store.objects(KIND):
            self._serve(crd)
        server.store.listen(self._changed)
        server.registry.prepare.setdefault(KIND, []).append(self._prepare)

    def printer_columns(self, crd_name: str, version: str) -> list[Obj]:
        """additionalPrinterColumns of a version."""
        crd = self._server.store.get(KIND, "", crd_name)
        for candidate in (crd or {}).get("spec", {}).get("versions", ()):
            if candidate["name"] == version:
                return list(candidate.get("additionalPrinterColumns") or [])
        return []

    def _changed(self, change: Change) -> None:
        if change.kind != KIND:
            return
        if change.type == "DELETED":
            self._end(change.obj)
            return
        if change.old is not None and _served_part(change.old) == _served_part(change.obj):
            return
        if change.old is not None and self._serves(change.old):
            self._server.kinds.remove(_kind_id(change.old))
        self._serve(change.obj)

    def _serves(self, crd: Obj) -> bool:
        """Whether the kind is served from this CRD, not from another that had the name first."""
        kind = self._server.kinds.get(_kind_id(crd))
        return kind is not None and kind.custom and kind.resource == crd["metadata"]["name"]

    def _serve(self, crd: Obj) -> None:
        served = any(version.get("served") for version in crd["spec"]["versions"])
        if not served or not _condition(crd, "Established"):
            self._server.discovery.forget()
            return
        kind = kind_of_crd(crd)
        present = self._server.kinds.get(kind.id)
        if present is not None and not present.custom:
            return
        self._catalog.add_crd(crd)
        self._server.kinds.add(kind)
        for version in crd["spec"]["versions"]:
            paths = {f["jsonPath"].lstrip("."): f["jsonPath"] for f in version.get("selectableFields") or ()}
            self._server.selectable[kind.id, version["name"]] = paths
            self._server.deprecated.pop((kind.id, version["name"]), None)
            if version.get("deprecated"):
                usual = f"{kind.group}/{version['name']} {kind.kind} is deprecated"
                self._server.deprecated[kind.id, version["name"]] = version.get("deprecationWarning", usual)
        self._server.discovery.forget()

    def _end(self, crd: Obj) -> None:
        kind_id = _kind_id(crd)
        if not self._serves(crd):
            return
        for obj in list(self._server.store.objects(kind_id)):
            meta = obj["metadata"]
            self._server.store.remove(kind_id, meta.get("namespace", ""), meta["name"])
        self._catalog.remove_crd(crd)
        self._server.kinds.remove(kind_id)
        self._server.watches.end_kind(kind_id)
        self._server.discovery.forget()

    def _prepare(self, crd: Obj, old: Obj | None, options: Options) -> Obj:
        """Accept the names at once, as the naming controller does a moment after creation."""
        spec = crd.get("spec") or {}
        names = spec.get("names") or {}
        if not isinstance(names.get("kind"), str) or not isinstance(names.get("plural"), str):
            return crd
        names.setdefault("listKind", f"{names['kind']}List")
        names.setdefault("singular", names["kind"].lower())
        spec.setdefault("conversion", {"strategy": "None"})
        now = self._server.registry.clock.now()
        status = dict((old or {}).get("status") or {})
        accepted, conflict = self._accepted(crd, (old or {}).get("status", {}).get("acceptedNames") or {})
        status["acceptedNames"] = accepted
        entries = list(status.get("conditions") or ())
        verdict = ("False", *conflict) if conflict else ("True", "NoConflicts", "no conflicts found")
        entries = put(entries, now, "NamesAccepted", *verdict)
        if not conflict:
            verdict = ("True", "InitialNamesAccepted", "the initial names have been accepted")
        else:
            verdict = ("False", "NotAccepted", "not all names are accepted")
        if not _condition(status, "Established"):
            entries = put(entries, now, "Established", *verdict)
        status["conditions"] = entries
        stored = [version["name"] for version in spec.get("versions") or () if version.get("storage")]
        status["storedVersions"] = list(dict.fromkeys([*(status.get("storedVersions") or ()), *stored]))
        crd["status"] = status
        return crd

    def _accepted(self, crd: Obj, before: Obj) -> tuple[Obj, tuple[str, str] | None]:
        """The names that nobody else in the group has, and why others were refused: (reason, message)."""
        names, resources, kinds = crd["spec"]["names"], set[str](), set[str]()
        for other in self._server.store.objects(KIND):
            if other["spec"]["group"] == crd["spec"].get("group") and other["metadata"]["name"] != _name(crd):
                taken = (other.get("status") or {}).get("acceptedNames") or {}
                resources |= {taken.get("plural", ""), taken.get("singular", ""), *(taken.get("shortNames") or ())}
                kinds |= {taken.get("kind", ""), taken.get("listKind", "")}
        conflict = None
        accepted = {key: before[key] for key in _NAMES if key in before}
        for key, reason in _NAMES.items():
            wanted = names.get(key)
            if wanted is None:
                accepted.pop(key, None)
                continue
            given = wanted if isinstance(wanted, list) else [wanted]
            mine = before.get(key)
            old = mine if isinstance(mine, list) else [mine]
            others = kinds if key in ("kind", "listKind") else resources
            used = [name for name in given if isinstance(name, str) and name in others and name not in old]
            if not used:
                accepted[key] = wanted
                continue
            messages = list(dict.fromkeys(f'"{name}" is already in use' for name in used))
            conflict = (reason, messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]")
        if names.get("categories"):
            accepted["categories"] = names["categories"]
        # The kind and the plural are never left out, though they may be empty.
        return {"kind": "", "plural": ""} | accepted, conflict


def _name(crd: Obj) -> str:
    return str((crd.get("metadata") or {}).get("name", ""))


def _condition(part: Obj, type_: str) -> bool:
    """Whether a CRD (or its status) has this condition."""
    conditions = part.get("conditions") or (part.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == type_ and c.get("status") == "True" for c in conditions)


def _served_part(crd: Obj) -> tuple[Obj, bool]:
    return crd["spec"], _condition(crd, "Established")


def _kind_id(crd: Obj) -> str:
    return f"{crd['spec']['group']}/{crd['spec']['names']['kind']}"
