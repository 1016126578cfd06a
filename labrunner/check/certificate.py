"""Is this X.509 certificate what it should be, and would TLS peers accept it?

Reads a PEM `file` or a `secret` (by default its `tls.crt`; `ca.crt` for a CA). Parameters that describe it are
patterns over plain values: `subject: {CN: ...}`, `san: {dns: [...]}`, `keyUsage: [digitalSignature]`,
`key: {type: rsa, size: {$gte: 2048}}`. Others ask a question: `hosts` (would a client that calls this name accept
it, wildcards included), `privateKey` (do they belong together), `chain` (does it lead to that CA), `acceptedBy`
(which TLS libraries would take it from a server). It must be valid now unless `valid: false` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from labrunner.check import certificate_facts as facts
from labrunner.check.certificate_chain import PURPOSES, verify_chain
from labrunner.check.certificate_source import (
    SOURCE_PROPERTIES,
    SOURCE_SCHEMA,
    Loaded,
    load_certificates,
    load_public_key,
    source_name,
)
from labrunner.check.kind import CheckContext
from labrunner.check.local_file import FileProblem
from labrunner.check.match import compare
from labrunner.check.match_operators import lint_pattern
from labrunner.check.object_findings import bounded, value_findings
from labrunner.check.phrase import counted, listed
from labrunner.check.result import Finding
from labrunner.check.tls_client import CLIENTS, refusals

if TYPE_CHECKING:
    from cryptography import x509

EXAMPLES: Final = """
- title: A server certificate for the shop, from our CA
  params:
    file: server.crt
    subject: {CN: shop.example.org}
    san: {dns: [shop.example.org]}
    hosts: [shop.example.org, api.shop.example.org]
    keyUsage: [digitalSignature]
    extendedKeyUsage: [serverAuth]
    basicConstraints: {ca: false}
    privateKey: {file: server.key}
    chain: {ca: {file: ca.crt}, purpose: server}
    acceptedBy: [boringssl, openssl, go]
    remainingDays: {$gte: 30}
  passes: &good
    prepare: |
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=ca -keyout ca.key \\
        -out ca.crt -addext keyUsage=critical,keyCertSign
      openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shop.example.org \\
        -keyout server.key -out server.csr
      printf '%s\\n' 'basicConstraints=CA:FALSE' 'keyUsage=digitalSignature' 'extendedKeyUsage=serverAuth' \\
        'subjectAltName=DNS:shop.example.org,DNS:*.shop.example.org' > ext
      openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 60 -extfile ext -out server.crt
  fails:
    - why: The keyUsage lets no BoringSSL client in
      reasons: [key-usage]
      prepare: |
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=ca -keyout ca.key \\
          -out ca.crt
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shop.example.org \\
          -keyout server.key -out server.csr
        printf '%s\\n' 'basicConstraints=CA:FALSE' 'keyUsage=keyEncipherment' 'extendedKeyUsage=serverAuth' \\
          'subjectAltName=DNS:shop.example.org,DNS:*.shop.example.org' > ext
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 60 -extfile ext -out server.crt
    - why: Self-signed, without names, with another key
      reasons: [san-missing, key-mismatch, chain]
      prepare: |
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=ca -keyout ca.key \\
          -out ca.crt
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 60 -subj /CN=shop.example.org \\
          -keyout other.key -out server.crt
        openssl ecparam -name prime256v1 -genkey -noout -out server.key
- title: The Secret holds the certificate and its key
  params:
    secret: {name: web-tls, namespace: edge}
    privateKey: {secret: {name: web-tls, namespace: edge}}
    selfSigned: true
  passes:
    prepare: &selfSigned |
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=web -keyout k -out c
    secrets: [{name: web-tls, namespace: edge, files: {tls.crt: c, tls.key: k}}]
  fails:
    - why: Key and certificate were swapped
      reasons: [not-a-certificate]
      prepare: *selfSigned
      secrets: [{name: web-tls, namespace: edge, files: {tls.crt: k, tls.key: c}}]
    - why: The Secret was created in another namespace
      reasons: [wrong-namespace]
      prepare: *selfSigned
      secrets: [{name: web-tls, namespace: default, files: {tls.crt: c, tls.key: k}}]
"""

REASONS: Final = {
    "missing": "The file, the Secret or its entry is not there.",
    "wrong-namespace": "The Secret is in another namespace.",
    "unreadable": "The file may not be read.",
    "not-a-file": "It is a directory or a device.",
    "too-large": "It is too large to be a certificate.",
    "not-a-certificate": "It is something else, or damaged; the finding names the line.",
    "not-a-key": "The private key is something else, damaged or encrypted.",
    "subject": "The subject differs.",
    "issuer": "The issuer differs.",
    "san-missing": "A name is missing from subjectAltName, or it does not match.",
    "key": "The key is of another type or size.",
    "key-mismatch": "The private key is not the certificate's.",
    "key-usage": "keyUsage or extendedKeyUsage lacks what is needed.",
    "basic-constraints": "basicConstraints differ.",
    "version": "Another X.509 version.",
    "signature": "Another signature algorithm.",
    "self-signed": "It is self-signed, or it is not, against what was asked.",
    "expired": "It, or a certificate of its chain, is not valid any more.",
    "not-yet-valid": "It is not valid yet.",
    "expires-soon": "It ends too soon (or too late).",
    "validity": "It is valid for too long or too short a time.",
    "chain": "It does not lead to the CA.",
    "not-a-ca": "It was signed by a certificate that is no CA.",
    "more": "There are further findings.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_PATTERNS: Final = {
    "subject": ("subject", "A pattern for its subject: {CN: ..., O: ..., C: ...}."),
    "issuer": ("issuer", "A pattern for its issuer, as subject."),
    "san": ("san-missing", "A pattern for its subjectAltName: {dns: [...], ip: [...], uri: [...], email: [...]}."),
    "key": ("key", "A pattern for its key: {type: rsa, size: {$gte: 2048}}; ec has a curve."),
    "keyUsage": ("key-usage", "A pattern for its keyUsage: [digitalSignature, keyEncipherment]."),
    "extendedKeyUsage": ("key-usage", "A pattern for its extendedKeyUsage: [serverAuth, clientAuth]."),
    "basicConstraints": ("basic-constraints", "A pattern for its basicConstraints: {ca: false}."),
    "version": ("version", "A pattern for its X.509 version: 3."),
    "signatureAlgorithm": ("signature", "A pattern for it as OpenSSL names it: sha256WithRSAEncryption."),
    "selfSigned": ("self-signed", "true: signed by its own key; false: by another."),
    "remainingDays": ("expires-soon", "A pattern for the days left: {$gte: 30}."),
    "totalDays": ("validity", "A pattern for the days from its first to its last: {$lte: 398}."),
}
"""Parameter -> (reason of its findings, description)."""


class CertificateKind:
    """See the module's docstring."""

    name = "certificate"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "oneOf": [{"required": ["file"]}, {"required": ["secret"]}],
        "properties": {
            **SOURCE_PROPERTIES,
            "index": {
                "type": "integer",
                "minimum": 0,
                "description": "Which certificate of the file; 0 (default): the first, that is the server's own.",
            },
            **{name: {"description": description} for name, (_, description) in _PATTERNS.items()},
            "valid": {"type": "boolean", "description": "true (default): valid now; false: its dates are not asked."},
            "hosts": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string"},
                "description": "Host names or addresses that clients call; its SAN must cover each.",
            },
            "privateKey": {**SOURCE_SCHEMA, "description": "The private key that must belong to it."},
            "chain": {
                "type": "object",
                "additionalProperties": False,
                "required": ["ca"],
                "description": "It must lead to this CA; further certificates of its own file are intermediates.",
                "properties": {
                    "ca": {**SOURCE_SCHEMA, "description": "The trusted CA certificate(s)."},
                    "intermediates": {**SOURCE_SCHEMA, "description": "More intermediates."},
                    "purpose": {"enum": list(PURPOSES), "description": "server or client: extendedKeyUsage allows it."},
                    "partial": {"type": "boolean", "description": "true: a CA that is no root may end the chain."},
                },
            },
            "acceptedBy": {
                "type": "array",
                "minItems": 1,
                "items": {"enum": list(CLIENTS)},
                "description": "TLS client libraries that must accept it from a server.",
            },
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        try:
            loaded = load_certificates(params, context)
        except FileProblem as problem:
            return [problem.finding]
        index = params.get("index", 0)
        if index >= len(loaded):
            message = f"{source_name(params)} holds {counted(len(loaded), 'certificate')}, not {index + 1}."
            expected, seen = f"{index + 1} certificates", str(len(loaded))
            return [Finding("missing", message, expected, seen, source_name(params))]
        chosen = loaded[index]
        found = _judge_patterns(params, chosen)
        if params.get("valid", True):
            found += _judge_dates(chosen)
        found += _judge_hosts(params.get("hosts", []), chosen)
        found += _judge_key(params, chosen, context)
        found += _judge_chain(params, chosen, loaded, context)
        for client in params.get("acceptedBy", []):
            found += [f for f in refusals(chosen.certificate, client, chosen.where) if f not in found]
        return bounded(found)

    def describe(self, params: Mapping[str, Any]) -> str:
        return f"{source_name(params)} is the certificate asked for"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = [p for name in _PATTERNS if name in params for p in lint_pattern(params[name], name)]
        for name in ("keyUsage", "extendedKeyUsage"):
            known = facts.KEY_USAGES.values() if name == "keyUsage" else facts.EXTENDED_KEY_USAGES.values()
            for usage in params.get(name, []) if isinstance(params.get(name), list) else []:
                if isinstance(usage, str) and usage not in known and "${" not in usage and not usage[:1].isdigit():
                    problems.append(f"{name}: there is no {usage}; there is {listed(list(known), 12)}")
        return problems


def describe_certificate(certificate: x509.Certificate) -> dict[str, Any]:
    """The values that the patterns are held against; a missing extension is an absent key."""
    usage, purposes = facts.key_usage(certificate), facts.extended_key_usage(certificate)
    constraints = facts.basic_constraints(certificate)
    described: dict[str, Any] = {
        "subject": facts.name_facts(certificate.subject),
        "issuer": facts.name_facts(certificate.issuer),
        "san": facts.alternative_names(certificate),
        "key": facts.key_facts(certificate),
        "version": facts.version_number(certificate),
        "signatureAlgorithm": facts.signature_algorithm(certificate),
        "selfSigned": facts.self_signed(certificate),
        "remainingDays": round(facts.remaining_days(certificate), 2),
        "totalDays": round(facts.total_days(certificate), 2),
    }
    optional = {"keyUsage": usage, "extendedKeyUsage": purposes, "basicConstraints": constraints}
    return described | {name: value for name, value in optional.items() if value is not None}


def _judge_patterns(params: Mapping[str, Any], chosen: Loaded) -> list[Finding]:
    asked = {name: params[name] for name in _PATTERNS if name in params}
    if not asked:
        return []
    described = describe_certificate(chosen.certificate)
    found = []
    for name, pattern in asked.items():
        reason = _PATTERNS[name][0]
        for f in value_findings(compare({name: pattern}, described), chosen.where):
            found.append(Finding(reason, f.message, f.expected, f.observed, f.where))
    return found


def _judge_dates(chosen: Loaded) -> list[Finding]:
    now = datetime.now(UTC)
    starts, ends = chosen.certificate.not_valid_before_utc, chosen.certificate.not_valid_after_utc
    if now > ends:
        message = f"The certificate expired on {ends:%Y-%m-%d %H:%M} UTC."
        return [Finding("expired", message, "valid now", f"expired {ends:%Y-%m-%d %H:%M} UTC", chosen.where)]
    if now < starts:
        message = f"The certificate is not valid before {starts:%Y-%m-%d %H:%M} UTC."
        return [Finding("not-yet-valid", message, "valid now", f"valid from {starts:%Y-%m-%d %H:%M} UTC",
                        chosen.where)]  # fmt: skip
    return []


def _judge_hosts(hosts: list[str], chosen: Loaded) -> list[Finding]:
    names = [n for kind in facts.alternative_names(chosen.certificate).values() for n in kind]
    found = []
    for host in hosts:
        if facts.covers_host(chosen.certificate, host):
            continue
        seen = listed(names) or "no subjectAltName"
        message = f"A client that calls {host} refuses it: no subjectAltName covers that name ({seen})."
        found.append(Finding("san-missing", message, host, seen, chosen.where))
    return found


def _judge_key(params: Mapping[str, Any], chosen: Loaded, context: CheckContext) -> list[Finding]:
    if "privateKey" not in params:
        return []
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key, where = load_public_key(params["privateKey"], context)
    except FileProblem as problem:
        return [problem.finding]
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    try:
        same = key.public_bytes(*form) == chosen.certificate.public_key().public_bytes(*form)
    except (UnsupportedAlgorithm, ValueError):
        same = False
    if same:
        return []
    message = f"The private key {where} does not belong to the certificate {chosen.where}."
    return [Finding("key-mismatch", message, "the certificate's own private key", "another key", where)]


def _judge_chain(
    params: Mapping[str, Any], chosen: Loaded, loaded: list[Loaded], context: CheckContext
) -> list[Finding]:
    chain = params.get("chain")
    if not chain:
        return []
    try:
        anchors = [item.certificate for item in load_certificates(chain["ca"], context, "ca.crt")]
        more = load_certificates(chain["intermediates"], context, "tls.crt") if "intermediates" in chain else []
    except FileProblem as problem:
        return [problem.finding]
    others = [item.certificate for item in (*loaded, *more) if item is not chosen]
    now = datetime.now(UTC)
    if not params.get("valid", True):
        now = min(now, chosen.certificate.not_valid_after_utc)
    found = verify_chain(
        chosen.certificate,
        others,
        anchors,
        now=now,
        purpose=chain.get("purpose", ""),
        partial=chain.get("partial", False),
        where=chosen.where,
    )
    own_dates = {"expired", "not-yet-valid"} if _judge_dates(chosen) else set()
    return [f for f in found if f.reason not in own_dates]
