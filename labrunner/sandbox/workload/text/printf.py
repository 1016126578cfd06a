"""`printf` formats and the escapes of `echo -e`."""

from __future__ import annotations

import re

_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", "e": "\x1b"}
_SPEC = re.compile(
    r"%(?P<flags>[-+ #0']*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d*))?(?:hh|h|ll|l|j|z|t|L)?(?P<kind>[a-zA-Z%])?"
)
_MAX_WIDTH = 65536


class PrintfFault(Exception):
    """A wrong format; what `printf` says."""


def unescape(text: str, *, stop: bool = True, octal_zero: bool = True) -> tuple[str, bool]:
    """(text with escapes replaced, whether `\\c` ended the output). `octal_zero`: octal numbers begin with a 0."""
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char != "\\" or at + 1 >= len(text):
            out.append(char)
            at += 1
            continue
        nxt = text[at + 1]
        at += 2
        if nxt == "c" and stop:
            return "".join(out), True
        if nxt in _SIMPLE:
            out.append(_SIMPLE[nxt])
        elif nxt == "x":
            found = re.compile(r"[0-9a-fA-F]{1,2}").match(text, at)
            if found:
                out.append(_byte(int(found[0], 16)))
                at = found.end()
            else:
                out.append("\\x")
        elif nxt in "01234567" and (nxt == "0" or not octal_zero):
            found = re.compile(r"[0-7]{0,3}" if nxt == "0" and octal_zero else r"[0-7]{0,2}").match(text, at)
            digits = found[0] if found else ""
            value = int((nxt if not (nxt == "0" and octal_zero) else "") + digits or "0", 8)
            out.append(_byte(value & 0xFF))
            at += len(digits)
        else:
            out.append("\\" + nxt)
    return "".join(out), False


def _byte(value: int) -> str:
    """One byte as text that encodes back to it."""
    return chr(value) if value < 128 else bytes((value,)).decode("utf-8", "surrogateescape")


def render(template: str, arguments: list[str], flavour: str = "bash") -> tuple[str, list[str]]:
    """(output, complaints in this shell's words); the format is used again until the arguments are used up.

    Raises PrintfFault.
    """
    out: list[str] = []
    complaints: list[str] = []
    rest = list(arguments)
    size = 0
    while True:
        before = len(rest)
        piece, done = _once(template, rest, complaints)
        out.append(piece)
        size += len(piece)
        if done or not rest or len(rest) == before or size > 8_000_000:
            break
    return "".join(out), [_worded(complaint, flavour) for complaint in complaints if complaint or flavour == "ash"]


def _worded(argument: str, flavour: str) -> str:
    """An argument that is no number."""
    if flavour == "ash":
        return f"invalid number '{argument}'"
    return f"{argument}: expected numeric value" if flavour == "dash" else f"{argument}: invalid number"


def _once(template: str, rest: list[str], complaints: list[str]) -> tuple[str, bool]:
    out: list[str] = []
    at = 0
    while at < len(template):
        char = template[at]
        if char == "\\":
            end = at + 2
            while end < len(template) and end < at + 4 and template[end] in "0123456789abcdefABCDEF":
                end += 1
            text, stop = unescape(template[at:end], octal_zero=False)
            out.append(text)
            if stop:
                return "".join(out), True
            at = end
            continue
        if char != "%":
            out.append(char)
            at += 1
            continue
        found = _SPEC.match(template, at)
        if not found or not found["kind"]:
            raise PrintfFault(f"{template[at:]}: invalid format" if found else "%: invalid format")
        at = found.end()
        if found["kind"] == "%":
            out.append("%")
            continue
        width = _star(found["width"], rest)
        precision = None if found["precision"] is None else _star(found["precision"] or "0", rest)
        if abs(width or 0) > _MAX_WIDTH or (precision or 0) > _MAX_WIDTH:
            raise PrintfFault("invalid width")
        flags = found["flags"].replace("'", "")
        if width is not None and width < 0:
            flags, width = flags + "-", -width
        argument = rest.pop(0) if rest else None
        text, stop = _converted(found["kind"], flags, width, precision, argument, complaints)
        out.append(text)
        if stop:
            return "".join(out), True
    return "".join(out), False


def _star(text: str | None, rest: list[str]) -> int | None:
    if text is None:
        return None
    if text == "*":
        value = rest.pop(0) if rest else "0"
        return int(value) if re.fullmatch(r"-?\d+", value) else 0
    return int(text)


def _converted(
    kind: str, flags: str, width: int | None, precision: int | None, argument: str | None, complaints: list[str]
) -> tuple[str, bool]:
    spec = "%" + flags + ("" if width is None else str(width))
    dotted = spec + ("" if precision is None else f".{precision}")
    if kind == "s":
        return _text(argument or "", flags, width, precision), False
    if kind == "b":
        text, stop = unescape(argument or "")
        return _text(text, flags, width, precision), stop
    if kind == "c":
        return _text((argument or "")[:1], flags, width, None), False
    if kind == "q":
        from labrunner.sandbox.workload.shell.messages import quoted

        return quoted(argument or ""), False
    if kind in "diouxX":
        value = _integer(argument, complaints)
        if kind in "ouxX" and value < 0:
            value &= (1 << 64) - 1
        return (dotted + ("d" if kind in "iu" else kind)) % value, False
    if kind in "eEfFgG":
        return (dotted + kind) % _real(argument, complaints), False
    raise PrintfFault(f"%{kind}: invalid directive")


def _text(text: str, flags: str, width: int | None, precision: int | None) -> str:
    if precision is not None:
        text = text[:precision]
    if width is not None:
        text = text.ljust(width) if "-" in flags else text.rjust(width)
    return text


def _integer(argument: str | None, complaints: list[str]) -> int:
    if not argument:
        complaints.append("")
        return 0
    if argument[0] in "'\"" and len(argument) > 1:
        return ord(argument[1])
    text = argument.strip()
    try:
        found = re.fullmatch(r"([-+]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d{0,30})", text)
        if found:
            digits = found[2]
            base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" and len(digits) > 1 else 10
            return int(found[1] + digits, base)
    except ValueError:
        pass
    complaints.append(argument)
    prefix = re.match(r"[-+]?\d{1,30}", text)
    return int(prefix[0]) if prefix else 0


def _real(argument: str | None, complaints: list[str]) -> float:
    try:
        return float(argument or 0)
    except ValueError:
        complaints.append(argument or "")
        return 0.0
