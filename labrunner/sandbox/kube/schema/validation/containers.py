"""Containers: image, ports, environment, mounts, resources, probes, hooks, security context.

Source: k8s.io/kubernetes pkg/apis/core/validation/validation.go, validateContainerCommon and what it calls.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import (
    PROTOCOLS,
    Obj,
    named,
    not_negative,
    one_of,
    port_number,
    port_number_or_name,
    required_name,
)
from labrunner.sandbox.kube.schema.validation.resources import container_resources

_PULL_POLICIES = ["Always", "IfNotPresent", "Never"]
_MESSAGE_POLICIES = ["FallbackToLogsOnError", "File"]
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_THRESHOLDS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ENV_FIELDS = {
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
}  # fmt: skip
_RESOURCE_FIELDS = [
    *("limits.cpu", "limits.ephemeral-storage", "limits.memory"),
    *("requests.cpu", "requests.ephemeral-storage", "requests.memory"),
]
_MAX_ID = 2**31 - 1


def containers(items: list[Obj], volumes: Collection[str], path: str) -> list[FieldError]:
    """The regular containers of a pod; `volumes` are the names mounts may refer to."""
    if not items:
        return [field.required(path)]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, container in enumerate(items):
        where = f"{path}[{index}]"
        errors += common(container, volumes, where)
        name = container.get("name", "")
        if name in seen:
            errors.append(field.duplicate(f"{where}.name", name))
        seen.add(name)
        errors += _lifecycle_and_probes(container, where)
    return errors + _host_port_conflicts(items, path)


def init_containers(items: list[Obj], regular: list[Obj], volumes: Collection[str], path: str) -> list[FieldError]:
    """Init containers; with restartPolicy Always they are sidecars and may have probes."""
    errors: list[FieldError] = []
    seen = {c.get("name", "") for c in regular}
    for index, container in enumerate(items):
        where = f"{path}[{index}]"
        errors += common(container, volumes, where)
        name = container.get("name", "")
        if name and name in seen:
            errors.append(field.duplicate(f"{where}.name", name))
        seen.add(name)
        policy = container.get("restartPolicy")
        if policy == "Always":
            errors += _lifecycle_and_probes(container, where)
            continue
        if policy is not None:
            errors.append(field.unsupported(f"{where}.restartPolicy", policy, ["Always"]))
        for key in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if key in container:
                text = "may not be set for init containers without restartPolicy=Always"
                errors.append(field.forbidden(f"{where}.{key}", text))
    return errors


def common(container: Obj, volumes: Collection[str], path: str) -> list[FieldError]:
    """What every kind of container must fulfil."""
    errors = required_name(f"{path}.name", container.get("name", ""), names.dns1123_label)
    image = container.get("image", "")
    if not image:
        errors.append(field.required(f"{path}.image"))
    elif image != image.strip():
        errors.append(field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy", "")
    errors += one_of(f"{path}.terminationMessagePolicy", policy, _MESSAGE_POLICIES)
    errors += _ports(container.get("ports") or [], f"{path}.ports")
    errors += _env(container.get("env") or [], f"{path}.env")
    errors += _env_from(container.get("envFrom") or [], f"{path}.envFrom")
    errors += _mounts(container.get("volumeMounts") or [], volumes, f"{path}.volumeMounts")
    errors += one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy", ""), _PULL_POLICIES)
    errors += container_resources(container.get("resources") or {}, f"{path}.resources")
    return errors + _security_context(container.get("securityContext") or {}, f"{path}.securityContext")


def _ports(ports: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        if name := port.get("name"):
            problems = named(f"{where}.name", name, names.port_name)
            errors += problems
            if not problems and name in seen:
                errors.append(field.duplicate(f"{where}.name", name))
            seen.add(name)
        if not port.get("containerPort"):
            errors.append(field.required(f"{where}.containerPort"))
        else:
            errors += port_number(f"{where}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            errors += port_number(f"{where}.hostPort", port["hostPort"])
        errors += one_of(f"{where}.protocol", port.get("protocol", ""), PROTOCOLS)
    return errors


def _host_port_conflicts(items: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, container in enumerate(items):
        for position, port in enumerate(container.get("ports") or []):
            if not port.get("hostPort"):
                continue
            mark = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if mark in seen:
                errors.append(field.duplicate(f"{path}[{index}].ports[{position}].hostPort", mark))
            seen.add(mark)
    return errors


def _env(variables: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, variable in enumerate(variables):
        where = f"{path}[{index}]"
        name = variable.get("name", "")
        errors += named(f"{where}.name", name, names.env_var_name) if name else [field.required(f"{where}.name")]
        if "valueFrom" in variable:
            errors += _value_from(variable, f"{where}.valueFrom")
    return errors


def _value_from(variable: Obj, path: str) -> list[FieldError]:
    source = variable["valueFrom"] or {}
    errors: list[FieldError] = []
    if "fieldRef" in source:
        errors += field_reference(source["fieldRef"], f"{path}.fieldRef")
    if "resourceFieldRef" in source:
        errors += _resource_reference(source["resourceFieldRef"], f"{path}.resourceFieldRef")
    for key in ("configMapKeyRef", "secretKeyRef"):
        if key in source:
            errors += _key_reference(source[key], f"{path}.{key}")
    given = [key for key in _ENV_SOURCES if key in source]
    if not given:
        shown = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.append(field.invalid(path, "", f"must specify one of: {shown}"))
    elif variable.get("value"):
        errors.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        errors.append(field.invalid(path, "", "may not have more than one field specified at a time"))
    return errors


def _key_reference(reference: Obj, path: str) -> list[FieldError]:
    errors = named(f"{path}.name", reference.get("name", ""), names.dns1123_subdomain)
    return errors + required_name(f"{path}.key", reference.get("key", ""), names.config_map_key)


def field_reference(reference: Obj, path: str) -> list[FieldError]:
    """fieldRef of the downward API."""
    where = reference.get("fieldPath", "")
    if not reference.get("apiVersion"):
        return [field.required(f"{path}.apiVersion")]
    if not where:
        return [field.required(f"{path}.fieldPath")]
    subscript = where.startswith(("metadata.labels['", "metadata.annotations['")) and where.endswith("']")
    if where in _ENV_FIELDS or subscript:
        return []
    if where in ("metadata.labels", "metadata.annotations"):
        supported = sorted(_ENV_FIELDS)
        return [field.unsupported(f"{path}.fieldPath", where, supported)]
    text = f"error converting fieldPath: field label not supported: {where}"
    return [field.invalid(f"{path}.fieldPath", where, text)]


def _resource_reference(reference: Obj, path: str) -> list[FieldError]:
    resource = reference.get("resource", "")
    if not resource:
        return [field.required(f"{path}.resource")]
    hugepages = resource.startswith(("limits.hugepages-", "requests.hugepages-"))
    if resource in _RESOURCE_FIELDS or hugepages:
        return []
    return [field.unsupported(f"{path}.resource", resource, _RESOURCE_FIELDS)]


def _env_from(sources: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, source in enumerate(sources):
        where = f"{path}[{index}]"
        if source.get("prefix"):
            errors += named(f"{where}.prefix", source["prefix"], names.env_var_name)
        given = [key for key in ("configMapRef", "secretRef") if key in source]
        for key in given:
            errors += named(f"{where}.{key}.name", (source[key] or {}).get("name", ""), names.dns1123_subdomain)
        if not given:
            errors.append(field.invalid(where, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            errors.append(field.invalid(where, "", "may not have more than one field specified at a time"))
    return errors


def _mounts(mounts: list[Obj], volumes: Collection[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(field.required(f"{where}.name"))
        if name not in volumes:
            errors.append(field.not_found(f"{where}.name", name))
        if not place:
            errors.append(field.required(f"{where}.mountPath"))
        if place in seen:
            errors.append(field.invalid(f"{where}.mountPath", place, "must be unique"))
        seen.add(place)
        if sub := mount.get("subPath"):
            errors += descending_path(f"{path}.subPath", sub)
        if mount.get("subPath") and mount.get("subPathExpr"):
            text = "subPathExpr and subPath are mutually exclusive"
            errors.append(field.invalid(f"{path}.subPathExpr", mount["subPathExpr"], text))
    return errors


def descending_path(path: str, value: str) -> list[FieldError]:
    """Relative and without `..`."""
    errors = []
    if value.startswith("/"):
        errors.append(field.invalid(path, value, "must be a relative path"))
    if ".." in value.split("/"):
        errors.append(field.invalid(path, value, "must not contain '..'"))
    return errors


def _lifecycle_and_probes(container: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for hook in ("postStart", "preStop"):
        if hook in (container.get("lifecycle") or {}):
            errors += _handler(container["lifecycle"][hook], f"{path}.lifecycle.{hook}")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            errors += _probe(container[name], f"{path}.{name}", once=name != "readinessProbe")
    return errors


def _probe(probe: Obj, path: str, *, once: bool) -> list[FieldError]:
    errors = _handler(probe, path) + not_negative(probe, _THRESHOLDS, path)
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        errors.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if once and probe.get("successThreshold", 1) != 1:
        errors.append(field.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return errors


def _handler(handler: Obj, path: str) -> list[FieldError]:
    given = [key for key in _HANDLERS if key in handler]
    errors: list[FieldError] = []
    if not given:
        return [field.required(path, "must specify a handler type")]
    for extra in given[1:]:
        errors.append(field.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type"))
    key = given[0]
    action, where = handler[key] or {}, f"{path}.{key}"
    if key == "exec" and not action.get("command"):
        errors.append(field.required(f"{where}.command"))
    elif key == "httpGet":
        errors += _http_get(action, where)
    elif key == "tcpSocket":
        errors += port_number_or_name(f"{where}.port", action.get("port", 0))
    elif key == "grpc":
        errors += port_number(f"{where}.port", action.get("port", 0))
    elif key == "sleep" and action.get("seconds", 0) < 0:
        text = "must be non-negative and less than terminationGracePeriodSeconds"
        errors.append(field.invalid(f"{where}.seconds", action["seconds"], text))
    return errors


def _http_get(action: Obj, path: str) -> list[FieldError]:
    errors = [] if action.get("path") else [field.required(f"{path}.path")]
    errors += port_number_or_name(f"{path}.port", action.get("port", 0))
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        errors.append(field.unsupported(f"{path}.scheme", action.get("scheme", ""), ["HTTP", "HTTPS"]))
    for header in action.get("httpHeaders") or []:
        errors += named(f"{path}.httpHeaders", header.get("name", ""), names.header_name)
    return errors


def _security_context(context: Obj, path: str) -> list[FieldError]:
    errors = ids(context, ("runAsUser", "runAsGroup"), path)
    escalation: Any = context.get("allowPrivilegeEscalation")
    if escalation is False:
        added = (context.get("capabilities") or {}).get("add") or []
        if context.get("privileged"):
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(field.invalid(path, context, text))
        if "CAP_SYS_ADMIN" in added:
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(field.invalid(path, context, text))
    return errors + seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")


def ids(context: Obj, keys: tuple[str, ...], path: str) -> list[FieldError]:
    """User and group numbers."""
    text = f"must be between 0 and {_MAX_ID}, inclusive"
    bad = [k for k in keys if not 0 <= context.get(k, 0) <= _MAX_ID]
    return [field.invalid(f"{path}.{k}", context[k], text) for k in bad]


def seccomp(profile: Obj | None, path: str) -> list[FieldError]:
    if profile is None:
        return []
    kind = profile.get("type", "")
    if kind == "Localhost":
        if not profile.get("localhostProfile"):
            return [field.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")]
        return descending_path(f"{path}.localhostProfile", profile["localhostProfile"])
    if "localhostProfile" in profile:
        text = "can only be set when seccomp type is Localhost"
        return [field.invalid(f"{path}.localhostProfile", profile["localhostProfile"], text)]
    if not kind:
        return [field.required(f"{path}.type", "type is required when seccompProfile is set")]
    return one_of(f"{path}.type", kind, ["Localhost", "RuntimeDefault", "Unconfined"])
