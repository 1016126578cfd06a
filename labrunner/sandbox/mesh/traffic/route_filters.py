"""Faults and CORS of a VirtualService's HTTP route, as the configuration of Envoy's filters for it.

Source: pilot/pkg/networking/core/route/route.go (TranslateFault, TranslateCORSPolicy).
"""

from __future__ import annotations

import re
from typing import Any

from labrunner.sandbox.mesh.traffic.durations import envoy_duration
from labrunner.sandbox.mesh.traffic.route_match import string

_TYPE = "type.googleapis.com/envoy.extensions.filters.http"


def route_filters(entry: dict[str, Any]) -> dict[str, Any]:
    """`typed_per_filter_config` of a route."""
    found: dict[str, Any] = {}
    if cors := entry.get("corsPolicy"):
        found["envoy.filters.http.cors"] = _cors(cors)
    if fault := entry.get("fault"):
        found["envoy.filters.http.fault"] = _fault(fault)
    return found


def _cors(cors: dict[str, Any]) -> dict[str, Any]:
    origins = [string(origin) for origin in cors.get("allowOrigins") or ()]
    origins += [{"exact": origin} if origin != "*" else {"safe_regex": {"regex": ".*"}}
                for origin in cors.get("allowOrigin") or ()]  # fmt: skip
    found: dict[str, Any] = {
        "@type": f"{_TYPE}.cors.v3.CorsPolicy",
        "allow_origin_string_match": origins,
        "filter_enabled": {"default_value": {"numerator": 100}},
    }
    for key, target in (
        ("allowMethods", "allow_methods"), ("allowHeaders", "allow_headers"), ("exposeHeaders", "expose_headers"),
    ):  # fmt: skip
        if cors.get(key):
            found[target] = ",".join(cors[key])
    if cors.get("maxAge"):
        found["max_age"] = envoy_duration(cors["maxAge"]).removesuffix("s").partition(".")[0]
    if "allowCredentials" in cors:
        found["allow_credentials"] = bool(cors["allowCredentials"])
    forward = cors.get("unmatchedPreflights") != "IGNORE"
    found["forward_not_matching_preflights"] = forward
    return found


def _fault(fault: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"@type": f"{_TYPE}.fault.v3.HTTPFault"}
    if delay := fault.get("delay"):
        # Without a percentage nothing is delayed or aborted.
        share = (delay.get("percentage") or {}).get("value", delay.get("percent", 0)) or 0
        found["delay"] = {"fixed_delay": envoy_duration(delay["fixedDelay"]), "percentage": fraction(share)}
    if abort := fault.get("abort"):
        share = (abort.get("percentage") or {}).get("value", 0) or 0
        found["abort"] = {"percentage": fraction(share)}
        if abort.get("httpStatus"):
            found["abort"]["http_status"] = int(abort["httpStatus"])
        elif abort.get("grpcStatus"):
            found["abort"]["grpc_status"] = _GRPC.get(abort["grpcStatus"], 2)
    return found


def fraction(percent: float | int | str) -> dict[str, Any]:
    """An Envoy FractionalPercent, to a ten-thousandth of a percent."""
    return {"numerator": round(float(percent) * 10_000), "denominator": "MILLION"}


_GRPC = {
    name: number
    for number, name in enumerate(
        re.split(
            r"\s+",
            "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
            " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
            " UNAUTHENTICATED",
        )
    )
}
