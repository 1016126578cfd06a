"""CertificateSigningRequests: who asks is recorded, and what is approved is signed by the cluster's CA.

Source: pkg/registry/certificates, plugin/pkg/admission/certificates and pkg/controller/certificates/signer.
"""

from __future__ import annotations

import binascii
import datetime
from base64 import b64decode, b64encode
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.clock import timestamp
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers.meta import fresh, key_of, with_status
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.pki import Certificates
from labrunner.sandbox.kube.request import AdmissionRequest, Options
from labrunner.sandbox.kube.status import forbidden

KIND = "certificates.k8s.io/CertificateSigningRequest"
CLIENT = "kubernetes.io/kube-apiserver-client"
_SIGNERS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    CLIENT: (frozenset({"client auth"}), frozenset({"client auth", "digital signature", "key encipherment"})),
    "kubernetes.io/kube-apiserver-client-kubelet": (
        frozenset({"client auth", "digital signature"}),
        frozenset({"client auth", "digital signature", "key encipherment"}),
    ),
    "kubernetes.io/kubelet-serving": (
        frozenset({"server auth", "digital signature"}),
        frozenset({"server auth", "digital signature", "key encipherment"}),
    ),
}
"""The cluster's own signers: usages that must be asked for, usages that may be."""
_YEAR = 365 * 24 * 3600
_PURPOSES = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}


def prepare(csr: Obj, old: Obj | None, options: Options) -> Obj:
    """What the strategy does: the spec says who asks and never changes, approval comes later."""
    if old is not None:
        csr["spec"] = old["spec"]
        return csr
    spec = csr["spec"]
    for key in ("username", "uid", "groups", "extra"):
        spec.pop(key, None)
    spec |= options.user.info()
    csr["status"] = {}
    return csr


def subject_restriction(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """The CertificateSubjectRestriction plugin: nobody is made an administrator by a certificate."""
    if request.kind.id != KIND or request.operation != "CREATE" or request.subresource:
        return obj
    spec = obj.get("spec") or {}
    if spec.get("signerName") == CLIENT and (asked := _request(spec)) is not None:
        groups = [part.value for part in asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        if "system:masters" in groups:
            why = f"use of {CLIENT} signer with system:masters group is not allowed"
            raise forbidden(request.kind.plural, request.kind.group, request.name, why)
    return obj


class CertificateSigner:
    """Puts the certificate into the status of requests that were approved for a signer of the cluster."""

    name = "csrsigning"
    watches: tuple[str, ...] = (KIND,)

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def keys(self, change: Change) -> list[Key]:
        return [key_of(change.obj)] if change.type != "DELETED" else []

    def reconcile(self, api: Api, key: Key) -> float | None:
        csr = api.get(KIND, key[1])
        status = (csr or {}).get("status") or {}
        if csr is None or csr["spec"].get("signerName") not in _SIGNERS or status.get("certificate"):
            return None
        entries = status.get("conditions")
        if not conditions.is_true(entries, "Approved") or conditions.find(entries, "Denied"):
            return None
        if conditions.find(entries, "Failed"):
            return None
        spec, required = csr["spec"], _SIGNERS[csr["spec"]["signerName"]]
        usages, asked = set(spec.get("usages") or ()), _request(spec)
        if asked is None or not required[0] <= usages or not usages <= required[1]:
            why = "usages did not match" if asked else "unable to parse csr"
            entries = conditions.put(
                entries, api.now(), "Failed", "True", "SignerValidationFailure", why,
                lastUpdateTime=timestamp(api.now()),
            )  # fmt: skip
            api.update_status(with_status(fresh(csr), {**status, "conditions": entries}), manager=self.name)
            return None
        signed = self._signed(asked, usages, int(spec.get("expirationSeconds") or _YEAR))
        api.update_status(with_status(fresh(csr), {**status, "certificate": signed}), manager=self.name)
        return None

    def _signed(self, asked: x509.CertificateSigningRequest, usages: set[str], seconds: int) -> str:
        """The certificate as PEM in base64."""
        ca = x509.load_pem_x509_certificate(self._certificates.ca.read_bytes())
        key = serialization.load_pem_private_key(self._certificates.ca_key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.datetime.now(datetime.UTC)
        unused = (
            "content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
            "decipher_only",
        )  # fmt: skip
        usage = x509.KeyUsage(
            digital_signature="digital signature" in usages,
            key_encipherment="key encipherment" in usages,
            **dict.fromkeys(unused, False),
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(ca.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(seconds=seconds))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([_PURPOSES[u] for u in sorted(usages & set(_PURPOSES))]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        try:
            names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            builder = builder.add_extension(names, critical=False)
        except x509.ExtensionNotFound:
            pass
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return b64encode(pem).decode()


def _request(spec: dict[str, Any]) -> x509.CertificateSigningRequest | None:
    """The request itself; None when it is none."""
    try:
        return x509.load_pem_x509_csr(b64decode(spec.get("request") or ""))
    except (ValueError, TypeError, binascii.Error):
        return None
