"""Leases and LeaseCandidates."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import AGE, NAME, Column, Obj, Printer, at, created, name_of


def _lease(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), at(obj, "spec", "holderIdentity", default=""), ages(created(obj))]


def _candidate(obj: Obj, ages: Ages) -> list[Any]:
    fields = ("leaseName", "binaryVersion", "emulationVersion")
    return [name_of(obj), *(at(obj, "spec", field, default="") for field in fields), ages(created(obj))]


_CANDIDATE = "@coordination.v1beta1.LeaseCandidateSpec"
PRINTERS = {
    "coordination.k8s.io/Lease": Printer(
        (NAME, Column("Holder", "@coordination.v1.LeaseSpec.holderIdentity"), AGE), _lease
    ),
    "coordination.k8s.io/LeaseCandidate": Printer(
        (
            NAME,
            Column("LeaseName", f"{_CANDIDATE}.leaseName"),
            Column("BinaryVersion", f"{_CANDIDATE}.binaryVersion"),
            Column("EmulationVersion", f"{_CANDIDATE}.emulationVersion"),
            AGE,
        ),
        _candidate,
    ),
}
