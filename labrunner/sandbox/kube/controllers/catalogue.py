"""The controllers of a sandbox, in the order in which they look at a change."""

from __future__ import annotations

from labrunner.sandbox.kube.controllers.autoscaling import AutoscalerController
from labrunner.sandbox.kube.controllers.cronjob import CronJobController
from labrunner.sandbox.kube.controllers.daemonset import DaemonSetController
from labrunner.sandbox.kube.controllers.deployment import DeploymentController
from labrunner.sandbox.kube.controllers.disruption import DisruptionController
from labrunner.sandbox.kube.controllers.endpoints import EndpointsController
from labrunner.sandbox.kube.controllers.endpointslice import EndpointSliceController, EndpointSliceMirrorController
from labrunner.sandbox.kube.controllers.garbage import GarbageCollector
from labrunner.sandbox.kube.controllers.job import JobController
from labrunner.sandbox.kube.controllers.kubelet.controller import KubeletController
from labrunner.sandbox.kube.controllers.load_balancer import LoadBalancerController
from labrunner.sandbox.kube.controllers.namespace import NamespaceContentsController, NamespaceDeletionController
from labrunner.sandbox.kube.controllers.protection import StorageProtectionController
from labrunner.sandbox.kube.controllers.replicaset import ReplicaSetController, ReplicationControllerController
from labrunner.sandbox.kube.controllers.runner import Controller
from labrunner.sandbox.kube.controllers.scheduler import SchedulerController
from labrunner.sandbox.kube.controllers.settings import ControllerSettings
from labrunner.sandbox.kube.controllers.statefulset import StatefulSetController
from labrunner.sandbox.kube.controllers.volumes import PersistentVolumeController


def all_controllers(settings: ControllerSettings) -> list[Controller]:
    """One of each, fresh; for a `Runner`."""
    return [
        NamespaceContentsController(settings),
        DeploymentController(),
        ReplicaSetController(),
        ReplicationControllerController(),
        StatefulSetController(),
        DaemonSetController(),
        JobController(),
        CronJobController(),
        AutoscalerController(),
        DisruptionController(),
        PersistentVolumeController(),
        StorageProtectionController(),
        SchedulerController(),
        KubeletController(settings),
        EndpointsController(),
        EndpointSliceController(),
        EndpointSliceMirrorController(),
        LoadBalancerController(settings),
        GarbageCollector(),
        NamespaceDeletionController(),
    ]
