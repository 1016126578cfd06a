"""Which representation a client wants: JSON or YAML, as it is, as a Table, or as metadata only.

Source: k8s.io/apiserver/pkg/endpoints/handlers/negotiation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from labrunner.sandbox.kube.status import ApiError

JSON = "application/json"
YAML = "application/yaml"
_SERVED = {JSON: JSON, YAML: YAML, "*/*": JSON, "application/*": JSON, "text/*": JSON}
_TRANSFORMS = {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}
_META_VERSIONS = ("v1", "v1beta1")


@dataclass(frozen=True, slots=True)
class Representation:
    """`transform`: empty, Table, PartialObjectMetadata or PartialObjectMetadataList; `version` is meta.k8s.io's."""

    media_type: str = JSON
    transform: str = ""
    version: str = "v1"


@dataclass(frozen=True, slots=True)
class Discovery:
    """`aggregated`: v2 (or v2beta1) of apidiscovery.k8s.io; empty: the legacy documents."""

    aggregated: str = ""


@lru_cache(maxsize=256)
def media_types(accept: str) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The media ranges of an Accept header, most wanted first, each with its parameters."""
    ranges = []
    for position, part in enumerate(accept.split(",")):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        if not media:
            continue
        pairs = [tuple(p.split("=", 1)) for p in parameters if "=" in p]
        quality = 1.0
        kept = []
        for key, value in pairs:
            if key == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
            else:
                kept.append((key, value.strip('"')))
        ranges.append((-quality, position, media.lower(), tuple(kept)))
    ranges.sort(key=lambda r: (r[0], r[1]))
    return tuple((media, parameters) for _, _, media, parameters in ranges)


@lru_cache(maxsize=256)
def representation(accept: str) -> Representation:
    """What to answer with. Raises ApiError 406."""
    if not accept:
        return Representation()
    for media, pairs in media_types(accept):
        served = _SERVED.get(media)
        if served is None:
            continue
        parameters = dict(pairs)
        wanted = parameters.get("as", "")
        if not wanted:
            return Representation(served)
        if wanted not in _TRANSFORMS or parameters.get("g") != "meta.k8s.io":
            continue
        if parameters.get("v") not in _META_VERSIONS:
            continue
        return Representation(served, wanted, parameters["v"])
    raise ApiError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf",
    )


@lru_cache(maxsize=64)
def discovery(accept: str) -> Discovery:
    """Which discovery document is wanted at `/api` and `/apis`."""
    for media, pairs in media_types(accept):
        if media not in _SERVED:
            continue
        parameters = dict(pairs)
        if parameters.get("as") == "APIGroupDiscoveryList" and parameters.get("g") == "apidiscovery.k8s.io":
            if parameters.get("v") in ("v2", "v2beta1"):
                return Discovery(parameters["v"])
            continue
        if not parameters:
            return Discovery()
    return Discovery()
