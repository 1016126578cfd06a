"""Secrets are taken out of a stream however it is cut, and of values however deep."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.run.plain_text import HeadTail, plain, shortened
from labrunner.run.redaction import Redactor, StreamRedactor

BODY = "MC4CAQAwBQYDK2VwBCIEIKn0dLzXwO2CwVPdY1hzQm8W9kJxyzABCDEFGHIJKLMN"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END PRIVATE KEY-----\n"
VALUE = "s3cr3t-Value+/="
LINES = "first line\nsecond line which goes on\n"


def stream(text: str, cuts: list[int], redactor: Redactor) -> str:
    streaming = StreamRedactor(redactor)
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return "".join(streaming.feed(text[a:b]) for a, b in itertools.pairwise(edges)) + streaming.flush()


pieces = st.lists(
    st.sampled_from([PEM, VALUE, LINES, PEM.replace("\n", "\r\n"), f"token {VALUE} end\r\n", "plain\n", "x" * 50]),
    max_size=8,
)


@given(pieces, st.lists(st.integers(0, 5000), max_size=20))
def test_however_the_stream_is_cut_no_secret_comes_out(parts: list[str], cuts: list[int]) -> None:
    redactor = Redactor([VALUE, LINES])
    said = stream("".join(parts), cuts, redactor)
    assert BODY not in said and VALUE not in said and "second line which" not in said


@given(st.text(alphabet="ab\n\r \x1b[", max_size=200), st.lists(st.integers(0, 500), max_size=10))
def test_what_is_no_secret_comes_out_unchanged(text: str, cuts: list[int]) -> None:
    assert stream(text, cuts, Redactor([VALUE])) == text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "authorization: bearer abcdefgh12345678",
        "    client-key-data: c2VjcmV0LXRoaW5nLWhlcmU=",
        "    token: abcdefgh12345678abcdefgh",
        '"accessToken": "abcdefgh12345678"',
        "password=abcdefgh12345678",
        "Ocp-Apim-Subscription-Key: abcdefgh12345678",
        "AccountKey=abcdefgh12345678==;EndpointSuffix=x",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.abcdefgh12345678",
        "  tls.key: " + base64.b64encode(PEM.encode()).decode(),
    ],
)
def test_well_known_secrets_are_redacted(text: str) -> None:
    said = Redactor().text(text)
    assert "[redacted" in said
    assert not any(secret in said for secret in ("abcdefgh12345678", "c2VjcmV0", "LS0tLS1CRUdJTiBQ"))


@pytest.mark.parametrize(
    "text",
    [
        "secret/apim-tls created",
        "kubectl create secret tls apim --cert=a.crt --key=a.key",
        "  password: null",
        "token: ${TOKEN}",
        "key: value",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "  tls.crt: " + base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIBabcdefghijklmnop").decode(),
        "credentialName: bookinfo-tls",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_value_is_also_known_as_base64() -> None:
    assert VALUE not in Redactor([VALUE]).text(f"  key: {base64.b64encode(VALUE.encode()).decode()}")
    assert "[redacted]" in Redactor([VALUE]).text(base64.b64encode(VALUE.encode()).decode())


def test_values_deep_inside_are_redacted_and_the_rest_is_the_same_object() -> None:
    finding = Finding("different", f"was {VALUE}", observed=VALUE)
    result = CheckResult("c", "t", CheckStatus.FAILED, (finding,), f"x {VALUE}")
    said = Redactor([VALUE]).value(result)
    assert VALUE not in repr(said) and said.findings[0].message == "was [redacted]"
    assert said.status is CheckStatus.FAILED
    clean = CheckResult("c", "t", CheckStatus.PASSED)
    assert Redactor([VALUE]).value(clean) is clean


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("\x1b[1;31mred\x1b[0m\r\n", "red\n"),
        ("\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "textlink"),
        ("10%\r20%\r100%\r\n", "100%\n"),
        ("longer line\rshort\r\n", "shortr line\n"),
        ("abc\b\bX\r\n", "aX\n"),
        ("a\x00b\x07c\x1b(Bd\x1b=e", "abcde"),
        ("tab\tstays\n", "tab\tstays\n"),
        ("\x1b]never ends", ""),
        ("\x1b[?1049h\x1b[2J\x1b[Hfull\x1b[?1049l", "full"),
    ],
)
def test_plain_text_is_what_a_reader_would_have(shown: str, text: str) -> None:
    assert plain(shown) == text


@given(st.lists(st.text(max_size=40), max_size=40), st.integers(2, 60))
def test_head_and_tail_are_kept_whatever_the_pieces(parts: list[str], limit: int) -> None:
    keep = HeadTail(limit)
    for part in parts:
        keep.add(part)
    whole = "".join(parts)
    if len(whole) <= limit // 2 * 2:
        assert keep.text() == whole
    else:
        head, _, rest = keep.text().partition("\n[... ")
        number, _, tail = rest.partition(" characters left out ...]\n")
        assert (head, tail) == (whole[: limit // 2], whole[-(limit // 2) :])
        assert int(number) == len(whole) - len(head) - len(tail)


def test_a_short_text_is_not_shortened() -> None:
    assert shortened("abc", 3) == "abc"


def test_a_hundred_megabytes_are_kept_in_bounded_memory() -> None:
    keep = HeadTail(1000)
    for _ in range(1000):
        keep.add("x" * 100_000)
    assert len(keep.text()) < 1100 and len(keep._tail) <= 2
