"""The plugins in the order in which the API server runs them: those that change objects, then those that judge.

Source: pkg/kubeapiserver/options/plugins.go.
"""

from __future__ import annotations

from labrunner.sandbox.kube.admission.class_defaults import default_ingress_class, runtime_class
from labrunner.sandbox.kube.admission.limit_ranger import limit_ranger
from labrunner.sandbox.kube.admission.pod_security import pod_security
from labrunner.sandbox.kube.admission.policies import admission_policies
from labrunner.sandbox.kube.admission.priority import default_tolerations, priority
from labrunner.sandbox.kube.admission.resource_quota import ResourceQuotaPlugin
from labrunner.sandbox.kube.admission.service_account import service_account
from labrunner.sandbox.kube.admission.storage_protection import storage_protection
from labrunner.sandbox.kube.kinds import KindTable
from labrunner.sandbox.kube.request import Admission


def plugins(mutating: tuple[Admission, ...] = ()) -> list[Admission]:
    """Those that change objects. `mutating` (sidecar injection ...) stand where mutating webhooks do: last."""
    return [
        limit_ranger,
        service_account,
        priority,
        default_tolerations,
        storage_protection,
        runtime_class,
        default_ingress_class,
        *mutating,
    ]


def judges(kinds: KindTable) -> list[Admission]:
    """Those that only judge what validation let pass."""
    return [pod_security, admission_policies, ResourceQuotaPlugin(kinds)]
