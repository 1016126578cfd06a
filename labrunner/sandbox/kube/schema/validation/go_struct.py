"""Objects as the server shows its own structs in what it refuses: as JSON, or as a unified diff of two of them.

The server's internal types have no JSON tags: Go's field names, in the order of their declaration, nothing left out.
The tables below are those types, as far as refusals show them.
Source: k8s.io/apimachinery/pkg/util/{diff,validation/field} and k8s.io/kubernetes/pkg/apis/*/types.go.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.kube import field

_CONTEXT = 3
_ZERO: dict[str, Any] = {"s": "", "i": 0, "b": False, "?": None}
_PROBE = (
    "Exec*Exec HTTPGet*HTTPGet TCPSocket*TCPSocket GRPC*GRPC InitialDelaySeconds:i TimeoutSeconds:i PeriodSeconds:i "
    "SuccessThreshold:i FailureThreshold:i TerminationGracePeriodSeconds?"
)
_CONTAINER = (
    "Name:s Image:s Command? Args? WorkingDir:s Ports[]Port EnvFrom[]EnvFrom Env[]Env Resources=Resources "
    "ResizePolicy[]Resize RestartPolicy? RestartPolicyRules? VolumeMounts[]Mount VolumeDevices[]Device "
    "LivenessProbe*Probe ReadinessProbe*Probe StartupProbe*Probe Lifecycle*Lifecycle TerminationMessagePath:s "
    "TerminationMessagePolicy:s ImagePullPolicy:s SecurityContext*Security Stdin:b StdinOnce:b TTY:b"
)
_TYPES: Mapping[str, str] = {
    "PersistentVolumeClaimSpec": (
        "AccessModes? Selector*Selector Resources=VolumeResources VolumeName:s StorageClassName? VolumeMode? "
        "DataSource*Object DataSourceRef*TypedObject VolumeAttributesClassName?"
    ),
    "VolumeResources": "Limits? Requests?",
    "DeploymentStrategy": "Type:s RollingUpdate*DeploymentRolling",
    "DeploymentRolling": "MaxUnavailable? MaxSurge?",
    "DaemonSetStrategy": "Type:s RollingUpdate*DeploymentRolling",
    "StatefulSetStrategy": "Type:s RollingUpdate*StatefulSetRolling",
    "StatefulSetRolling": "Partition:i MaxUnavailable?",
    "DisruptionBudgetSpec": "MinAvailable? Selector*Selector MaxUnavailable? UnhealthyPodEvictionPolicy?",
    "ServicePort": "Name:s Protocol:s AppProtocol? Port:i TargetPort:i NodePort:i",
    "Object": "APIGroup? Kind:s Name:s",
    "TypedObject": "APIGroup? Kind:s Name:s Namespace?",
    "PodSpec": (
        "Volumes[]Volume InitContainers[]Container Containers[]Container EphemeralContainers? RestartPolicy:s "
        "TerminationGracePeriodSeconds? ActiveDeadlineSeconds? DNSPolicy:s NodeSelector? ServiceAccountName:s "
        "AutomountServiceAccountToken? NodeName:s SecurityContext*PodSecurity ImagePullSecrets[]Name Hostname:s "
        "Subdomain:s SetHostnameAsFQDN? Affinity? SchedulerName:s Tolerations[]Toleration HostAliases[]HostAlias "
        "PriorityClassName:s Priority? PreemptionPolicy? DNSConfig*DNSConfig ReadinessGates[]Gate RuntimeClassName? "
        "Overhead? EnableServiceLinks? TopologySpreadConstraints[]Spread OS*Name SchedulingGates? ResourceClaims? "
        "Resources*Resources HostnameOverride? SchedulingGroup?"
    ),
    "Volume": (
        "Name:s HostPath*HostPath EmptyDir*EmptyDir GCEPersistentDisk? AWSElasticBlockStore? GitRepo? Secret*Secret "
        "NFS*NFS ISCSI? Glusterfs? PersistentVolumeClaim*Claim RBD? Quobyte? FlexVolume? Cinder? CephFS? Flocker? "
        "DownwardAPI*DownwardAPI FC? AzureFile? ConfigMap*ConfigMap VsphereVolume? AzureDisk? PhotonPersistentDisk? "
        "Projected*Projected PortworxVolume? ScaleIO? StorageOS? CSI? Ephemeral? Image?"
    ),
    "HostPath": "Path:s Type?",
    "EmptyDir": "Medium:s SizeLimit?",
    "Secret": "SecretName:s Items[]Item DefaultMode? Optional?",
    "NFS": "Server:s Path:s ReadOnly:b",
    "Claim": "ClaimName:s ReadOnly:b",
    "DownwardAPI": "Items[]DownwardItem DefaultMode?",
    "ConfigMap": "Name:s Items[]Item DefaultMode? Optional?",
    "Item": "Key:s Path:s Mode?",
    "DownwardItem": "Path:s FieldRef*FieldRef ResourceFieldRef*ResourceRef Mode?",
    "Projected": "Sources[]Source DefaultMode?",
    "Source": (
        "Secret*ProjectedItems DownwardAPI*ProjectedFields ConfigMap*ProjectedItems ServiceAccountToken*AccountToken "
        "ClusterTrustBundle? PodCertificate?"
    ),
    "ProjectedItems": "Name:s Items[]Item Optional?",
    "ProjectedFields": "Items[]DownwardItem",
    "AccountToken": "Audience:s ExpirationSeconds:i Path:s",
    "Container": _CONTAINER,
    "Port": "Name:s HostPort:i ContainerPort:i Protocol:s HostIP:s",
    "EnvFrom": "Prefix:s ConfigMapRef*Ref SecretRef*Ref",
    "Ref": "Name:s Optional?",
    "Env": "Name:s Value:s ValueFrom*ValueFrom",
    "ValueFrom": (
        "FieldRef*FieldRef ResourceFieldRef*ResourceRef ConfigMapKeyRef*KeyRef SecretKeyRef*KeyRef FileKeyRef?"
    ),
    "FieldRef": "APIVersion:s FieldPath:s",
    "ResourceRef": "ContainerName:s Resource:s Divisor:s",
    "KeyRef": "Name:s Key:s Optional?",
    "Resources": "Limits? Requests? Claims?",
    "Resize": "ResourceName:s RestartPolicy:s",
    "Mount": "Name:s ReadOnly:b RecursiveReadOnly? MountPath:s SubPath:s MountPropagation? SubPathExpr:s",
    "Device": "Name:s DevicePath:s",
    "Probe": _PROBE,
    "Exec": "Command?",
    "HTTPGet": "Path:s Port? Host:s Scheme:s HTTPHeaders[]Header",
    "Header": "Name:s Value:s",
    "TCPSocket": "Port? Host:s",
    "GRPC": "Port:i Service?",
    "Lifecycle": "PostStart*Handler PreStop*Handler StopSignal?",
    "Handler": "Exec*Exec HTTPGet*HTTPGet TCPSocket*TCPSocket Sleep*Sleep",
    "Sleep": "Seconds:i",
    "Security": (
        "Capabilities*Capabilities Privileged? SELinuxOptions? WindowsOptions? RunAsUser? RunAsGroup? RunAsNonRoot? "
        "ReadOnlyRootFilesystem? AllowPrivilegeEscalation? ProcMount? SeccompProfile*Profile AppArmorProfile*Profile"
    ),
    "Capabilities": "Add? Drop?",
    "Profile": "Type:s LocalhostProfile?",
    "PodSecurity": (
        "HostNetwork:b HostPID:b HostIPC:b ShareProcessNamespace? HostUsers? SELinuxOptions? WindowsOptions? "
        "RunAsUser? RunAsGroup? RunAsNonRoot? SupplementalGroups? SupplementalGroupsPolicy? FSGroup? "
        "FSGroupChangePolicy? Sysctls[]Header SeccompProfile*Profile AppArmorProfile*Profile SELinuxChangePolicy?"
    ),
    "Name": "Name:s",
    "Toleration": "Key:s Operator:s Value:s Effect:s TolerationSeconds?",
    "HostAlias": "IP:s Hostnames?",
    "DNSConfig": "Nameservers? Searches? Options[]DNSOption",
    "DNSOption": "Name:s Value?",
    "Gate": "ConditionType:s",
    "Spread": (
        "MaxSkew:i TopologyKey:s WhenUnsatisfiable:s LabelSelector*Selector MinDomains? NodeAffinityPolicy? "
        "NodeTaintsPolicy? MatchLabelKeys?"
    ),
}
"""Type -> its fields: `:` a value and its zero, `?` what may be null, `=` a struct, `*` a pointer to one, `[]` many."""
_METADATA = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
)  # fmt: skip
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
"""Of the pod's spec in v1, of its security context inside the server."""


def changed(type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The diff of two specs given as in v1; empty when they are the same."""
    before, after = (
        json.dumps(field.ordered(_struct(type_, spec)), indent=1, ensure_ascii=False).split("\n") for spec in (old, new)
    )
    lines = list(difflib.unified_diff(before, after, lineterm="", n=_CONTEXT))
    return "".join(f"{line}\n" for line in lines[2:])


def shown(type_: str, given: Mapping[str, Any] | None) -> Any:
    """A value given as in v1, for the text of a refusal."""
    return None if given is None else _struct(type_, given)


def pod_template(given: Mapping[str, Any] | None) -> Any:
    """A PodTemplateSpec: its metadata, which has JSON tags, stands among its own fields."""
    given = given or {}
    return field.Struct({**_metadata(given.get("metadata") or {}), "Spec": _struct("PodSpec", given.get("spec") or {})})


def _metadata(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {name: meta[name] for name in _METADATA if meta.get(name)}


def selector(given: Any) -> Any:
    """A metav1.LabelSelector, whose JSON tags leave out what is empty."""
    if not isinstance(given, Mapping):
        return given
    found = field.Struct({"matchLabels": given["matchLabels"]} if given.get("matchLabels") else {})
    if expressions := given.get("matchExpressions"):
        found["matchExpressions"] = [
            field.Struct({name: entry[name] for name in ("key", "operator", "values") if name in entry})
            for entry in expressions
        ]
    return found


def _struct(type_: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if type_ == "Selector":
        found: dict[str, Any] = selector(given)
        return found
    if type_ == "PodSpec":
        moved = {key: given[key] for key in _HOST_FIELDS if key in given}
        context = given.get("securityContext")
        if moved or context is not None:
            given = {**given, "securityContext": {**(context or {}), **moved}}
    present = {key.lower(): value for key, value in given.items()}
    found = field.Struct()
    for entry in _TYPES[type_].split(" "):
        name, mark, of = _parts(entry)
        value = present.get(name.lower())
        if mark in (":", "?"):
            found[name] = _ZERO[of or "?"] if value is None else value
        elif mark == "=":
            found[name] = _struct(of, value or {})
        elif mark == "*":
            found[name] = None if value is None else _struct(of, value)
        else:
            found[name] = [_struct(of, item) for item in value] if value else None
    return found


def _parts(entry: str) -> tuple[str, str, str]:
    for mark in ("[]", ":", "?", "=", "*"):
        name, found, of = entry.partition(mark)
        if found:
            return name, mark, of
    raise ValueError(entry)
