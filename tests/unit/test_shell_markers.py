"""The marker parser: any cut of the stream gives the same, forged markers stay output, nothing makes it hang."""

from __future__ import annotations

import itertools
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from labrunner.run.osc import LIMIT, Marker, MarkerParser

NONCE = "0123abcd"
START = b"\x1b]6973;"


def marker(kind: str, *arguments: str) -> bytes:
    encoded = ";".join([kind, *(quote(a, safe="") for a in arguments)])
    return START + NONCE.encode() + b";" + encoded.encode() + b"\x07"


def joined(pieces: list[bytes | Marker]) -> list[bytes | Marker]:
    """Adjacent output made one, so that only what the stream says counts."""
    made: list[bytes | Marker] = []
    for piece in pieces:
        if isinstance(piece, bytes) and made and isinstance(made[-1], bytes):
            made[-1] += piece
        else:
            made.append(piece)
    return made


def parse(data: bytes, cuts: list[int]) -> list[bytes | Marker]:
    parser = MarkerParser(NONCE)
    found: list[bytes | Marker] = []
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        found += parser.feed(data[start:end])
    rest = parser.flush()
    return joined([*found, *([rest] if rest else [])])


pieces = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([
        marker("B"), marker("P", "0", "3", "/tmp/a;b\n"), marker("C", "echo \x1b]0;x\x07 ü"), marker("R", "1"),
        START, b"\x1b", b"\x1b]697", START + b"ffff0000;P;0\x07", START + NONCE.encode(), b"\x07",
        START + NONCE.encode() + b";P;0", marker("P")[:-1] + b"\n", "é中".encode(), b"\xff\xfe\x00",
    ]),
)  # fmt: skip


@given(st.lists(pieces, max_size=12).map(b"".join), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_cut_of_the_stream_gives_the_same(data: bytes, cuts: list[int]) -> None:
    assert parse(data, cuts) == parse(data, []) == parse(data, list(range(len(data))))


@given(st.lists(st.one_of(st.binary(max_size=30), st.just(START)), max_size=12).map(b"".join))
def test_without_the_nonce_every_byte_is_output(data: bytes) -> None:
    parser = MarkerParser("f" * 24)
    found = parser.feed(data)
    assert b"".join(piece for piece in found if isinstance(piece, bytes)) + parser.flush() == data


@given(st.text(max_size=50), st.text(max_size=50))
def test_arguments_come_back_as_they_were(first: str, second: str) -> None:
    found = parse(b"out" + marker("P", first, second) + b"put", [])
    encodable = [a.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for a in (first, second)]
    assert found == [b"out", Marker("P", tuple(encodable)), b"put"]


def test_a_marker_that_never_ends_becomes_output_and_holds_back_no_more_than_the_limit() -> None:
    parser = MarkerParser(NONCE)
    begun = marker("P")[:-1]
    shown = b""
    for _ in range(40):
        for piece in parser.feed(begun + b"x" * 4096):
            assert isinstance(piece, bytes)
            shown += piece
        begun = b""
    assert len(shown) > 40 * 4096 - LIMIT
    assert shown + parser.flush() == marker("P")[:-1] + b"x" * 4096 * 40
