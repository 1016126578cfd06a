"""Where those who verify ServiceAccount tokens find the issuer's keys.

Source: OpenID Connect Discovery 1.0 as k8s.io/kubernetes/pkg/serviceaccount/openidmetadata.go serves it.
"""

from __future__ import annotations

import orjson
from aiohttp import web

from labrunner.sandbox.kube.request import User
from labrunner.sandbox.kube.routes import Path
from labrunner.sandbox.kube.server import ApiServer
from labrunner.sandbox.kube.tokens import ISSUER, Tokens

_CONFIGURATION, _KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"


def serve(server: ApiServer, tokens: Tokens) -> None:
    """Answer the two paths of the issuer."""

    async def configuration(
        served: ApiServer, request: web.BaseRequest, path: Path, user: User | None
    ) -> web.StreamResponse:
        found = {
            "issuer": ISSUER,
            "jwks_uri": f"https://{served.address}{_KEYS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        return web.Response(body=orjson.dumps(found), content_type="application/json")

    async def keys(served: ApiServer, request: web.BaseRequest, path: Path, user: User | None) -> web.StreamResponse:
        return web.Response(body=orjson.dumps(tokens.jwks()), content_type="application/jwk-set+json")

    server.extra[_CONFIGURATION] = configuration
    server.extra[_KEYS] = keys
