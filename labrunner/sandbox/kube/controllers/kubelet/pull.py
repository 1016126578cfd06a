"""Pulling images: known or not, present or not, and containerd's words when it fails.

Sentences: pkg/kubelet/images/image_manager.go and containerd's resolver.
"""

from __future__ import annotations

from dataclasses import dataclass

from labrunner.sandbox.workload import images
from labrunner.sandbox.workload.images import Image, Reference


@dataclass(frozen=True, slots=True)
class Pull:
    """How asking for an image ends. `reason` and `message` are set when it fails."""

    image: Image | None = None
    reference: Reference | None = None
    reason: str = ""
    message: str = ""
    seconds: float = 0.0


def ask(name: str) -> Pull:
    """What the registry answers."""
    reference = images.parse_reference(name)
    if reference is None:
        why = "repository name (library/{0}) must be lowercase" if name != name.lower() and "/" not in name else ""
        why = why.format(name.partition(":")[0]) if why else ""
        detail = f"invalid reference format: {why}" if why else "invalid reference format"
        message = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": {detail}'
        return Pull(reason="InvalidImageName", message=message)
    image = images.find(reference)
    prefix = f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": '
    if image is None:
        host = reference.repository.partition("/")[0]
        if host == "docker.io":
            why = (
                "pull access denied, repository does not exist or may require authorization: server message: "
                "insufficient_scope: authorization failed"
            )
        elif "." in host and host.split(":")[0] not in _REGISTRIES and not host.endswith(_REGISTRY_DOMAINS):
            path = reference.repository.partition("/")[2]
            why = (
                f'failed to do request: Head "https://{host}/v2/{path}/manifests/{reference.tag or reference.digest}": '
                f"dial tcp: lookup {host.split(':')[0]} on 168.63.129.16:53: no such host"
            )
            return Pull(reference=reference, reason="ErrImagePull", message=prefix + why, seconds=0.6)
        else:
            why = f"{reference}: not found"
            return Pull(reference=reference, reason="ErrImagePull", seconds=0.6,
                        message=f"rpc error: code = NotFound desc = {prefix}{why}")  # fmt: skip
        return Pull(reference=reference, reason="ErrImagePull", message=prefix + why, seconds=0.6)
    if not images.has_tag(image, reference):
        message = f"rpc error: code = NotFound desc = {prefix}{reference}: not found"
        return Pull(reference=reference, reason="ErrImagePull", message=message, seconds=0.5)
    return Pull(image, reference, seconds=0.4 + min(image.size / 120e6, 1.6))


_REGISTRIES = {"ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws", "localhost"}
_REGISTRY_DOMAINS = (".azurecr.io", ".gcr.io", ".pkg.dev", ".amazonaws.com", ".docker.io")
