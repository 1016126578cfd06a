"""Credentials from a kubeconfig's exec plugin (kubelogin, aws, gke-gcloud-auth-plugin ...).

Protocol: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins.
The plugin gets no terminal: in a TUI its prompt would never be seen. Who must log in does it with kubectl first.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from labrunner.errors import EnvironmentFault

_TIMEOUT: Final = 60.0
"""Seconds for the plugin to answer; a login by browser takes longer, and is not for here."""


@dataclass(frozen=True, slots=True)
class ExecCredential:
    """`expires`: seconds since the epoch, 0 when it does not. Certificate and key are PEM."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: float = 0.0


def run_plugin(plugin: Mapping[str, Any], cluster: Mapping[str, Any]) -> ExecCredential:
    """Ask the plugin. Raises EnvironmentFault with what it said."""
    command = str(plugin.get("command", ""))
    hint = f"Log in so that `kubectl get ns` works, then try again. {plugin.get('installHint') or ''}".strip()
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = dict(cluster)
    info = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
    extra = {str(item["name"]): str(item["value"]) for item in plugin.get("env") or ()}
    try:
        answer = subprocess.run(
            [command, *map(str, plugin.get("args") or ())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            env={**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFault(f"The login command {command} did not answer in {_TIMEOUT:g} s.", hint=hint) from error
    except FileNotFoundError as error:
        raise EnvironmentFault(f"The kubeconfig's login command {command} is not installed.", hint=hint) from error
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"The login command {command} cannot be run: {error}.", hint=hint) from error
    if answer.returncode != 0:
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        raise EnvironmentFault(
            f"The login command {command} failed: {said[-1][:300] if said else f'exit {answer.returncode}'}", hint=hint
        )
    try:
        return _credential(json.loads(answer.stdout)["status"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFault(f"The login command {command} gave no credentials.", hint=hint) from error


def _credential(status: Mapping[str, Any]) -> ExecCredential:
    expires = status.get("expirationTimestamp")
    found = ExecCredential(
        status.get("token") or "",
        status.get("clientCertificateData") or "",
        status.get("clientKeyData") or "",
        datetime.fromisoformat(expires.replace("Z", "+00:00")).timestamp() if expires else 0.0,
    )
    if not found.token and not (found.certificate and found.key):
        raise ValueError("neither a token nor a certificate")
    return found
