"""Secrets taken out of everything that is journalled, reported or said as an event.

Known values (the lab's secret variables, also as base64) and what is a secret wherever it appears: PEM private keys
(also as base64, as `kubectl get secret -o yaml` shows them), bearer tokens, JSON web tokens, the credentials of a
kubeconfig, values of fields named password, account key and the like. The learner's own terminal is not redacted.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Iterable
from typing import Any, TypeVar

REDACTED = "[redacted]"
_SHORTEST = 4
"""Shorter values are words like `true`: replacing them would spoil everything and hide nothing."""
_LONGEST_LINE = 65_536

_T = TypeVar("_T")
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_PEM = re.compile(_BEGIN.pattern + r".*?(?:" + _END.pattern + r"|\Z)", re.DOTALL)
_BASE64_PEM = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{16,}={0,2}")
_SECRET_FIELDS = (
    "client-key-data|id-token|refresh-token|access_?token|refresh_?token|client_?secret|account_?key|shared_?access_?key"
    "|primary_?key|secondary_?key|ocp-apim-subscription-key|subscription-key|password|passwd"
)
_PATTERNS = tuple(
    (words, marks, re.compile(pattern))
    for words, marks, pattern in (
        (("bearer",), "", r"(?i)(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
        (("eyj",), ".", r"(?P<keep>)\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        (
            ("key", "token", "secret", "passw"),
            ":=",
            rf"(?i)(?P<keep>\b(?:{_SECRET_FIELDS})[\"']?\s*[:=]\s*[\"']?)"
            r"(?!\s|[\"']|\$|\[redacted\]|null\b|true\b|false\b)[^\s\"',;&]{4,}",
        ),
        (("token:",), ":", r"(?m)(?P<keep>^\s+token:\s+)[A-Za-z0-9._~+/=-]{16,}"),
    )
)
"""Words (in lower case) and characters without which a pattern cannot match, and the pattern: most output has none."""


class Redactor:
    """Takes known values and well-known secrets out of text. Thread-safe once its values are set."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._literal: re.Pattern[str] | None = None
        self._values: set[str] = set()
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Redact these too from now on."""
        for value in values:
            if len(value) < _SHORTEST:
                continue
            encoded = value.encode("utf-8", "surrogateescape")
            self._values |= {value, value.replace("\n", "\r\n"), base64.b64encode(encoded).decode()}
        if self._values:
            longest_first = sorted(self._values, key=len, reverse=True)
            self._literal = re.compile("|".join(re.escape(value) for value in longest_first))

    @property
    def values(self) -> frozenset[str]:
        return frozenset(self._values)

    def text(self, text: str) -> str:
        if self._literal is not None:
            text = self._literal.sub(REDACTED, text)
        if "PRIVATE KEY-----" in text:
            text = _PEM.sub(f"{REDACTED[:-1]} private key]", text)
        if "LS0tLS1CRUdJTi" in text:
            text = _BASE64_PEM.sub(_base64_key, text)
        lowered = text.lower()
        for words, marks, pattern in _PATTERNS:
            if any(word in lowered for word in words) and (not marks or any(mark in text for mark in marks)):
                text = pattern.sub(rf"\g<keep>{REDACTED}", text)
        return text

    def value(self, value: _T) -> _T:
        """The same value with every text in it redacted: dataclasses, mappings and sequences are gone through."""
        return self._walk(value)  # type: ignore[no-any-return]

    def _walk(self, value: Any) -> Any:
        if type(value) is str:
            return self.text(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed = {}
            for field in dataclasses.fields(value):
                before = getattr(value, field.name)
                after = self._walk(before)
                if after is not before and after != before:
                    changed[field.name] = after
            return dataclasses.replace(value, **changed) if changed else value
        if isinstance(value, tuple):
            return tuple(self._walk(item) for item in value)
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, dict):
            return {key: self._walk(item) for key, item in value.items()}
        return value


class StreamRedactor:
    """Redacts a stream of output, however it is cut: what may be the beginning of a secret is held back.

    Whole lines come out as they are complete; a private key comes out as one word when its end has come.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._in_key = False

    def feed(self, text: str) -> str:
        text = self._held + text
        cut = max(text.rfind("\n"), text.rfind("\r")) + 1
        if len(text) - cut > _LONGEST_LINE:
            cut = len(text) - 4096
        cut = self._before_literal(text, cut)
        self._held = text[cut:]
        return self._keys(text[:cut]) if cut else ""

    def flush(self) -> str:
        """What was held back, when the stream has ended."""
        text, self._held = self._held, ""
        return self._keys(text)

    def _before_literal(self, text: str, cut: int) -> int:
        """`cut` moved in front of a known value that reaches over it (values may have several lines)."""
        for value in self._redactor.values:
            if len(value) < 2 or ("\n" not in value and cut and text[cut - 1] in "\r\n"):
                continue
            for start in range(max(0, cut - len(value) + 1), cut):
                part = text[start : start + len(value)]
                if value.startswith(part) and start + len(value) > cut:
                    cut = start
                    break
        return cut

    def _keys(self, text: str) -> str:
        if not self._in_key and "PRIVATE KEY-----" not in text:
            return self._redactor.text(text)
        out = []
        while text:
            if self._in_key:
                end = _END.search(text)
                if end is None:
                    break
                self._in_key = False
                text = text[end.end() :]
                continue
            begin = _BEGIN.search(text)
            if begin is None:
                out.append(self._redactor.text(text))
                break
            out.append(self._redactor.text(text[: begin.start()]))
            out.append(f"{REDACTED[:-1]} private key]")
            self._in_key = True
            text = text[begin.end() :]
        return "".join(out)


def _base64_key(match: re.Match[str]) -> str:
    found = match.group()
    try:
        head = base64.b64decode(found[:64])
    except (binascii.Error, ValueError):
        return found
    return REDACTED if b"PRIVATE KEY" in head else found
