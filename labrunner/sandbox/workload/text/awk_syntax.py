"""awk's grammar: from a program's text to tuples.

Expressions: ("num", n) ("str", s) ("regex", Regex) ("var", name) ("field", e) ("index", name, [e])
("assign", op, left, e)
("cond", c, a, b) ("and"/"or", a, b) ("not"/"neg"/"pos", e) ("bin", op, a, b) ("cat", a, b) ("match", negated, e, e)
("in", [e], name) ("incr", kind, left) ("call", name, [e]) ("getline", kind, source, target) ("group", e)
"""

from __future__ import annotations

import re
from typing import Any

from labrunner.sandbox.workload.text import regex
from labrunner.sandbox.workload.text.regex import RegexFault

Node = tuple[Any, ...]
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\\\r?\n)|(?P<comment>\#[^\n]*)|(?P<newline>\n)"""
    r"""|(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"""
    r"""|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<function>[A-Za-z_]\w*(?=\())|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<op>\*\*=|\*\*|\+\+|--|\+=|-=|\*=|/=|%=|\^=|==|<=|>=|!=|!~|&&|\|\||>>|[-+*/%^!<>|?:~$=(){}\[\];,])""",
    re.DOTALL,
)
_KEYWORDS = {"BEGIN", "END", "function", "func", "if", "else", "while", "for", "do", "break", "continue", "next",
             "nextfile",
             "exit", "return", "delete", "in", "getline", "print", "printf"}  # fmt: skip
_BUILTINS = {"length", "substr", "index", "split", "sub", "gsub", "match", "sprintf", "sin", "cos", "atan2", "exp",
             "log", "sqrt",
             "int", "rand", "srand", "tolower", "toupper", "system", "close", "fflush", "gensub", "strftime", "systime",
             "and", "or", "xor", "lshift", "rshift"}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "/": "/", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_MAX_DEPTH = 80


class AwkFault(Exception):
    """A wrong program, or what went wrong while it ran."""


def unescape(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        char = found[1]
        if char[0] in "01234567":
            return chr(int(char, 8) & 0xFF)
        return _ESCAPES.get(char, "\\" + char)

    return re.sub(r"\\([0-7]{1,3}|.)", one, text, flags=re.DOTALL)


class Parser:
    """`rules`: (kind, pattern, second pattern, body); `functions`: name -> (parameters, body). Raises AwkFault."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, Any]] = []
        self._scan()
        self.at = 0
        self.depth = 0
        self.rules: list[Node] = []
        self.functions: dict[str, tuple[list[str], Node]] = {}
        self._no_in = 0
        self._no_greater = 0
        self._program()

    def _scan(self) -> None:
        at = 0
        text = self.text
        while at < len(text):
            if text[at] == "/" and self._regex_may_follow():
                end = self._regex_end(at + 1)
                source = text[at + 1 : end].replace("\\/", "/")
                try:
                    self.tokens.append(("regex", regex.compile_(source, extended=True)))
                except RegexFault as error:
                    raise AwkFault(f"bad regex: '{source}': {error}") from None
                at = end + 1
                continue
            found = _TOKEN.match(text, at)
            if not found:
                raise AwkFault(f"cmd. line:{text.count(chr(10), 0, at) + 1}: Unexpected token")
            at = found.end()
            kind = found.lastgroup or ""
            value: Any = found[0]
            if kind in ("space", "comment"):
                continue
            if kind == "number":
                value = float(int(value, 16)) if value[:2].lower() == "0x" else float(value)
            elif kind == "string":
                value = unescape(value[1:-1])
            elif kind in ("name", "function") and (value in _KEYWORDS or value in _BUILTINS):
                kind = "keyword" if value in _KEYWORDS else "builtin"
            self.tokens.append((kind, value))
        self.tokens.append(("end", ""))

    def _regex_may_follow(self) -> bool:
        if not self.tokens:
            return True
        kind, value = self.tokens[-1]
        return not (kind in ("number", "string", "name", "builtin", "regex") or value in (")", "]", "$", "++", "--"))

    def _regex_end(self, at: int) -> int:
        inside = False
        while at < len(self.text) and self.text[at] != "\n":
            char = self.text[at]
            if char == "\\":
                at += 2
                continue
            if char == "[":
                inside = True
            elif char == "]":
                inside = False
            elif char == "/" and not inside:
                return at
            at += 1
        raise AwkFault("cmd. line:1: unterminated regexp")

    # tools

    def _peek(self, *values: str) -> bool:
        kind, value = self.tokens[self.at]
        return kind not in ("string", "regex", "number") and value in values

    def _accept(self, *values: str) -> str:
        if self._peek(*values):
            self.at += 1
            return str(self.tokens[self.at - 1][1])
        return ""

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            raise self._unexpected()

    def _unexpected(self) -> AwkFault:
        kind = self._kind()
        return AwkFault(f"cmd. line:1: {'Unexpected end of string' if kind == 'end' else 'Unexpected token'}")

    def _kind(self) -> str:
        return self.tokens[self.at][0]

    def _newlines(self) -> None:
        while self._kind() == "newline":
            self.at += 1

    def _terminators(self) -> None:
        while self._kind() == "newline" or self._peek(";"):
            self.at += 1

    # program

    def _program(self) -> None:
        self._terminators()
        while self._kind() != "end":
            if self._accept("function", "func"):
                name = self.tokens[self.at][1]
                self.at += 1
                self._expect("(")
                parameters = []
                while not self._accept(")"):
                    parameters.append(str(self.tokens[self.at][1]))
                    self.at += 1
                    self._accept(",")
                    if self._kind() == "end":
                        raise self._unexpected()
                self._newlines()
                self.functions[str(name)] = (parameters, self._block())
            elif word := self._accept("BEGIN", "END"):
                self._newlines()
                self.rules.append((word, None, None, self._block()))
            elif self._peek("{"):
                self.rules.append(("", None, None, self._block()))
            else:
                first = self._expression()
                second = None
                if self._accept(","):
                    self._newlines()
                    second = self._expression()
                body = self._block() if self._peek("{") else None
                self.rules.append(("", first, second, body))
            self._terminators()

    def _block(self) -> Node:
        self._expect("{")
        found = []
        self._terminators()
        while not self._accept("}"):
            found.append(self._statement())
            self._terminators()
            if self._kind() == "end":
                raise self._unexpected()
        return ("block", found)

    def _simple_or_block(self) -> Node:
        self._newlines()
        if self._accept(";"):
            return ("block", [])
        return self._statement()

    def _statement(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise AwkFault("program too deeply nested")
        try:
            return self._statement_inner()
        finally:
            self.depth -= 1

    def _statement_inner(self) -> Node:
        if self._peek("{"):
            return self._block()
        if self._accept("if"):
            self._expect("(")
            condition = self._expression()
            self._expect(")")
            then = self._simple_or_block()
            saved = self.at
            self._terminators()
            if self._accept("else"):
                return ("if", condition, then, self._simple_or_block())
            self.at = saved
            return ("if", condition, then, None)
        if self._accept("while"):
            self._expect("(")
            condition = self._expression()
            self._expect(")")
            if self._accept(";"):
                return ("while", condition, ("block", []))
            return ("while", condition, self._simple_or_block())
        if self._accept("do"):
            body = self._simple_or_block()
            self._terminators()
            self._expect("while")
            self._expect("(")
            condition = self._expression()
            self._expect(")")
            return ("do", body, condition)
        if self._accept("for"):
            return self._for()
        return self._simple()

    def _for(self) -> Node:
        self._expect("(")
        kinds = [k for k, _ in self.tokens[self.at : self.at + 2]]
        if kinds[0] == "name" and self.tokens[self.at + 1][1] == "in" and self.tokens[self.at + 3][1] == ")":
            name, array = self.tokens[self.at][1], self.tokens[self.at + 2][1]
            self.at += 4
            return ("forin", name, array, self._simple_or_block())
        start = None if self._peek(";") else self._simple()
        self._expect(";")
        self._newlines()
        condition = None if self._peek(";") else self._expression()
        self._expect(";")
        self._newlines()
        step = None if self._peek(")") else self._simple()
        self._expect(")")
        if self._accept(";"):
            return ("for", start, condition, step, ("block", []))
        return ("for", start, condition, step, self._simple_or_block())

    def _simple(self) -> Node:
        if word := self._accept("print", "printf"):
            return self._print(word)
        if word := self._accept("next", "nextfile", "break", "continue"):
            return (word,)
        if word := self._accept("exit", "return"):
            value = None
            if self._kind() not in ("newline", "end") and not self._peek(";", "}"):
                value = self._expression()
            return (word, value)
        if self._accept("delete"):
            name = str(self.tokens[self.at][1])
            self.at += 1
            if self._accept("["):
                keys = self._list("]")
                return ("delete", name, keys)
            return ("delete", name, None)
        return ("expr", self._expression())

    def _list(self, end: str) -> list[Node]:
        found: list[Node] = []
        self._newlines()
        while not self._accept(end):
            found.append(self._expression())
            self._newlines()
            if not self._peek(end):
                self._expect(",")
                self._newlines()
        return found

    def _print(self, word: str) -> Node:
        arguments: list[Node] = []
        self._no_greater += 1
        if self._kind() not in ("newline", "end") and not self._peek(";", "}", ">", ">>", "|"):
            arguments.append(self._expression())
            while self._accept(","):
                self._newlines()
                arguments.append(self._expression())
        if len(arguments) == 1 and arguments[0][0] == "grouplist":
            arguments = arguments[0][1]
        how, target = "", None
        if self._peek(">", ">>", "|"):
            how = self._accept(">", ">>", "|")
            target = self._concatenation()
        self._no_greater -= 1
        return (word, arguments, how, target)

    # expressions

    def _expression(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise AwkFault("program too deeply nested")
        try:
            return self._assignment()
        finally:
            self.depth -= 1

    def _assignment(self) -> Node:
        left = self._ternary()
        if left[0] in ("var", "field", "index") and self._peek("=", "+=", "-=", "*=", "/=", "%=", "^=", "**="):
            op = self._accept("=", "+=", "-=", "*=", "/=", "%=", "^=", "**=")
            self._newlines()
            return ("assign", op[:-1].replace("**", "^"), left, self._expression())
        return left

    def _ternary(self) -> Node:
        condition = self._or()
        if not self._accept("?"):
            return condition
        self._newlines()
        first = self._expression()
        self._newlines()
        self._expect(":")
        self._newlines()
        return ("cond", condition, first, self._expression())

    def _or(self) -> Node:
        left = self._and()
        while self._accept("||"):
            self._newlines()
            left = ("or", left, self._and())
        return left

    def _and(self) -> Node:
        left = self._membership()
        while self._accept("&&"):
            self._newlines()
            left = ("and", left, self._membership())
        return left

    def _membership(self) -> Node:
        left = self._matching()
        while self._accept("in"):
            keys = left[1] if left[0] == "grouplist" else [left]
            left = ("in", keys, str(self.tokens[self.at][1]))
            self.at += 1
        return left

    def _matching(self) -> Node:
        left = self._comparison()
        while op := self._accept("~", "!~"):
            left = ("match", op == "!~", left, self._comparison())
        return left

    def _comparison(self) -> Node:
        left = self._concatenation()
        ops = ("<", "<=", "==", "!=", ">=") if self._no_greater else ("<", "<=", "==", "!=", ">=", ">")
        while op := self._accept(*ops):
            if op == "<" and left[0] == "getline" and left[2] is None:
                left = ("getline", "file", self._concatenation(), left[3])
                continue
            left = ("bin", op, left, self._concatenation())
        while self._peek("|") and self.tokens[self.at + 1][1] == "getline":
            self.at += 2
            left = ("getline", "command", left, self._lvalue())
        return left

    def _lvalue(self) -> Node | None:
        if self._kind() == "name" or self._peek("$"):
            return self._primary()
        return None

    def _concatenation(self) -> Node:
        left = self._additive()
        while self._starts_operand():
            left = ("cat", left, self._additive())
        return left

    def _starts_operand(self) -> bool:
        kind, value = self.tokens[self.at]
        if kind in ("number", "string", "name", "function", "builtin"):
            return True
        if kind == "regex":
            return False
        return (
            kind == "op" and value in ("$", "!", "(", "-", "+", "++", "--") and value not in ("+", "-") and value != "!"
        )

    def _additive(self) -> Node:
        left = self._multiplicative()
        while op := self._accept("+", "-"):
            left = ("bin", op, left, self._multiplicative())
        return left

    def _multiplicative(self) -> Node:
        left = self._unary()
        while op := self._accept("*", "/", "%"):
            left = ("bin", op, left, self._unary())
        return left

    def _unary(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise AwkFault("program too deeply nested")
        try:
            if self._accept("!"):
                return ("not", self._unary())
            if self._accept("-"):
                return ("neg", self._unary())
            if self._accept("+"):
                return ("pos", self._unary())
            return self._power()
        finally:
            self.depth -= 1

    def _power(self) -> Node:
        base = self._postfix()
        if self._accept("^", "**"):
            return ("bin", "^", base, self._unary_power())
        return base

    def _unary_power(self) -> Node:
        if self._accept("-"):
            return ("neg", self._unary_power())
        return self._power()

    def _postfix(self) -> Node:
        if op := self._accept("++", "--"):
            return ("incr", "pre" + op, self._postfix())
        found = self._primary()
        if found[0] in ("var", "field", "index") and self._peek("++", "--"):
            return ("incr", "post" + self._accept("++", "--"), found)
        return found

    def _primary(self) -> Node:
        kind, value = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            return ("num", value)
        if kind == "string":
            self.at += 1
            return ("str", value)
        if kind == "regex":
            self.at += 1
            return ("regex", value)
        if self._accept("$"):
            if op := self._accept("++", "--"):
                return ("field", ("incr", "pre" + op, self._primary()))
            return ("field", self._primary() if not self._peek("-") else self._unary())
        if self._accept("("):
            saved_greater, self._no_greater = self._no_greater, 0
            items = self._list(")")
            self._no_greater = saved_greater
            if len(items) == 1:
                return ("group", items[0])
            if not items:
                raise self._unexpected()
            return ("grouplist", items)
        if self._accept("getline"):
            target = self._lvalue()
            if self._accept("<"):
                return ("getline", "file", self._primary(), target)
            return ("getline", "", None, target)
        if kind == "function":
            self.at += 2
            return ("call", value, self._list(")"))
        if kind == "builtin":
            self.at += 1
            if self._accept("("):
                return ("call", value, self._list(")"))
            if value == "length":
                return ("call", "length", [])
            raise self._unexpected()
        if kind == "name":
            self.at += 1
            if self._accept("["):
                return ("index", value, self._list("]"))
            return ("var", value)
        raise self._unexpected()
