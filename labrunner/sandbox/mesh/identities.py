"""Certificates of workloads: one per ServiceAccount, renewed before it ends.

The root is kept in the sandbox's directory; a `cacerts` secret in the root namespace takes its place. Workloads' keys
are never written anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from labrunner.errors import EnvironmentFault
from labrunner.sandbox.kube.api import Api
from labrunner.sandbox.mesh.ca import Identity, MeshCa
from labrunner.sandbox.mesh.traffic.durations import seconds
from labrunner.sandbox.mesh.world import decoded

DEFAULT_TTL = 24 * 3600.0
_RENEW_AT = 0.5
"""Share of a certificate's life after which it is replaced, as istio-agent's grace period ratio."""
_SHORTEST_TTL = 2.0


class Identities:
    """`ttl`: seconds that a certificate is valid."""

    def __init__(self, directory: Path, trust_domain: str = "cluster.local", ttl: float = DEFAULT_TTL) -> None:
        self._directory, self._trust_domain, self.ttl = directory, trust_domain, ttl
        self._issued: dict[str, Identity] = {}
        self._own: MeshCa | None = None
        self._ca: MeshCa | None = None
        self._cacerts: object = None
        self.problem = ""
        """Why the `cacerts` secret is not used, for the user."""

    def refresh(self, api: Api, root_namespace: str) -> None:
        """Take up the `cacerts` secret and istiod's settings as they are now; what changed issues everything anew."""
        ttl = ttl_of(api, root_namespace)
        if ttl != self.ttl:
            self.ttl = ttl
            self._issued.clear()
        secret = api.get("Secret", "cacerts", root_namespace)
        version = (secret or {}).get("metadata", {}).get("resourceVersion")
        if self._ca is not None and version == self._cacerts:
            return
        self._cacerts, self.problem = version, ""
        chosen = None
        if secret is not None:
            try:
                chosen = MeshCa.from_cacerts(decoded(secret.get("data") or {}))
            except EnvironmentFault as error:
                self.problem = error.message
        self._use(chosen or self._own_ca())

    @property
    def root_pem(self) -> bytes:
        return self._current().root_pem

    def current(self, spiffe: str, now: float) -> Identity:
        """The identity's certificate; issues or renews when it is time. `now`: seconds since the epoch."""
        known = self._issued.get(spiffe)
        if known is None or now >= _renewal(known):
            known = self._issued[spiffe] = self._current().issue(spiffe, self.ttl)
        return known

    def identity(self, spiffe: str) -> Identity | None:
        return self._issued.get(spiffe)

    def keep(self, used: Collection[str]) -> None:
        """Forget the others."""
        self._issued = {name: identity for name, identity in self._issued.items() if name in used}

    def next_renewal(self) -> float | None:
        """When the first certificate wants replacing, seconds since the epoch."""
        return min((_renewal(identity) for identity in self._issued.values()), default=None)

    def _current(self) -> MeshCa:
        if self._ca is None:
            self._use(self._own_ca())
        assert self._ca is not None
        return self._ca

    def _use(self, ca: MeshCa) -> None:
        if self._ca is not None and self._ca.root_pem == ca.root_pem and self._ca.key_pem() == ca.key_pem():
            return
        self._ca = ca
        self._issued.clear()

    def _own_ca(self) -> MeshCa:
        if self._own is None:
            certificate, key = self._directory / "root-cert.pem", self._directory / "root-key.pem"
            try:
                self._own = MeshCa.load(certificate.read_bytes(), key.read_bytes())
            except (FileNotFoundError, ValueError):
                self._own = MeshCa.self_signed(self._trust_domain)
                _write(key, self._own.key_pem())
                _write(certificate, self._own.root_pem)
        return self._own


def ttl_of(api: Api, root_namespace: str) -> float:
    """Seconds, from DEFAULT_WORKLOAD_CERT_TTL of istiod, not above its MAX_WORKLOAD_CERT_TTL."""
    found: dict[str, float] = {}
    for deployment in api.objects("apps/Deployment", root_namespace):
        if not deployment["metadata"]["name"].startswith("istiod"):
            continue
        for container in deployment["spec"]["template"]["spec"].get("containers") or ():
            for entry in container.get("env") or ():
                if entry["name"] in ("DEFAULT_WORKLOAD_CERT_TTL", "MAX_WORKLOAD_CERT_TTL"):
                    try:
                        found[entry["name"]] = float(seconds(str(entry.get("value", ""))))
                    except ValueError:
                        continue
    wanted = found.get("DEFAULT_WORKLOAD_CERT_TTL", DEFAULT_TTL)
    return max(_SHORTEST_TTL, min(wanted, found.get("MAX_WORKLOAD_CERT_TTL", 90 * DEFAULT_TTL)))


def _renewal(identity: Identity) -> float:
    issued = identity.issued.timestamp()
    return issued + (identity.not_after.timestamp() - issued) * _RENEW_AT


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
