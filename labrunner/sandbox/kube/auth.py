"""Who a request is from: client certificate or bearer token, then impersonation headers. Nobody: 401.

Source: k8s.io/apiserver/pkg/authentication and endpoints/filters/impersonation.go.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from labrunner.sandbox.kube.http import Connection
from labrunner.sandbox.kube.request import Attributes, Authorizer, User
from labrunner.sandbox.kube.status import ApiError, bad_request, forbidden

AUTHENTICATED = "system:authenticated"
TokenUser = Callable[[str], User | None]
"""The user a bearer token stands for; None: it is not valid."""


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


class Authenticator:
    """Finds the user of a request."""

    def __init__(self, token_user: TokenUser, authorizer: Authorizer) -> None:
        self._token_user = token_user
        self.authorizer = authorizer

    def user(self, request: web.BaseRequest) -> User:
        """Raises ApiError 401, or 403 for an impersonation that is not allowed."""
        user = self._token(request.headers.get("Authorization", "")) or certificate_user(request)
        if user is None:
            raise unauthorized()
        if any(name.lower().startswith("impersonate-") for name in request.headers):
            return self._impersonated(user, request)
        return user

    def _token(self, header: str) -> User | None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        user = self._token_user(token.strip())
        if user is None:
            raise unauthorized()
        return user

    def _impersonated(self, user: User, request: web.BaseRequest) -> User:
        headers = request.headers
        try:
            "".join(f"{key}{value}" for key, value in headers.items()).encode()
        except UnicodeEncodeError as error:
            raise bad_request("impersonation headers must be UTF-8") from error
        name = headers.get("Impersonate-User", "")
        groups = tuple(headers.getall("Impersonate-Group", ()))
        uid = headers.get("Impersonate-Uid", "")
        extra = {
            unquote(key[len("impersonate-extra-") :]).lower(): tuple(headers.getall(key))
            for key in headers
            if key.lower().startswith("impersonate-extra-")
        }
        if not name:
            raise bad_request(f"requested {[*groups]} without impersonating a user")
        self._may_impersonate(user, name, groups, uid, extra)
        if name == "system:anonymous":
            return User(name, (*groups, "system:unauthenticated"), uid, tuple(sorted(extra.items())))
        service_account = _service_account(name)
        if service_account and not groups:
            groups = service_account_groups(service_account[0])
        if AUTHENTICATED not in groups:
            groups = (*groups, AUTHENTICATED)
        return User(name, groups, uid, tuple(sorted(extra.items())))

    def _may_impersonate(
        self, user: User, name: str, groups: tuple[str, ...], uid: str, extra: Mapping[str, tuple[str, ...]]
    ) -> None:
        service_account = _service_account(name)
        asks = []
        if service_account:
            asks.append(
                Attributes("impersonate", "", "v1", "serviceaccounts", "", service_account[0], service_account[1])
            )
        else:
            asks.append(Attributes("impersonate", "", "v1", "users", "", "", name))
        asks += [Attributes("impersonate", "", "v1", "groups", "", "", group) for group in groups]
        if uid:
            asks.append(Attributes("impersonate", "authentication.k8s.io", "v1", "uids", "", "", uid))
        for key, values in extra.items():
            asks += [
                Attributes("impersonate", "authentication.k8s.io", "v1", "userextras", key, "", value)
                for value in values
            ]
        for attributes in asks:
            self.check(user, attributes)

    def check(self, user: User, attributes: Attributes) -> None:
        """Raises ApiError 403, in the server's words, unless the authorizer allows."""
        allowed, reason = self.authorizer(user, attributes)
        if not allowed:
            raise denied(user, attributes, reason)


def denied(user: User, attributes: Attributes, reason: str) -> ApiError:
    """403 as k8s.io/apiserver's forbidden message reads."""
    if attributes.path:
        message = f'User "{user.name}" cannot {attributes.verb} path "{attributes.path}"'
        error = ApiError(403, "Forbidden", f"forbidden: {message}" + (f": {reason}" if reason else ""))
        return error
    resource = attributes.resource + (f"/{attributes.subresource}" if attributes.subresource else "")
    message = f'User "{user.name}" cannot {attributes.verb} resource "{resource}" in API group "{attributes.group}"'
    if attributes.namespace:
        message += f' in the namespace "{attributes.namespace}"'
    else:
        message += " at the cluster scope"
    if reason:
        message += f": {reason}"
    return forbidden(attributes.resource, attributes.group, attributes.name, message)


def certificate_user(request: web.BaseRequest) -> User | None:
    """The user of a verified client certificate: CN is the name, each O a group."""
    connection, transport = request.protocol, request.transport
    if transport is None:
        return None
    if isinstance(connection, Connection) and connection.user is not None:
        return connection.user
    tls: Any = transport.get_extra_info("ssl_object")
    if not isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)):
        return None
    peer = tls.getpeercert()
    if not peer:
        return None
    name, groups = "", []
    subject: Any = peer.get("subject", ())
    for relative in subject:
        for key, value in relative:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    if not name:
        return None
    der = tls.getpeercert(binary_form=True) or b""
    credential = ("authentication.kubernetes.io/credential-id", (f"X509SHA256={hashlib.sha256(der).hexdigest()}",))
    user = User(name, (*groups, AUTHENTICATED), extra=(credential,))
    if isinstance(connection, Connection):
        connection.user = user
    return user


def _service_account(name: str) -> tuple[str, str] | None:
    """(namespace, name) of `system:serviceaccount:<namespace>:<name>`."""
    parts = name.split(":")
    if len(parts) == 4 and parts[:2] == ["system", "serviceaccount"] and parts[2] and parts[3]:
        return parts[2], parts[3]
    return None


def service_account_groups(namespace: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
