"""Quantities are read and written as resource.Quantity does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.sandbox.kube.schema.quantity import QuantityError, canonical, parse


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *(("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("0.1Gi", "107374183")),
        *(("1e3", "1e3"), ("1000k", "1M"), ("123Mi", "123Mi"), ("0", "0"), ("0.0001m", "100n"), ("129M", "129M")),
        *(("-5", "-5"), ("+5", "5"), (".5", "500m"), ("1Ki", "1Ki"), ("512", "512"), ("0Mi", "0")),
    ],
)
def test_the_canonical_form_is_the_servers(given: str, expected: str) -> None:
    assert canonical(given) == expected


@pytest.mark.parametrize("text", ["", "1x", "1 Gi", "Gi", "1..2", "--1", "1GiB", "abc", "1e", "0x1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        canonical(text)


@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "Mi", "Gi", "n", "u"]))
def test_the_canonical_form_means_the_same_and_is_stable(number: int, suffix: str) -> None:
    once = canonical(f"{number}{suffix}")
    assert parse(once).value == parse(f"{number}{suffix}").value
    assert canonical(once) == once
