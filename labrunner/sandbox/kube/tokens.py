"""ServiceAccount tokens: JWTs signed with the sandbox's key (ES256), bound to an object or a Secret.

Source: k8s.io/kubernetes/pkg/serviceaccount/claims.go.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from labrunner.sandbox.kube.auth import service_account_groups
from labrunner.sandbox.kube.clock import Clock
from labrunner.sandbox.kube.request import User
from labrunner.sandbox.kube.store import Store

ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = ISSUER
WARN_AFTER = 3607


class Tokens:
    """Issues and checks tokens against the objects they are bound to."""

    def __init__(self, key_file: Path, store: Store, clock: Clock) -> None:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} holds no EC key")
        self._key, self._store, self._clock = key, store, clock
        public = key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = _b64(hashlib.sha256(der).digest())

    def issue(
        self,
        service_account: dict[str, Any],
        *,
        audiences: list[str] | None = None,
        seconds: int | None = 3600,
        bound: tuple[str, str, str] | None = None,
        node: tuple[str, str] | None = None,
    ) -> tuple[str, float]:
        """(token, time of expiry). `bound`: kind, name, uid of the object it ends with; `seconds=None`: never ends."""
        meta = service_account["metadata"]
        now = int(self._clock.now())
        expires = now + seconds if seconds is not None else 0
        kube: dict[str, Any] = {"namespace": meta["namespace"]}
        if bound:
            kube[bound[0].lower()] = {"name": bound[1], "uid": bound[2]}
        if node:
            kube["node"] = {"name": node[0], "uid": node[1]}
        kube["serviceaccount"] = {"name": meta["name"], "uid": meta["uid"]}
        claims: dict[str, Any] = {"aud": audiences or [AUDIENCE]}
        if expires:
            claims["exp"] = expires
        claims |= {
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": kube,
            "nbf": now,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        return self._sign(claims), float(expires)

    def issue_for_secret(self, service_account: dict[str, Any], secret_name: str) -> str:
        """The token of a `kubernetes.io/service-account-token` Secret: it never ends by itself."""
        meta = service_account["metadata"]
        prefix = "kubernetes.io/serviceaccount"
        return self._sign(
            {
                "iss": "kubernetes/serviceaccount",
                f"{prefix}/namespace": meta["namespace"],
                f"{prefix}/secret.name": secret_name,
                f"{prefix}/service-account.name": meta["name"],
                f"{prefix}/service-account.uid": meta["uid"],
                "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
            }
        )

    def user(self, token: str, audience: str = AUDIENCE) -> User | None:
        """Who a token stands for; None when it is forged, over, or what it is bound to is gone."""
        claims = self._verified(token)
        if claims is None:
            return None
        if claims.get("iss") == "kubernetes/serviceaccount":
            return self._secret_user(claims)
        now = self._clock.now()
        if now >= claims.get("exp", now + 1) or now + 60 < claims.get("nbf", 0):
            return None
        if audience not in claims.get("aud", ()):
            return None
        kube = claims.get("kubernetes.io", {})
        namespace, account = kube.get("namespace", ""), kube.get("serviceaccount", {})
        if not self._exists("ServiceAccount", namespace, account):
            return None
        extra: dict[str, tuple[str, ...]] = {
            "authentication.kubernetes.io/credential-id": (f"JTI={claims.get('jti', '')}",)
        }
        for kind in ("Pod", "Secret"):
            bound = kube.get(kind.lower())
            if bound and not self._exists(kind, namespace, bound):
                return None
            if bound and kind == "Pod":
                extra["authentication.kubernetes.io/pod-name"] = (bound["name"],)
                extra["authentication.kubernetes.io/pod-uid"] = (bound["uid"],)
        if node := kube.get("node"):
            extra["authentication.kubernetes.io/node-name"] = (node["name"],)
            extra["authentication.kubernetes.io/node-uid"] = (node["uid"],)
        return User(claims["sub"], service_account_groups(namespace), account["uid"], tuple(sorted(extra.items())))

    def audiences(self, token: str) -> list[str]:
        """The audiences of a valid token."""
        claims = self._verified(token) or {}
        return list(claims.get("aud", ()))

    def jwks(self) -> dict[str, Any]:
        """The public key set, for `/openid/v1/jwks`."""
        numbers = self._key.public_key().public_numbers()
        key = {"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256"}
        key |= {"x": _b64(numbers.x.to_bytes(32, "big")), "y": _b64(numbers.y.to_bytes(32, "big"))}
        return {"keys": [key]}

    def _secret_user(self, claims: dict[str, Any]) -> User | None:
        prefix = "kubernetes.io/serviceaccount"
        namespace = claims.get(f"{prefix}/namespace", "")
        account = {
            "name": claims.get(f"{prefix}/service-account.name", ""),
            "uid": claims.get(f"{prefix}/service-account.uid", ""),
        }
        secret = self._store.get("Secret", namespace, claims.get(f"{prefix}/secret.name", ""))
        if secret is None or not self._exists("ServiceAccount", namespace, account):
            return None
        return User(claims["sub"], service_account_groups(namespace), account["uid"])

    def _exists(self, kind: str, namespace: str, reference: dict[str, Any]) -> bool:
        found = self._store.get(kind, namespace, str(reference.get("name", "")))
        return found is not None and found["metadata"]["uid"] == reference.get("uid")

    def _sign(self, claims: dict[str, Any]) -> str:
        head = _b64(orjson.dumps({"alg": "ES256", "kid": self.key_id}))
        signed = f"{head}.{_b64(orjson.dumps(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _verified(self, token: str) -> dict[str, Any] | None:
        signed, _, signature = token.rpartition(".")
        try:
            raw = _unb64(signature)
            if len(raw) != 64:
                return None
            der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            self._key.public_key().verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
            claims = orjson.loads(_unb64(signed.partition(".")[2]))
        except (InvalidSignature, ValueError, UnicodeEncodeError):
            return None
        return claims if isinstance(claims, dict) else None


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
