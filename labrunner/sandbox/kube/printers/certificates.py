"""CertificateSigningRequests and ClusterTrustBundles."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages, human_duration
from labrunner.sandbox.kube.printers.printer import AGE, NAME, NONE, Column, Obj, Printer, at, created, name_of


def _condition(obj: Obj) -> str:
    types = {condition.get("type") for condition in at(obj, "status", "conditions", default=())}
    status = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    if "Failed" in types:
        status += ",Failed"
    return f"{status},Issued" if at(obj, "status", "certificate") else status


def _request(obj: Obj, ages: Ages) -> list[Any]:
    seconds = at(obj, "spec", "expirationSeconds")
    return [
        name_of(obj),
        ages(created(obj)),
        at(obj, "spec", "signerName") or NONE,
        at(obj, "spec", "username", default=""),
        NONE if seconds is None else human_duration(seconds),
        _condition(obj),
    ]


def _bundle(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), at(obj, "spec", "signerName") or NONE]


_SPEC = "@certificates.v1.CertificateSigningRequestSpec"
PRINTERS = {
    "certificates.k8s.io/CertificateSigningRequest": Printer(
        (
            NAME,
            AGE,
            Column("SignerName", f"{_SPEC}.signerName"),
            Column("Requestor", f"{_SPEC}.request"),
            Column("RequestedDuration", f"{_SPEC}.expirationSeconds"),
            Column("Condition", "@certificates.v1.CertificateSigningRequestStatus.conditions"),
        ),
        _request,
    ),
    "certificates.k8s.io/ClusterTrustBundle": Printer(
        (NAME, Column("SignerName", "@certificates.v1beta1.ClusterTrustBundleSpec.signerName")), _bundle
    ),
}
