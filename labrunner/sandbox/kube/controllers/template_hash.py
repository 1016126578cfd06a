"""Pod template hashes and equality: what tells one revision of a workload from another.

Source: k8s.io/kubernetes/pkg/controller (ComputeHash) and pkg/controller/deployment/util (EqualIgnoreHash).
"""

from __future__ import annotations

import json
from typing import Any

from labrunner.sandbox.kube.controllers.meta import safe_encode

POD_TEMPLATE_HASH = "pod-template-hash"


def compute(template: dict[str, Any], collisions: int = 0) -> str:
    """7 to 10 letters of the safe alphabet."""
    text = json.dumps(without_hash(template), sort_keys=True, separators=(",", ":"))
    if collisions:
        text += str(collisions)
    return safe_encode(str(fnv32a(text.encode())))


def fnv32a(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def without_hash(template: dict[str, Any]) -> dict[str, Any]:
    """The template without the hash label and without empty metadata."""
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if v}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != POD_TEMPLATE_HASH}
    metadata.pop("labels", None)
    if labels:
        metadata["labels"] = labels
    return {"metadata": metadata, "spec": template.get("spec") or {}}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return without_hash(one) == without_hash(other)


def labelled(template: dict[str, Any], hash_: str) -> dict[str, Any]:
    """The template with the hash among its labels."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), POD_TEMPLATE_HASH: hash_}
    return {**template, "metadata": metadata}
