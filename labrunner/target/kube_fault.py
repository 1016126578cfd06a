"""What goes wrong between here and a Kubernetes API, as sentences with a way out."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from labrunner.errors import EnvironmentFault
from labrunner.target.base import UnknownKind

if TYPE_CHECKING:
    import urllib3


class Refused(EnvironmentFault):
    """The API answered, and said no: 401, 403 or another error status."""

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


def unreachable(server: str, error: urllib3.exceptions.HTTPError, connect: float, read: float) -> EnvironmentFault:
    """The fault for a request that got no answer."""
    import urllib3

    reason: BaseException = error
    while isinstance(reason, urllib3.exceptions.MaxRetryError) and reason.reason is not None:
        reason = reason.reason
    hint = "Is the cluster up? `kubectl cluster-info` tells. A lab's sandbox starts again at the next check."
    if isinstance(reason, urllib3.exceptions.SSLError):
        return _tls_fault(server, reason)
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return EnvironmentFault(f"The cluster's host name cannot be resolved: {server}.", hint=hint)
    if "refused" in str(reason):
        return EnvironmentFault(f"The cluster at {server} cannot be reached: connection refused.", hint=hint)
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return EnvironmentFault(f"The cluster at {server} cannot be reached: {_sentence(reason)}", hint=hint)
    if isinstance(reason, urllib3.exceptions.ConnectTimeoutError):
        return EnvironmentFault(f"The cluster at {server} does not answer (no connection in {connect:g} s).", hint=hint)
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return EnvironmentFault(f"The cluster at {server} took more than {read:g} s to answer.", hint=hint)
    return EnvironmentFault(f"The cluster at {server} cannot be reached: {_sentence(reason)}", hint=hint)


def _tls_fault(server: str, error: BaseException) -> EnvironmentFault:
    inner = error.args[0] if error.args else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return EnvironmentFault(
            f"The certificate of {server} is not trusted: {inner.verify_message}.",
            hint="The kubeconfig belongs to another cluster, or the cluster was made anew: fetch its kubeconfig again.",
        )
    return EnvironmentFault(
        f"No TLS connection with {server}: {_sentence(error)}",
        hint="Is the address that of a Kubernetes API, and the client certificate still valid?",
    )


def refused(status: int, body: bytes, path: str, server: str) -> Refused:
    """The fault for an answer that is an error; `body` is a Status object, or something else entirely."""
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = ""
    what = path.partition("?")[0]
    if status == 401:
        hint = "The login has expired or is for another cluster: log in again, or fetch the kubeconfig again."
        return Refused(
            status, f"The cluster at {server} does not accept your credentials (401 Unauthorized).", hint=hint
        )
    if status == 403:
        hint = "Ask for the rights, or check with `kubectl auth can-i --list`."
        return Refused(status, f"You may not read {what} (403): {message or 'forbidden'}.", hint=hint)
    if status == 400:
        return Refused(status, f"The cluster refuses the question {what}: {message or 'bad request'}.")
    hint = "Try again; if it stays, look at the API server's own health (kubectl get --raw /readyz?verbose)."
    return Refused(
        status, f"The cluster at {server} answers {status} to {what}: {message or 'no reason given'}.", hint=hint
    )


def unknown_kind(api_version: str, kind: str, served: Iterable[str], versions: Sequence[str]) -> UnknownKind:
    """`served`: the kinds of that version, if it is served; `versions`: those of the group otherwise."""
    import difflib

    names = [name for name in served if not name.endswith("List")]
    if names:
        near = difflib.get_close_matches(kind, names, n=1) or [n for n in names if n.lower() == kind.lower()]
        hint = f"Did you mean {near[0]}?" if near else "Is its CustomResourceDefinition installed?"
        return UnknownKind(f"The cluster serves no kind {kind} in {api_version}.", hint=hint)
    if versions:
        return UnknownKind(f"The cluster does not serve {api_version}.", hint=f"It serves {', '.join(versions)}.")
    return UnknownKind(
        f"The cluster does not serve {api_version} ({kind}).",
        hint="Is its CustomResourceDefinition installed (kubectl get crd)?",
    )


def _sentence(error: BaseException) -> str:
    """An error's first line, bounded, ending in one full stop."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{text[:300].rstrip('.')}."
