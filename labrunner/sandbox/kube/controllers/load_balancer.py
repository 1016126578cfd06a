"""LoadBalancer Services get an address after the time a cloud takes.

Events: k8s.io/cloud-provider/controllers/service; addresses as Azure's: public, or of the node's subnet when internal.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.meta import annotations_of, fresh, is_deleting, key_of, uid_of, with_status
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.settings import ControllerSettings

COMPONENT = "service-controller"
FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
_FIRST_INTERNAL, _FIRST_PUBLIC = 100, 16


class LoadBalancerController:
    name = "service"
    watches: tuple[str, ...] = ("Service",)

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._provisioned: set[str] = set()
        self._provisioning: set[str] = set()
        self._enqueue: Callable[[Key], None] = lambda key: None

    def paced_by(self, enqueue: Callable[[Key], None]) -> None:
        self._enqueue = enqueue

    def keys(self, change: Change) -> list[Key]:
        wanted = _is_balanced(change.obj) or bool(_addresses(change.obj))
        return [key_of(change.obj)] if wanted or FINALIZER in (change.obj["metadata"].get("finalizers") or ()) else []

    def reconcile(self, api: Api, key: Key) -> float | None:
        service = api.get("Service", key[1], key[0])
        if service is None:
            return None
        if is_deleting(service) or not _is_balanced(service):
            self._release(api, service)
            return None
        if FINALIZER not in (service["metadata"].get("finalizers") or ()):
            updated = fresh(service)
            updated["metadata"]["finalizers"] = [*(service["metadata"].get("finalizers") or ()), FINALIZER]
            service = api.update(updated, manager="cloud-controller-manager")
        wish = service["spec"].get("loadBalancerIP", "")
        internal = annotations_of(service).get(INTERNAL, "").lower() == "true"
        current = _addresses(service)
        if current and self._fits(current[0], wish, internal):
            return None
        uid = uid_of(service)
        if uid not in self._provisioned:
            if uid not in self._provisioning:
                self._provisioning.add(uid)
                message = "Ensuring load balancer"
                api.record_event(service, "Normal", "EnsuringLoadBalancer", message, component=COMPONENT)
                api.call_later(self._settings.load_balancer_delay, lambda: self._done(uid, key))
            return None
        address = wish or self._free(api, internal)
        ingress = [{"ip": address, "ipMode": "VIP"}]
        api.update_status(
            with_status(service, {**(service.get("status") or {}), "loadBalancer": {"ingress": ingress}}),
            manager="cloud-controller-manager",
        )
        api.record_event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer", component=COMPONENT)
        return None

    def _done(self, uid: str, key: Key) -> None:
        self._provisioning.discard(uid)
        self._provisioned.add(uid)
        self._enqueue(key)

    def _release(self, api: Api, service: Obj) -> None:
        self._provisioned.discard(uid_of(service))
        if _addresses(service):
            status = {**(service.get("status") or {}), "loadBalancer": {}}
            service = api.update_status(with_status(service, status), manager="cloud-controller-manager")
        finalizers = service["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            say = "DeletingLoadBalancer", "Deleting load balancer"
            api.record_event(service, "Normal", *say, component=COMPONENT)
            updated = fresh(service)
            updated["metadata"]["finalizers"] = [f for f in finalizers if f != FINALIZER]
            api.update(updated, manager="cloud-controller-manager")

    def _fits(self, address: str, wish: str, internal: bool) -> bool:
        if wish:
            return address == wish
        return (ipaddress.ip_address(address) in ipaddress.ip_network(self._settings.node_cidr)) == internal

    def _free(self, api: Api, internal: bool) -> str:
        taken = {address for service in api.objects("Service") for address in _addresses(service)}
        network = ipaddress.ip_network(self._settings.node_cidr if internal else self._settings.external_cidr)
        index = _FIRST_INTERNAL if internal else _FIRST_PUBLIC
        while str(network[index]) in taken:
            index += 1
        return str(network[index])


def _is_balanced(service: Obj) -> bool:
    spec: dict[str, Any] = service.get("spec") or {}
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def _addresses(service: Obj) -> list[str]:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    return [entry["ip"] for entry in balancer.get("ingress") or () if entry.get("ip")]
