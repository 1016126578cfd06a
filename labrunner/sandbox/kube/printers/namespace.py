"""Namespaces."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import AGE, NAME, Column, Obj, Printer, at, created, name_of


def _cells(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), at(obj, "status", "phase", default=""), ages(created(obj))]


PRINTERS = {"Namespace": Printer((NAME, Column("Status", "The status of the namespace"), AGE), _cells)}
