"""Secrets of type `kubernetes.io/service-account-token`: filled with a token, gone with their ServiceAccount.

Source: pkg/controller/serviceaccount/tokens_controller.go. Here the token is there as soon as the Secret is.
"""

from __future__ import annotations

import base64

from labrunner.sandbox.kube.api import Change, Obj
from labrunner.sandbox.kube.registry import Registry
from labrunner.sandbox.kube.request import Options
from labrunner.sandbox.kube.tokens import Tokens

TYPE = "kubernetes.io/service-account-token"
NAME = "kubernetes.io/service-account.name"
UID = "kubernetes.io/service-account.uid"


class TokenSecrets:
    """Hooks into the registry."""

    def __init__(self, registry: Registry, tokens: Tokens, ca_pem: str) -> None:
        self._registry, self._tokens, self._ca = registry, tokens, ca_pem
        registry.prepare.setdefault("Secret", []).append(self._fill)
        registry.store.listen(self._changed)

    def _fill(self, secret: Obj, old: Obj | None, options: Options) -> Obj:
        if secret.get("type") != TYPE:
            return secret
        meta = secret["metadata"]
        annotations = meta.get("annotations") or {}
        account = self._registry.store.get("ServiceAccount", meta.get("namespace", ""), annotations.get(NAME, ""))
        if account is None or annotations.get(UID, account["metadata"]["uid"]) != account["metadata"]["uid"]:
            return secret
        data = dict(secret.get("data") or {})
        if "token" not in data:
            data["token"] = _encoded(self._tokens.issue_for_secret(account, meta["name"]))
        data.setdefault("ca.crt", _encoded(self._ca))
        data.setdefault("namespace", _encoded(meta["namespace"]))
        return {
            **secret,
            "data": data,
            "metadata": {**meta, "annotations": {**annotations, UID: account["metadata"]["uid"]}},
        }

    def _changed(self, change: Change) -> None:
        if change.kind != "ServiceAccount" or change.type != "DELETED":
            return
        meta = change.obj["metadata"]
        for secret in self._registry.store.objects("Secret", meta["namespace"]):
            annotations = secret["metadata"].get("annotations") or {}
            if secret.get("type") == TYPE and annotations.get(UID) == meta["uid"]:
                self._registry.remove(self._registry.kind("Secret"), meta["namespace"], secret["metadata"]["name"])


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
