"""Does a chain of certificates lead to a trusted CA, judged as OpenSSL's `verify` and TLS clients judge it.

Source: RFC 5280 section 6; OpenSSL's x509_vfy.c for the order of questions. Revocation is not asked.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from labrunner.check.certificate_facts import (
    basic_constraints,
    extended_key_usage,
    extension,
    key_usage,
    name_text,
    self_signed,
    version_number,
)
from labrunner.check.result import Finding

if TYPE_CHECKING:
    from cryptography import x509

_LONGEST: Final = 10
"""Certificates in a chain; more is a loop."""
PURPOSES: Final = {"server": "serverAuth", "client": "clientAuth"}


def verify_chain(
    leaf: x509.Certificate,
    intermediates: list[x509.Certificate],
    anchors: list[x509.Certificate],
    *,
    now: datetime,
    purpose: str = "",
    partial: bool = False,
    where: str = "",
) -> list[Finding]:
    """Why the chain does not verify; empty when it does.

    `partial`: a CA that is not self-signed may end the chain, as Envoy allows and `openssl verify` does not.
    """
    first: list[Finding] = []
    for path in _paths(leaf, intermediates, anchors, partial):
        problems = _judge_path(path, now, purpose, where)
        if not problems:
            return []
        first = first or problems
    return first or [_no_path(leaf, intermediates, anchors, partial, where)]


def issued(child: x509.Certificate, parent: x509.Certificate) -> bool:
    """Whether the parent's key signed the child, and the names say so."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    if child.issuer != parent.subject:
        return False
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _paths(
    leaf: x509.Certificate, intermediates: list[x509.Certificate], anchors: list[x509.Certificate], partial: bool
) -> list[list[x509.Certificate]]:
    """All chains from the leaf to an anchor, trusted issuers first."""
    complete: list[list[x509.Certificate]] = []

    def extend(path: list[x509.Certificate]) -> None:
        last = path[-1]
        if last in anchors and (partial or self_signed(last)):
            complete.append(path)
            return
        if len(path) >= _LONGEST or len(complete) >= _LONGEST:
            return
        for issuer in [*anchors, *intermediates]:
            if issuer not in path and issued(last, issuer):
                extend([*path, issuer])

    extend([leaf])
    return complete


def _judge_path(path: list[x509.Certificate], now: datetime, purpose: str, where: str) -> list[Finding]:
    found: list[Finding] = []
    for depth, certificate in enumerate(path):
        name = name_text(certificate.subject)
        if depth:
            found += _judge_issuer(certificate, depth, name, where)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            span = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
            message = f"In the chain, {name} is valid from {span} only."
            found.append(Finding("expired", message, "every certificate of the chain valid now", span, where))
        usages = extended_key_usage(certificate)
        wanted = PURPOSES.get(purpose, "")
        if wanted and usages is not None and not {wanted, "anyExtendedKeyUsage"} & set(usages):
            message = f"In the chain, {name} is not meant for {wanted}."
            found.append(Finding("key-usage", message, wanted, ", ".join(usages) or "no use", where))
    if len(path) == 1 and purpose == "":
        return found
    return found


def _judge_issuer(certificate: x509.Certificate, depth: int, name: str, where: str) -> list[Finding]:
    """What an issuer must be: a CA, allowed to sign, with room for the certificates below it."""
    constraints = basic_constraints(certificate)
    is_v1_root = version_number(certificate) == 1 and self_signed(certificate)
    if not is_v1_root and not (constraints or {}).get("ca", False):
        observed = "no basicConstraints" if constraints is None else "CA:FALSE"
        message = (
            f"{name} signed the certificate but is no CA ({observed}); clients refuse the chain "
            "(openssl verify: error 79, invalid CA certificate)."
        )
        return [Finding("not-a-ca", message, "an issuer with CA:TRUE", observed, where)]
    usages = key_usage(certificate)
    if usages is not None and "keyCertSign" not in usages:
        message = f"{name} may not sign certificates: its keyUsage lacks keyCertSign."
        return [Finding("not-a-ca", message, "keyCertSign", ", ".join(usages) or "none", where)]
    limit = (constraints or {}).get("pathLength")
    if limit is not None and depth - 1 > limit:
        message = f"{name} allows {limit} CAs below it; there are {depth - 1}."
        return [Finding("chain", message, f"pathLength of at least {depth - 1}", str(limit), where)]
    return []


def _no_path(
    leaf: x509.Certificate,
    intermediates: list[x509.Certificate],
    anchors: list[x509.Certificate],
    partial: bool,
    where: str,
) -> Finding:
    """Why no chain could be built: where it breaks off."""
    last = leaf
    for _ in range(_LONGEST):
        issuer = next((c for c in [*anchors, *intermediates] if c != last and issued(last, c)), None)
        if issuer is None:
            break
        last = issuer
    trusted = "; ".join(name_text(c.subject) for c in anchors) or "none"
    name = name_text(last.subject)
    if self_signed(last):
        message = f"The chain ends at {name}, which is not the CA that is trusted."
        return Finding("chain", message, f"a chain to {trusted}", f"a chain to {name}", where)
    if last in anchors and not partial:
        message = f"The chain ends at {name}, which is trusted but not a root: its own issuer is missing."
        return Finding("chain", message, "a self-signed root", f"issued by {name_text(last.issuer)}", where)
    namesakes = [c for c in [*anchors, *intermediates] if c.subject == last.issuer]
    if namesakes:
        why = "has another key" if not _key_identifiers_agree(last, namesakes) else "did not sign it"
        message = f"{name} names {name_text(last.issuer)} as its issuer, but the CA of that name {why}."
        return Finding("chain", message, f"a signature by {name_text(last.issuer)}", "signed by another key", where)
    message = f"The issuer of {name} is missing: {name_text(last.issuer)}."
    return Finding("chain", message, f"a chain to {trusted}", f"issued by {name_text(last.issuer)}", where)


def _key_identifiers_agree(child: x509.Certificate, parents: list[x509.Certificate]) -> bool:
    from cryptography import x509

    authority = extension(child, x509.AuthorityKeyIdentifier)
    if authority is None or authority.key_identifier is None:
        return False
    own = [extension(parent, x509.SubjectKeyIdentifier) for parent in parents]
    return any(k is not None and k.digest == authority.key_identifier for k in own)
