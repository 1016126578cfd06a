"""Modes as `chmod` takes them."""

from __future__ import annotations


def changed_mode(text: str, old: int, directory: bool) -> int | None:
    """The mode after `755`, `u+x`, `go-w,a=r`; None when it is wrong."""
    if text.isdigit():
        return int(text, 8) if set(text) <= set("01234567") and len(text) <= 4 else None
    mode = old
    for clause in text.split(","):
        at = 0
        while at < len(clause) and clause[at] in "ugoa":
            at += 1
        who = clause[:at] or "a"
        if "a" in who:
            who = "ugo"
        if at >= len(clause):
            return None
        while at < len(clause):
            op = clause[at]
            if op not in "+-=":
                return None
            at += 1
            bits = 0
            special = 0
            while at < len(clause) and clause[at] in "rwxXst":
                letter = clause[at]
                if letter == "X":
                    bits |= 1 if directory or mode & 0o111 else 0
                elif letter == "s":
                    special |= (0o4000 if "u" in who else 0) | (0o2000 if "g" in who else 0)
                elif letter == "t":
                    special |= 0o1000
                else:
                    bits |= {"r": 4, "w": 2, "x": 1}[letter]
                at += 1
            for letter, shift in (("u", 6), ("g", 3), ("o", 0)):
                if letter not in who:
                    continue
                if op == "=":
                    mode &= ~(7 << shift)
                mode = mode & ~(bits << shift) if op == "-" else mode | bits << shift
            mode = mode & ~special if op == "-" else mode | special
    return mode
