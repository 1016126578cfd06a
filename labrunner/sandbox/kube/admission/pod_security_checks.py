"""The Pod Security Standards: what each level forbids, in the words of the PodSecurity admission plugin.

Source: k8s.io/pod-security-admission/policy (check_*.go), latest versions of the checks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

PodSpec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[dict[str, Any], PodSpec], Violation | None]
"""(pod metadata, pod spec) -> what is forbidden in it."""

LEVELS = ("privileged", "baseline", "restricted")

_DEFAULT_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SAFE_SYSCTLS = frozenset(
    [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    ]
)
_VOLUME_TYPES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
        "image",
    ]
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")


def evaluate(level: str, metadata: dict[str, Any], spec: PodSpec) -> list[Violation]:
    """What `level` forbids in this pod; empty when it is allowed."""
    checks = {"privileged": (), "baseline": _BASELINE, "restricted": _RESTRICTED}[level]
    return [violation for check in checks if (violation := check(metadata, spec))]


def _containers(spec: PodSpec) -> list[dict[str, Any]]:
    return [c for key in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(key) or ()]


def _context(thing: dict[str, Any]) -> dict[str, Any]:
    return thing.get("securityContext") or {}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(json.dumps(name) for name in names)


def _named(word: str, names: list[str]) -> str:
    return f"{word if len(names) == 1 else word + 's'} {_quoted(names)}"


def _offenders(spec: PodSpec, wrong: Callable[[dict[str, Any]], bool]) -> list[str]:
    return [c["name"] for c in _containers(spec) if wrong(_context(c))]


def _host_namespaces(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def _privileged(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad = _offenders(spec, lambda context: context.get("privileged") is True)
    if not bad:
        return None
    return Violation("privileged", f"{_named('container', bad)} must not set securityContext.privileged=true")


def _baseline_capabilities(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad, added = [], set()
    for container in _containers(spec):
        extra = set((_context(container).get("capabilities") or {}).get("add") or ()) - _DEFAULT_CAPABILITIES
        if extra:
            bad.append(container["name"])
            added |= extra
    if not bad:
        return None
    return Violation(
        "non-default capabilities",
        f"{_named('container', bad)} must not include {_quoted(sorted(added))} in securityContext.capabilities.add",
    )


def _host_path(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad = [v["name"] for v in spec.get("volumes") or () if v.get("hostPath") is not None]
    return Violation("hostPath volumes", _named("volume", bad)) if bad else None


def _host_ports(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad, ports = [], set()
    for container in _containers(spec):
        used = {p["hostPort"] for p in container.get("ports") or () if p.get("hostPort")}
        if used:
            bad.append(container["name"])
            ports |= used
    if not bad:
        return None
    word = "hostPort" if len(ports) == 1 else "hostPorts"
    uses = "uses" if len(bad) == 1 else "use"
    return Violation("hostPort", f"{_named('container', bad)} {uses} {word} {', '.join(map(str, sorted(ports)))}")


def _proc_mount(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad = [c["name"] for c in _containers(spec) if _context(c).get("procMount", "Default") not in ("", "Default")]
    if not bad:
        return None
    values = sorted({_context(c)["procMount"] for c in _containers(spec) if c["name"] in bad})
    return Violation(
        "procMount", f"{_named('container', bad)} must not set securityContext.procMount to {_quoted(values)}"
    )


def _app_armor(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    setters, values = [], set()
    for where, thing in _pod_and_containers(spec):
        kind = (_context(thing).get("appArmorProfile") or {}).get("type", "")
        if kind not in ("", "RuntimeDefault", "Localhost"):
            setters.append(where)
            values.add(f"securityContext.appArmorProfile.type={json.dumps(kind)}")
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    for key, value in (metadata.get("annotations") or {}).items():
        if key.startswith(prefix) and not (value in ("", "runtime/default") or value.startswith("localhost/")):
            values.add(f"{key}={json.dumps(value)}")
    if not values:
        return None
    profile = "forbidden AppArmor profile" if len(values) == 1 else "forbidden AppArmor profiles"
    if not setters:
        return Violation(profile, ", ".join(sorted(values)))
    return Violation(profile, f"{_who(setters)} must not set {', '.join(sorted(values))}")


def _selinux(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    setters, values = [], set()
    for where, thing in _pod_and_containers(spec):
        options = _context(thing).get("seLinuxOptions") or {}
        wrong = set()
        if options.get("type", "") not in _SELINUX_TYPES:
            wrong.add(f"type {json.dumps(options['type'])}")
        wrong |= {f"{key} may not be set" for key in ("user", "role") if options.get(key)}
        if wrong:
            setters.append(where)
            values |= wrong
    if not setters:
        return None
    return Violation("seLinuxOptions", f"{_who(setters)} set forbidden securityContext.seLinuxOptions: "
                     + "; ".join(sorted(values)))  # fmt: skip


def _sysctls(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad = [s["name"] for s in _context(spec).get("sysctls") or () if s["name"] not in _SAFE_SYSCTLS]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad = [
        where
        for where, thing in _pod_and_containers(spec)
        if (_context(thing).get("windowsOptions") or {}).get("hostProcess") is True
    ]
    if not bad:
        return None
    return Violation("hostProcess", f"{_who(bad)} must not set securityContext.windowsOptions.hostProcess=true")


def _seccomp_type(thing: dict[str, Any]) -> str:
    return str((_context(thing).get("seccompProfile") or {}).get("type", ""))


def _baseline_seccomp(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad, values = [], set()
    for where, thing in _pod_and_containers(spec):
        if _seccomp_type(thing) not in ("", "RuntimeDefault", "Localhost"):
            bad.append(where)
            values.add(_seccomp_type(thing))
    if not bad:
        return None
    return Violation(
        "seccompProfile", f"{_who(bad)} must not set securityContext.seccompProfile.type to {_quoted(sorted(values))}"
    )


def _volume_types(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad, types = [], set()
    for volume in spec.get("volumes") or ():
        kinds = [key for key in volume if key != "name"]
        if any(kind not in _VOLUME_TYPES for kind in kinds):
            bad.append(volume["name"])
            types |= {kind for kind in kinds if kind not in _VOLUME_TYPES}
    if not bad:
        return None
    use = "uses" if len(bad) == 1 else "use"
    word = "volume type" if len(types) == 1 else "volume types"
    return Violation(
        "restricted volume types", f"{_named('volume', bad)} {use} restricted {word} {_quoted(sorted(types))}"
    )


def _privilege_escalation(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    if _is_windows(spec):
        return None
    bad = _offenders(spec, lambda context: context.get("allowPrivilegeEscalation") is not False)
    if not bad:
        return None
    return Violation(
        "allowPrivilegeEscalation != false",
        f"{_named('container', bad)} must set securityContext.allowPrivilegeEscalation=false",
    )


def _restricted_capabilities(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    if _is_windows(spec):
        return None
    undropped, adding, added = [], [], set()
    for container in _containers(spec):
        capabilities = _context(container).get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            undropped.append(container["name"])
        extra = set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}
        if extra:
            adding.append(container["name"])
            added |= extra
    details = []
    if undropped:
        details.append(f'{_named("container", undropped)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        details.append(
            f"{_named('container', adding)} must not include {_quoted(sorted(added))}"
            " in securityContext.capabilities.add"
        )
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _run_as_non_root(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    pod = _context(spec).get("runAsNonRoot")
    setters = ["pod"] if pod is False else []
    explicit, implicit = [], []
    for container in _containers(spec):
        value = _context(container).get("runAsNonRoot")
        if value is False:
            explicit.append(container["name"])
        elif value is None and pod is not True:
            implicit.append(container["name"])
    setters += [_named("container", explicit)] if explicit else []
    if setters:
        return Violation(
            "runAsNonRoot != true", f"{' and '.join(setters)} must not set securityContext.runAsNonRoot=false"
        )
    if implicit:
        return Violation(
            "runAsNonRoot != true", f"pod or {_named('container', implicit)} must set securityContext.runAsNonRoot=true"
        )
    return None


def _run_as_user(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    bad = [where for where, thing in _pod_and_containers(spec) if _context(thing).get("runAsUser") == 0]
    return Violation("runAsUser=0", f"{_who(bad)} must not set runAsUser=0") if bad else None


def _restricted_seccomp(metadata: dict[str, Any], spec: PodSpec) -> Violation | None:
    if _is_windows(spec):
        return None
    allowed = ("RuntimeDefault", "Localhost")
    explicit, implicit, values = [], [], set()
    pod = _seccomp_type(spec)
    if pod and pod not in allowed:
        explicit.append("pod")
        values.add(pod)
    for container in _containers(spec):
        own = _seccomp_type(container)
        if own and own not in allowed:
            explicit.append(container["name"])
            values.add(own)
        elif not own and pod not in allowed:
            implicit.append(container["name"])
    if explicit:
        who = _who([w if w == "pod" else f"={w}" for w in explicit])
        return Violation(
            "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {_quoted(sorted(values))}"
        )
    if implicit:
        return Violation(
            "seccompProfile",
            f"pod or {_named('container', implicit)} must set securityContext.seccompProfile.type"
            ' to "RuntimeDefault" or "Localhost"',
        )
    return None


def _is_windows(spec: PodSpec) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


def _pod_and_containers(spec: PodSpec) -> list[tuple[str, dict[str, Any]]]:
    """The pod (as "pod") and its containers (as "=name"): whatever can carry a security context."""
    return [("pod", spec), *((f"={c['name']}", c) for c in _containers(spec))]


def _who(setters: list[str]) -> str:
    names = [setter[1:] for setter in setters if setter != "pod"]
    parts = (["pod"] if "pod" in setters else []) + ([_named("container", names)] if names else [])
    return " and ".join(parts)


_BASELINE: tuple[Check, ...] = (
    _app_armor, _baseline_capabilities, _host_namespaces, _host_path, _host_ports, _privileged, _proc_mount, _selinux,
    _baseline_seccomp, _sysctls, _host_process,
)  # fmt: skip
_RESTRICTED: tuple[Check, ...] = (
    _app_armor, _host_namespaces, _host_ports, _privileged, _proc_mount, _selinux, _sysctls, _host_process,
    _privilege_escalation, _restricted_capabilities, _volume_types, _run_as_non_root, _run_as_user, _restricted_seccomp,
)  # fmt: skip
"""In the plugin's order: the baseline checks that restricted does not replace, by id, then its own, by id."""
