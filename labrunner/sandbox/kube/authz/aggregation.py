"""The controller that fills a ClusterRole's rules from the roles its aggregationRule selects.

Source: pkg/controller/clusterroleaggregation.
"""

from __future__ import annotations

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.selectors import selector_matches

KIND = "rbac.authorization.k8s.io/ClusterRole"


class ClusterRoleAggregation:
    """One key, for all roles that aggregate: a change of any role can matter to each of them."""

    name = "clusterrole-aggregation-controller"
    watches = (KIND,)

    def keys(self, change: Change) -> list[Key]:
        return [("", "")]

    def reconcile(self, api: Api, key: Key) -> float | None:
        roles = sorted(api.objects(KIND), key=lambda role: str(role["metadata"]["name"]))
        for role in roles:
            if role.get("aggregationRule"):
                rules = _aggregated(role, roles)
                if rules != (role.get("rules") or []):
                    api.update({**role, "rules": rules}, manager=self.name)
        return None


def _aggregated(role: Obj, roles: list[Obj]) -> list[Obj]:
    rules: list[Obj] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        for other in roles:
            if other["metadata"]["name"] == role["metadata"]["name"]:
                continue
            if selector_matches(selector, other["metadata"].get("labels") or {}):
                rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules
