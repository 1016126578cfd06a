"""The messages analyzers give, with Istio's codes, levels and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LEVELS = ("Info", "Warning", "Error")
DOCUMENTATION = "https://istio.io/v{version}/docs/reference/config/analysis"

TYPES: dict[str, tuple[str, str, str]] = {
    "IST0101": ("ReferencedResourceNotFound", "Error", "Referenced {} not found: {}"),
    "IST0102": (
        "NamespaceNotInjected",
        "Info",
        "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {0} istio-injection=enabled' "
        "to enable it, or 'kubectl label namespace {0} istio-injection=disabled' to explicitly mark it as not needing "
        "injection.",
    ),
    "IST0103": (
        "PodMissingProxy",
        "Warning",
        "The pod {} is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.",
    ),
    "IST0106": ("SchemaValidationError", "Error", "Schema validation error: {}"),
    "IST0107": ("MisplacedAnnotation", "Warning", "Misplaced annotation: {} can only be applied to {}"),
    "IST0108": ("UnknownAnnotation", "Warning", "Unknown annotation: {}"),
    "IST0109": (
        "ConflictingMeshGatewayVirtualServiceHosts",
        "Error",
        "The VirtualServices {} associated with mesh gateway define the same host {} which can lead to undefined "
        "behavior. This can be fixed by merging the conflicting VirtualServices into a single resource.",
    ),
    "IST0110": (
        "ConflictingSidecarWorkloadSelectors",
        "Error",
        "The Sidecars {} in namespace {} select the same workload pod {}, which can lead to undefined behavior.",
    ),
    "IST0111": (
        "MultipleSidecarsWithoutWorkloadSelectors",
        "Error",
        "The Sidecars {} in namespace {} have no workload selector, which can lead to undefined behavior.",
    ),
    "IST0112": (
        "VirtualServiceDestinationPortSelectorRequired",
        "Error",
        "This VirtualService routes to a service {} that exposes multiple ports {}. Specifying a port in the "
        "destination is required to disambiguate.",
    ),
    "IST0113": (
        "MTLSPolicyConflict",
        "Error",
        "A DestinationRule and Policy are in conflict with regards to mTLS for host {}. The DestinationRule {} "
        "specifies that mTLS must be {} but the Policy object {} specifies {}.",
    ),
    "IST0116": (
        "DeploymentAssociatedToMultipleServices",
        "Warning",
        "This deployment {} is associated with multiple services using port {} but different protocols: {}",
    ),
    "IST0118": (
        "PortNameIsNotUnderNamingConvention",
        "Info",
        "Port name {} (port: {}, targetPort: {}) doesn't follow the naming convention of Istio port.",
    ),
    "IST0122": ("InvalidRegexp", "Warning", "Field {} regular expression invalid: {} ({})"),
    "IST0123": (
        "NamespaceMultipleInjectionLabels",
        "Warning",
        "The namespace has more than one type of injection labels {}, which may lead to undefined behavior. Make sure "
        "only one injection label exists.",
    ),
    "IST0127": (
        "NoMatchingWorkloadsFound",
        "Warning",
        "No matching workloads for this resource with the following labels: {}",
    ),
    "IST0128": (
        "NoServerCertificateVerificationDestinationLevel",
        "Warning",
        "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server "
        "identity for host: {}",
    ),
    "IST0129": (
        "NoServerCertificateVerificationPortLevel",
        "Warning",
        "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server "
        "identity for host: {} at port {}",
    ),
    "IST0130": ("VirtualServiceUnreachableRule", "Warning", "VirtualService rule {} not used ({})."),
    "IST0131": (
        "VirtualServiceIneffectiveMatch",
        "Info",
        "VirtualService rule {} match {} is not used (duplicate/overlapping match in rule {}).",
    ),
    "IST0132": (
        "VirtualServiceHostNotFoundInGateway",
        "Warning",
        "one or more host {} defined in VirtualService {} not found in Gateway {}.",
    ),
    "IST0134": (
        "ServiceEntryAddressesRequired",
        "Warning",
        "ServiceEntry addresses are required for this protocol.",
    ),
    "IST0137": (
        "DeploymentConflictingPorts",
        "Warning",
        "This deployment {} is associated with multiple services {} using targetPort {} but different ports: {}.",
    ),
    "IST0138": (
        "GatewayDuplicateCertificate",
        "Warning",
        "Duplicate certificate in multiple gateways {} may cause 404s if clients re-use HTTP2 connections.",
    ),
    "IST0144": (
        "InvalidApplicationUID",
        "Warning",
        "User ID (UID) 1337 is reserved for the sidecar proxy.",
    ),
    "IST0145": (
        "ConflictingGateways",
        "Error",
        "Conflict with gateways {} (workload selector {}, port {}, hosts {}).",
    ),
    "IST0161": (
        "InvalidGatewayCredential",
        "Error",
        "The credential referenced by the Gateway {} in namespace {} is invalid, which can cause the traffic not to "
        "work as expected.",
    ),
    "IST0162": (
        "GatewayPortNotDefinedOnService",
        "Warning",
        "The gateway is listening on a target port (port {}) that is not defined in the Service associated with its "
        "workload instances (Pod selector {}). If you need to access the gateway port through the gateway Service, it "
        "will not be available.",
    ),
}
"""Code -> (name, level, words)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One finding about one object."""

    code: str
    kind: str
    namespace: str
    name: str
    text: str
    reference: str = ""
    """`file:line` of an object that came from a file."""

    @property
    def level(self) -> str:
        return TYPES[self.code][1]

    @property
    def origin(self) -> str:
        """`VirtualService default/reviews`, as the log format has it."""
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}" + (f" {self.reference}" if self.reference else "")

    def line(self) -> str:
        return f"{self.level} [{self.code}] ({self.origin}) {self.text}"

    def document(self, version: str) -> dict[str, Any]:
        """As `-o json` and `-o yaml` have it."""
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        found = {
            "code": self.code,
            "documentationUrl": f"{DOCUMENTATION.format(version=version)}/{self.code.lower()}/?ref=istioctl-analyze",
            "level": self.level,
            "message": self.text,
            "origin": f"{self.kind} {where}",
        }
        return {**found, "reference": self.reference} if self.reference else found


def message(code: str, resource: dict[str, Any], *values: object) -> Message:
    """About an object as the API gives it."""
    meta = resource["metadata"]
    text = TYPES[code][2].format(*values)
    reference = (meta.get("annotations") or {}).get(REFERENCE, "")
    return Message(code, resource["kind"], meta.get("namespace", ""), meta["name"], text, reference)


REFERENCE = "labrunner/reference"
"""Annotation that carries an object's file and line through analysis."""


def go_list(values: Sequence[object]) -> str:
    """A Go slice under %v."""
    return "[" + " ".join(map(str, values)) + "]"


def quoted(value: object) -> str:
    """Under %q."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
