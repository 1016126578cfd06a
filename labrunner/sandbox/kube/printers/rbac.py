"""RoleBindings and ClusterRoleBindings. Roles have no printer: they show NAME and CREATED AT."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import AGE, NAME, Column, Obj, Printer, at, created, name_of


def _cells(obj: Obj, ages: Ages) -> list[Any]:
    subjects: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        name, namespace = subject.get("name", ""), subject.get("namespace", "")
        if subject.get("kind") in subjects:
            is_account = subject["kind"] == "ServiceAccount"
            subjects[subject["kind"]].append(f"{namespace}/{name}" if is_account else name)
    role = f"{at(obj, 'roleRef', 'kind', default='')}/{at(obj, 'roleRef', 'name', default='')}"
    return [name_of(obj), role, ages(created(obj)), *(", ".join(names) for names in subjects.values())]


def _printer(kind: str, word: str) -> Printer:
    columns = (
        NAME,
        Column("Role", f"@rbac.v1.{kind}.roleRef"),
        AGE,
        Column("Users", f"Users in the {word}", priority=1),
        Column("Groups", f"Groups in the {word}", priority=1),
        Column("ServiceAccounts", f"ServiceAccounts in the {word}", priority=1),
    )
    return Printer(columns, _cells)


PRINTERS = {
    "rbac.authorization.k8s.io/RoleBinding": _printer("RoleBinding", "roleBinding"),
    "rbac.authorization.k8s.io/ClusterRoleBinding": _printer("ClusterRoleBinding", "clusterRoleBinding"),
}
