"""What users are told of configuration that has no effect: an Event on the object, once per version of it.

`unsupported` knows what no Envoy here can do however well it is written; what Envoy itself refuses comes from
`delivery`. Nothing of it is left without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from labrunner.sandbox.kube.api import Api
from labrunner.sandbox.mesh.model import Config, World

COMPONENT = "istiod"
_LIMIT = 1000
_GROUPS = {
    "AuthorizationPolicy": "security.istio.io",
    "RequestAuthentication": "security.istio.io",
    "WasmPlugin": "extensions.istio.io",
}


class Notices:
    """Remembers what was told, and what still holds."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._told: dict[tuple[str, str], str] = {}
        self.standing: dict[str, str] = {}
        """`Kind namespace/name` -> words, for what is in the cluster now."""

    def refresh(self, seen: World, rendered: dict[str, str], refused: dict[str, str]) -> None:
        """`rendered`: what could not be rendered, by `Kind namespace/name`; `refused`: EnvoyFilters' `namespace/name`
        and Envoy's words."""
        found: dict[tuple[str, str], tuple[Config, str]] = {}
        for kind, config, words in unsupported(seen):
            found[f"{kind} {_name(config)}", "NotSupported"] = config, words
        filters = {_name(config): config for config in seen.of("EnvoyFilter")}
        for name, config in filters.items():
            if text := rendered.get(f"EnvoyFilter {name}"):
                found[f"EnvoyFilter {name}", "NotSupported"] = config, text
            if text := refused.get(name):
                say = f"Envoy refuses this configuration; it has no effect: {text}"
                found[f"EnvoyFilter {name}", "ConfigRejected"] = config, say
        for (name, reason), (config, words) in found.items():
            version = f"{config['metadata'].get('uid')}/{config['metadata'].get('generation')}"
            if self._told.get((name, reason)) != version:
                self._tell(name.partition(" ")[0], config, reason, words)
                self._told[name, reason] = version
        self._told = {key: version for key, version in self._told.items() if key in found}
        self.standing = {name: words for (name, _), (_, words) in found.items()}

    def _tell(self, kind: str, config: Config, reason: str, words: str) -> None:
        meta = config["metadata"]
        group = _GROUPS.get(kind, "networking.istio.io")
        current = self._api.get(f"{group}/{kind}", meta["name"], meta.get("namespace", ""))
        if current is not None:
            self._api.record_event(current, "Warning", reason, words[:_LIMIT], component=COMPONENT)


def unsupported(seen: World) -> Iterator[tuple[str, Config, str]]:
    """(kind, object, words) of what the sandbox does not do."""
    for config in seen.of("RequestAuthentication"):
        for index, rule in enumerate((config.get("spec") or {}).get("jwtRules") or ()):
            if rule.get("jwksUri") and not rule.get("jwks"):
                yield (
                    "RequestAuthentication",
                    config,
                    (
                        f"spec.jwtRules[{index}].jwksUri cannot be fetched here: tokens of {rule.get('issuer')} are "
                        "refused. Give the keys in jwks."
                    ),
                )
    for config in seen.of("AuthorizationPolicy"):
        if (config.get("spec") or {}).get("action") == "CUSTOM":
            yield (
                "AuthorizationPolicy",
                config,
                ("no extension provider is configured here: requests that this CUSTOM policy selects are denied"),
            )
    for config in seen.of("WasmPlugin"):
        yield "WasmPlugin", config, "WebAssembly does not run here: the plugin has no effect"
    for config in seen.of("Gateway"):
        for index, server in enumerate((config.get("spec") or {}).get("servers") or ()):
            if (server.get("tls") or {}).get("serverCertificate"):
                yield (
                    "Gateway",
                    config,
                    (
                        f"spec.servers[{index}].tls.serverCertificate names a file, and a gateway here has none: "
                        "use credentialName"
                    ),
                )
    for config in seen.of("DestinationRule"):
        spec = config.get("spec") or {}
        policies = [("spec", spec.get("trafficPolicy"))]
        policies += [(f"spec.subsets[{i}]", s.get("trafficPolicy")) for i, s in enumerate(spec.get("subsets") or ())]
        for path, policy in policies:
            if (policy or {}).get("tls", {}).get("clientCertificate"):
                yield (
                    "DestinationRule",
                    config,
                    (
                        f"{path}.trafficPolicy.tls.clientCertificate names a file of the proxy's container, which has "
                        "none: no certificate is shown"
                    ),
                )


def _name(config: Config) -> str:
    return f"{config['metadata'].get('namespace', '')}/{config['metadata']['name']}"
