"""Certificates: damaged files, chains as OpenSSL judges them, names, dates, and what BoringSSL refuses."""

from __future__ import annotations

import base64
import ipaddress
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from check_world import context
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from labrunner.check.certificate import REASONS
from labrunner.check.certificate_facts import covers_host
from labrunner.check.pem import PemError, read_pem
from labrunner.check.registry import kinds
from labrunner.check.result import Finding

NOW = datetime.now(UTC)
USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
          "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


class Pair:
    """A certificate and its key, made for one test."""

    def __init__(
        self,
        name: str,
        issuer: Pair | None = None,
        *,
        ca: bool | None = None,
        path_length: int | None = None,
        usage: Sequence[str] | None = None,
        extended: Sequence[x509.ObjectIdentifier] = (),
        names: Sequence[x509.GeneralName] = (),
        start: int = -1,
        days: int = 90,
        key: Any = None,
        issuer_name: str = "",
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        parent = issuer.certificate.subject if issuer else subject
        if issuer_name:
            parent = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(parent)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + timedelta(days=start))
            .not_valid_after(NOW + timedelta(days=start + days))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        if usage is not None:
            flags = {u: u in usage for u in USAGES}
            builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signer = issuer.key if issuer else self.key
        algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        self.certificate = builder.sign(signer, algorithm)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def ask(directory: Path, **params: Any) -> list[Finding]:
    kind = kinds()["certificate"]
    params = {"file": "c.pem", **params}
    assert kind.lint(params) == []
    found = kind.evaluate(params, context(directory))
    assert {f.reason for f in found} <= set(REASONS)
    return found


def reasons(found: list[Finding]) -> list[str]:
    return [f.reason for f in found]


def openssl_accepts(directory: Path, *purpose: str) -> bool:
    """What `openssl verify` says of the same files."""
    extra = ["-untrusted", "more.pem"] if (directory / "more.pem").exists() else []
    result = subprocess.run(
        ["openssl", "verify", "-CAfile", "ca.pem", *extra, *purpose, "c.pem"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return result.returncode == 0


CHAIN: dict[str, Any] = {"ca": {"file": "ca.pem"}, "intermediates": {"file": "more.pem"}}


def write_chain(directory: Path, root: Pair, middle: Pair, leaf: Pair) -> None:
    (directory / "ca.pem").write_bytes(root.pem)
    (directory / "more.pem").write_bytes(middle.pem)
    (directory / "c.pem").write_bytes(leaf.pem)


ROOT = Pair("root", ca=True)
OTHER = Pair("root", ca=True)
MIDDLE = Pair("middle", ROOT, ca=True, path_length=0, usage=["key_cert_sign"])


@pytest.mark.parametrize(
    ("root", "middle", "leaf_of", "expected", "words"),
    [
        (ROOT, MIDDLE, MIDDLE, [], ""),
        (ROOT, Pair("middle", ROOT, ca=False), None, ["not-a-ca"], "error 79"),
        (ROOT, Pair("middle", ROOT), None, ["not-a-ca"], "no basicConstraints"),
        (ROOT, Pair("middle", ROOT, ca=True, usage=["digital_signature"]), None, ["not-a-ca"], "keyCertSign"),
        (ROOT, Pair("middle", ROOT, ca=True, start=-10, days=5), None, ["expired"], "middle"),
        (ROOT, Pair("middle", OTHER, ca=True), None, ["chain"], "CA of that name"),
        (OTHER, MIDDLE, MIDDLE, ["chain"], "CA of that name"),
        (Pair("elsewhere", ca=True), MIDDLE, MIDDLE, ["chain"], "issuer of CN=middle is missing: CN=root"),
        (Pair("root", ca=True, path_length=0, key=ROOT.key), MIDDLE, MIDDLE, ["chain"], "allows 0 CAs"),
        (ROOT, OTHER, MIDDLE, ["chain"], "issuer of CN=leaf is missing: CN=middle"),
    ],
)
def test_chains_are_judged_as_openssl_judges_them(
    tmp_path: Path, root: Pair, middle: Pair, leaf_of: Pair | None, expected: list[str], words: str
) -> None:
    write_chain(tmp_path, root, middle, Pair("leaf", leaf_of or middle, ca=False))
    found = ask(tmp_path, chain=CHAIN)
    assert reasons(found) == expected
    assert words in " ".join(f.message for f in found)
    assert openssl_accepts(tmp_path) == (not expected)


def test_the_purpose_is_asked_of_every_certificate_of_the_chain(tmp_path: Path) -> None:
    leaf = Pair("leaf", MIDDLE, ca=False, extended=[ExtendedKeyUsageOID.SERVER_AUTH])
    write_chain(tmp_path, ROOT, MIDDLE, leaf)
    assert ask(tmp_path, chain={**CHAIN, "purpose": "server"}) == []
    assert reasons(ask(tmp_path, chain={**CHAIN, "purpose": "client"})) == ["key-usage"]
    assert openssl_accepts(tmp_path, "-purpose", "sslserver")
    assert not openssl_accepts(tmp_path, "-purpose", "sslclient")


def test_a_trusted_ca_that_is_no_root_ends_a_chain_only_where_asked(tmp_path: Path) -> None:
    write_chain(tmp_path, MIDDLE, OTHER, Pair("leaf", MIDDLE, ca=False))
    [finding] = ask(tmp_path, chain=CHAIN)
    assert "not a root" in finding.message
    assert not openssl_accepts(tmp_path)
    assert ask(tmp_path, chain={**CHAIN, "partial": True}) == []
    assert openssl_accepts(tmp_path, "-partial_chain")


def test_a_self_signed_certificate_is_verified_by_itself(tmp_path: Path) -> None:
    leaf = Pair("self", ca=False)
    (tmp_path / "c.pem").write_bytes(leaf.pem)
    (tmp_path / "ca.pem").write_bytes(leaf.pem)
    assert ask(tmp_path, chain={"ca": {"file": "ca.pem"}}) == []
    assert openssl_accepts(tmp_path)
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    [finding] = ask(tmp_path, chain={"ca": {"file": "ca.pem"}})
    assert "which is not the CA that is trusted" in finding.message
    assert not openssl_accepts(tmp_path)


def test_intermediates_may_stand_in_the_certificates_own_file(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(Pair("leaf", MIDDLE, ca=False).pem + b"\nnote\n" + MIDDLE.pem)
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    assert ask(tmp_path, chain={"ca": {"file": "ca.pem"}}) == []
    assert ask(tmp_path, index=1, subject={"CN": "middle"}) == []
    assert reasons(ask(tmp_path, index=2)) == ["missing"]


def test_an_x509_version_1_certificate_is_told_apart(tmp_path: Path) -> None:
    run = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -keyout ca.key -out ca.pem -days 9 2>/dev/null; "
        "openssl req -new -newkey rsa:2048 -nodes -subj /CN=client -keyout k -out r 2>/dev/null; "
        "openssl x509 -req -in r -CA ca.pem -CAkey ca.key -out c.pem -days 9 2>/dev/null"
    )
    subprocess.run(["bash", "-c", run], cwd=tmp_path, check=True)
    # OpenSSL 3 writes version 1 when there are no extensions.
    assert ask(tmp_path, version=1, chain={"ca": {"file": "ca.pem"}}) == []
    found = ask(tmp_path, version=3, extendedKeyUsage=["clientAuth"])
    assert reasons(found) == ["key-usage", "version"]


DNS = x509.DNSName


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        ([DNS("a.example.org")], "a.example.org", True),
        ([DNS("a.example.org")], "A.Example.ORG.", True),
        ([DNS("*.example.org")], "a.example.org", True),
        ([DNS("*.example.org")], "example.org", False),
        ([DNS("*.example.org")], "b.a.example.org", False),
        ([DNS("*.org")], "example.org", False),
        ([DNS("*")], "localhost", False),
        ([DNS("a*.example.org")], "ab.example.org", False),
        ([x509.IPAddress(ipaddress.ip_address("10.0.0.4"))], "10.0.0.4", True),
        ([DNS("10.0.0.4")], "10.0.0.4", False),
        ([x509.IPAddress(ipaddress.ip_address("::1"))], "[::1]", True),
        ([], "host", False),
    ],
)
def test_host_names_match_as_tls_clients_match_them(names: list[Any], host: str, covered: bool) -> None:
    assert covers_host(Pair("host", names=names).certificate, host) is covered


def test_hosts_that_no_name_covers_are_said(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(Pair("shop", names=[DNS("shop.example.org")]).pem)
    [finding] = ask(tmp_path, hosts=["shop.example.org", "api.example.org"])
    assert (finding.reason, finding.expected) == ("san-missing", "api.example.org")
    assert finding.observed == "shop.example.org"


def test_every_kind_of_alternative_name_can_be_asked(tmp_path: Path) -> None:
    names = [DNS("a"), x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
             x509.UniformResourceIdentifier("spiffe://cluster.local/ns/a/sa/b"), x509.RFC822Name("a@b.c")]  # fmt: skip
    (tmp_path / "c.pem").write_bytes(Pair("x", names=names).pem)
    san = {"dns": ["a"], "ip": ["10.0.0.1"], "uri": [{"$matches": "^spiffe://"}], "email": ["a@b.c"]}
    assert ask(tmp_path, san=san) == []
    assert reasons(ask(tmp_path, san={"dns": {"$only": ["b"]}, "ip": ["10.0.0.2"]})) == ["san-missing"] * 2


def test_dates(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(Pair("x", start=-10, days=5).pem)
    assert reasons(ask(tmp_path)) == ["expired"]
    assert ask(tmp_path, valid=False) == []
    (tmp_path / "c.pem").write_bytes(Pair("x", start=5, days=5).pem)
    assert reasons(ask(tmp_path)) == ["not-yet-valid"]
    (tmp_path / "c.pem").write_bytes(Pair("x", start=-1, days=20).pem)
    assert reasons(ask(tmp_path, remainingDays={"$gte": 30}, totalDays={"$lte": 10})) == ["expires-soon", "validity"]
    assert ask(tmp_path, remainingDays={"$gte": 18}, totalDays=20) == []


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        (rsa.generate_private_key(65537, 2048), {"type": "rsa", "size": 2048}),
        (ec.generate_private_key(ec.SECP384R1()), {"type": "ec", "size": 384, "curve": "secp384r1"}),
        (ed25519.Ed25519PrivateKey.generate(), {"type": "ed25519"}),
    ],
)
def test_keys_are_described_and_matched(tmp_path: Path, key: Any, facts: dict[str, Any]) -> None:
    pair = Pair("x", key=key)
    (tmp_path / "c.pem").write_bytes(pair.pem)
    (tmp_path / "k.pem").write_bytes(pair.key_pem)
    (tmp_path / "other.pem").write_bytes(ROOT.key_pem)
    assert ask(tmp_path, key=facts, privateKey={"file": "k.pem"}, selfSigned=True) == []
    assert reasons(ask(tmp_path, privateKey={"file": "other.pem"})) == ["key-mismatch"]


def test_boringssl_refuses_a_key_usage_without_digital_signature(tmp_path: Path) -> None:
    names = [DNS("a.example.org")]
    usage = ["key_encipherment", "data_encipherment"]
    (tmp_path / "c.pem").write_bytes(Pair("x", names=names, usage=usage).pem)
    [finding] = ask(tmp_path, acceptedBy=["boringssl"])
    assert finding.reason == "key-usage"
    assert "KEY_USAGE_BIT_INCORRECT" in finding.message
    assert finding.observed == "keyEncipherment, dataEncipherment"
    assert ask(tmp_path, acceptedBy=["openssl", "go"]) == []
    (tmp_path / "c.pem").write_bytes(Pair("x", names=names).pem)
    assert ask(tmp_path, acceptedBy=["boringssl"]) == []


def test_clients_that_would_refuse_a_server_certificate(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(Pair("x").pem)
    assert reasons(ask(tmp_path, acceptedBy=["go", "boringssl"])) == ["san-missing"]
    (tmp_path / "c.pem").write_bytes(Pair("x", names=[DNS("x.org")], extended=[ExtendedKeyUsageOID.CLIENT_AUTH]).pem)
    assert reasons(ask(tmp_path, acceptedBy=["go", "boringssl", "openssl"])) == ["key-usage"]


PEM = ROOT.pem.decode()
LINES = PEM.splitlines()


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 0, "it is empty"),
        (b"\n\n", 0, "it is empty"),
        (b"hello\n", 0, "not PEM"),
        ("\n".join(LINES[:-1]), 1, "no END"),
        ("x\n" + "\n".join([*LINES[:2], "!!" + LINES[2], *LINES[3:]]), 4, "not base64"),
        ("\n".join(LINES[:2] + LINES[3:-2] + [LINES[-2][:-3]] + LINES[-1:]), 1, "base64 is damaged"),
        (PEM.replace("-----END CERTIFICATE-----", "-----END CERTIFICATE---"), 0, "damaged delimiter"),
        (PEM.replace("END CERTIFICATE", "END PRIVATE KEY"), 0, "is ended by END PRIVATE KEY"),
        (LINES[0] + "\n" + PEM, 2, "does not end before"),
        (LINES[-1], 1, "without its BEGIN"),
        (PEM.replace(LINES[1], "AAAA" + LINES[1][4:]), 1, "content is damaged"),
        (ROOT.certificate.public_bytes(serialization.Encoding.DER), 0, "DER, not PEM"),
        (ROOT.key_pem, 1, "a private key, not a certificate"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", 1, "(CSR)"),
        (b"\xff\xfe\x00" * 50, 0, "not PEM"),
    ],
    ids=range(15),
)
def test_a_damaged_file_is_said_with_its_line(tmp_path: Path, content: Any, line: int, words: str) -> None:
    (tmp_path / "c.pem").write_bytes(content if isinstance(content, bytes) else content.encode())
    [finding] = ask(tmp_path)
    assert finding.reason == "not-a-certificate"
    assert words in finding.message
    if line:
        assert finding.where == f"c.pem:{line}"


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(b"\xef\xbb\xbf" + ROOT.pem.replace(b"\n", b"\r\n"))
    assert ask(tmp_path, subject={"CN": "root"}) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ROOT.pem, "not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key that can be read"),
        (
            ROOT.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"pw"),
            ),
            "passphrase",
        ),
        (
            ROOT.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.BestAvailableEncryption(b"pw"),
            ),
            "passphrase",
        ),
        (b"", "it is empty"),
    ],
    ids=range(5),
)
def test_a_private_key_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "c.pem").write_bytes(ROOT.pem)
    (tmp_path / "k.pem").write_bytes(content)
    [finding] = ask(tmp_path, privateKey={"file": "k.pem"})
    assert finding.reason == "not-a-key"
    assert words in finding.message


def test_an_sec1_key_with_parameters_before_it_is_a_key(tmp_path: Path) -> None:
    run = "openssl ecparam -name prime256v1 -genkey -out k.pem; openssl req -x509 -key k.pem -subj /CN=x -out c.pem"
    subprocess.run(["bash", "-c", run], cwd=tmp_path, check=True, capture_output=True)
    assert ask(tmp_path, privateKey={"file": "k.pem"}) == []


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        ({"tls.crt": "!"}, "not-a-certificate", "is not base64"),
        ({"tls.cert": ""}, "missing", 'Did you mean "tls.cert"?'),
        ({}, "missing", "it has nothing"),
        (None, "missing", "it has nothing"),
        ({"tls.crt": base64.b64encode(b"junk").decode()}, "not-a-certificate", "not PEM"),
    ],
)
def test_secrets_that_hold_no_certificate(tmp_path: Path, data: Any, reason: str, words: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": "default"}, "data": data}
    kind = kinds()["certificate"]
    [finding] = kind.evaluate({"secret": {"name": "tls"}}, context(tmp_path, [secret]))
    assert finding.reason == reason
    assert words in finding.message
    assert finding.where.startswith("Secret default/tls")


@given(st.integers(0, len(PEM) - 1), st.binary(max_size=3))
def test_a_file_damaged_anywhere_is_read_or_refused_but_never_crashes(position: int, noise: bytes) -> None:
    damaged = PEM.encode()[:position] + noise + PEM.encode()[position + len(noise) :]
    try:
        assert read_pem(damaged)
    except PemError as error:
        assert error.message


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        assert read_pem(raw)
    except PemError as error:
        assert error.message
