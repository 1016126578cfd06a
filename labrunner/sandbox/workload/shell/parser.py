"""From a shell program's text to its tree. Source of the grammar: POSIX.1-2017, Shell Command Language."""

from __future__ import annotations

import re

from labrunner.sandbox.workload.shell.syntax import (
    AndOr,
    ArithmeticCommand,
    ArithmeticFor,
    Assignment,
    Case,
    Command,
    Conditional,
    For,
    Function,
    Group,
    If,
    Literal,
    Loop,
    Pipeline,
    Redirect,
    Sequence,
    ShellSyntaxError,
    Simple,
    Subshell,
    Word,
)
from labrunner.sandbox.workload.shell.words import MAX_DEPTH, WordReader

_OPERATORS = ("<<<", "&>>", ";;&", "<<-", "&&", "||", ";;", ";&", "<<", ">>", "<&", ">&", "<>", ">|", "&>",
              "|&", "&", "|", ";", "<", ">", "(", ")")  # fmt: skip
_REDIRECTS = frozenset(("<", ">", ">>", "<<", "<<-", "<<<", "<&", ">&", "<>", ">|", "&>", "&>>"))
_RESERVED = frozenset(("if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "{",
                       "}", "!", "in", "function", "[["))  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^]]*\])?(\+?=)")
_METACHARACTERS = " \t\n;&|<>()"
_LACKING = {
    "bash": frozenset[str](),
    "ash": frozenset(("<<<", ";&", ";;&", "|&", "&>>")),
    "dash": frozenset(("<<<", ";&", ";;&", "|&", "&>>", "&>")),
}
"""Operators that a shell does not have: it reads shorter ones there."""
_RESERVED_OF = {
    "bash": _RESERVED,
    "ash": _RESERVED,
    "dash": _RESERVED - {"[[", "function"},
}
_MAX_TEXT = 4 * 1024 * 1024


class Token:
    """`kind`: word, op, newline, number (of a descriptor before a redirection) or end."""

    __slots__ = ("kind", "line", "position", "text", "word")

    def __init__(self, kind: str, text: str, line: int, position: int, word: Word | None = None) -> None:
        self.kind, self.text, self.line, self.position, self.word = kind, text, line, position, word

    def shown(self) -> str:
        return "newline" if self.kind == "newline" else "end of file" if self.kind == "end" else self.text


def parse(text: str, flavour: str = "bash") -> Sequence:
    """The whole program, as bash, ash or dash reads it. Raises ShellSyntaxError."""
    if len(text) > _MAX_TEXT:
        raise ShellSyntaxError("end of file", 1, message="program too long")
    parser = Parser(text, flavour=flavour)
    body = parser.sequence(frozenset())
    token = parser.token()
    if token.kind != "end":
        raise ShellSyntaxError(token.shown(), token.line)
    return body


class Parser:
    def __init__(self, text: str, position: int = 0, depth: int = 0, flavour: str = "bash") -> None:
        self.text, self.position, self.depth, self.flavour = text, position, depth, flavour
        self._operators = tuple(op for op in _OPERATORS if op not in _LACKING[flavour])
        self._line_at = position
        self._line = text.count("\n", 0, position) + 1
        self._ahead: Token | None = None
        self._pending: list[tuple[Redirect, str, bool, bool]] = []
        """Here documents whose text has not been read: (redirect, delimiter, quoted, strip tabs)."""

    # tokens

    def token(self) -> Token:
        """The next token, without taking it."""
        if self._ahead is None:
            self._ahead = self._read()
        return self._ahead

    def take(self) -> Token:
        token = self.token()
        self._ahead = None
        return token

    def _current_line(self) -> int:
        if self.position >= self._line_at:
            self._line += self.text.count("\n", self._line_at, self.position)
            self._line_at = self.position
        return self._line

    def _skip_blanks(self) -> None:
        while self.position < len(self.text):
            char = self.text[self.position]
            if char in " \t":
                self.position += 1
            elif char == "\\" and self.text[self.position + 1 : self.position + 2] == "\n":
                self.position += 2
            elif char == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            else:
                return

    def _read(self) -> Token:
        self._skip_blanks()
        start, line = self.position, self._current_line()
        if start >= len(self.text):
            if self._pending:
                self._here_documents()
            return Token("end", "", line, start)
        if self.text[start] == "\n":
            self.position += 1
            self._here_documents()
            return Token("newline", "\n", line, start)
        operator = next((op for op in self._operators if self.text.startswith(op, start)), "")
        process_file = operator in ("<", ">") and self.text.startswith("(", start + 1) and self.flavour != "dash"
        if operator and not process_file:
            self.position += len(operator)
            return Token("op", operator, line, start)
        if self.text[start].isdigit():
            end = start
            while end < len(self.text) and self.text[end].isdigit():
                end += 1
            if end < len(self.text) and self.text[end] in "<>" and end - start <= 4:
                self.position = end
                return Token("number", self.text[start:end], line, start)
        reader = WordReader(self.text, start, self.depth, self.flavour)
        word = reader.word("\n\t ;&|)" if operator else _METACHARACTERS)  # an operator here is process substitution
        self.position = reader.position
        if self.position == start:
            raise ShellSyntaxError(self.text[start], line)
        return Token("word", self.text[start : self.position], line, start, word)

    def _here_documents(self) -> None:
        pending, self._pending = self._pending, []
        for redirect, delimiter, quoted, strip in pending:
            lines: list[str] = []
            while True:
                if self.position >= len(self.text):
                    if delimiter != "":
                        # As real shells do: the end of the text ends the document (interactively, more follows).
                        self._open_here = True
                    break
                end = self.text.find("\n", self.position)
                raw = self.text[self.position : end if end >= 0 else len(self.text)]
                self.position = end + 1 if end >= 0 else len(self.text)
                line = raw.lstrip("\t") if strip else raw
                if line == delimiter:
                    break
                lines.append(line + "\n")
            body = "".join(lines)
            if quoted:
                redirect.target = Word((Literal(body, True),))
            else:
                redirect.target = WordReader(body, 0, self.depth + 1, self.flavour).here_text()

    _open_here = False

    @property
    def open_here_document(self) -> bool:
        """Whether a here document was ended by the end of the text."""
        return self._open_here

    def _unexpected(self, token: Token | None = None, expecting: str = "") -> ShellSyntaxError:
        token = token or self.token()
        return ShellSyntaxError(token.shown(), token.line, incomplete=token.kind == "end", expecting=expecting)

    def _expect(self, text: str) -> None:
        token = self.take()
        if token.text != text or token.kind not in ("word", "op"):
            raise self._unexpected(token, text)

    def newlines(self) -> None:
        while self.token().kind == "newline":
            self.take()

    def _reserved(self) -> str:
        """The reserved word that comes next, or nothing."""
        token = self.token()
        if token.kind == "word" and token.text in _RESERVED_OF[self.flavour]:
            return token.text
        return ""

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ShellSyntaxError(self.token().shown(), self.token().line, message="too deeply nested")

    # grammar

    def until_parenthesis(self) -> Sequence:
        """A substitution's program and its closing parenthesis."""
        body = self.sequence(frozenset())
        self._expect(")")
        return body

    def sequence(self, stop: frozenset[str]) -> Sequence:
        """Commands up to one of these reserved words, a closing parenthesis, `;;` or the end."""
        found = Sequence(line=self.token().line)
        self.newlines()
        while True:
            token = self.token()
            if token.kind == "end" or (token.text == ")" and token.kind == "op"):
                break
            if token.kind == "word" and token.text in stop:
                break
            if token.kind == "op" and token.text in (";;", ";&", ";;&"):
                break
            command = self.and_or()
            background = False
            token = self.token()
            if token.kind == "op" and token.text in (";", "&"):
                background = token.text == "&"
                self.take()
            elif token.kind == "newline":
                pass
            elif not (
                token.kind == "end"
                or (token.kind == "op" and token.text in (")", ";;", ";&", ";;&"))
                or (token.kind == "word" and token.text in stop)
            ):
                raise self._unexpected()
            found.items.append((command, background))
            self.newlines()
        return found

    def and_or(self) -> Command:
        first = self.pipeline()
        rest: list[tuple[str, Command]] = []
        while self.token().kind == "op" and self.token().text in ("&&", "||"):
            op = self.take().text
            self.newlines()
            rest.append((op, self.pipeline()))
        return AndOr(first.line, [], first, rest) if rest else first

    def pipeline(self) -> Command:
        negated = timed = False
        line = self.token().line
        while self._reserved() == "!" or (self.token().kind == "word" and self.token().text == "time"):
            if self.take().text == "!":
                negated = not negated
            else:
                timed = True
                if self.token().text == "-p":
                    self.take()
        commands = [self.command()]
        while self.token().kind == "op" and self.token().text in ("|", "|&"):
            if self.take().text == "|&":
                commands[-1].redirects.append(Redirect(">&", Word((Literal("1"),)), 2))
            self.newlines()
            commands.append(self.command())
        if len(commands) == 1 and not negated and not timed:
            return commands[0]
        return Pipeline(line, [], commands, negated, timed)

    def command(self) -> Command:
        token = self.token()
        if token.kind == "op" and token.text == "(":
            return self._redirected(self._parentheses())
        if token.kind not in ("word", "number", "op"):
            raise self._unexpected()
        word = self._reserved()
        match word:
            case "":
                return self._simple()
            case "{":
                compound: Command = self._braces()
            case "if":
                compound = self._if()
            case "while" | "until":
                compound = self._loop()
            case "for":
                compound = self._for()
            case "case":
                compound = self._case()
            case "[[":
                compound = self._conditional()
            case "function":
                return self._function_word()
            case _:
                raise self._unexpected()
        return self._redirected(compound)

    def _redirected(self, command: Command) -> Command:
        while (redirect := self._redirect()) is not None:
            command.redirects.append(redirect)
        return command

    def _parentheses(self) -> Command:
        token = self.take()
        if self.flavour == "bash" and self.text.startswith("(", token.position + 1):
            reader = WordReader(self.text, token.position + 2, self.depth + 1, self.flavour)
            body = reader._arithmetic()
            if body is not None:
                self.position, self._ahead = reader.position, None
                return ArithmeticCommand(token.line, [], body)
        self._deeper()
        body_ = self.sequence(frozenset())
        if not body_.items:
            raise self._unexpected()
        self._expect(")")
        self.depth -= 1
        return Subshell(token.line, [], body_)

    def _body(self, *stop: str) -> Sequence:
        """A list that must not be empty."""
        self._deeper()
        found = self.sequence(frozenset(stop))
        self.depth -= 1
        if not found.items:
            raise self._unexpected()
        return found

    def _braces(self) -> Group:
        line = self.take().line
        body = self._body("}")
        self._expect("}")
        return Group(line, [], body)

    def _if(self) -> If:
        line = self.take().line
        found = If(line)
        while True:
            condition = self._body("then")
            self._expect("then")
            body = self._body("elif", "else", "fi")
            found.branches.append((condition, body))
            end = self.take()
            if end.text == "elif":
                continue
            if end.text == "else":
                found.otherwise = self._body("fi")
                self._expect("fi")
            elif end.text != "fi":
                raise self._unexpected(end, "fi")
            return found

    def _loop(self) -> Loop:
        token = self.take()
        condition = self._body("do")
        self._expect("do")
        body = self._body("done")
        self._expect("done")
        return Loop(token.line, [], condition, body, token.text == "until")

    def _for(self) -> Command:
        line = self.take().line
        token = self.take()
        double = self.flavour == "bash" and self.text.startswith("(", token.position + 1)
        if token.kind == "op" and token.text == "(" and double:
            return self._arithmetic_for(line, token)
        if token.kind != "word" or not _NAME.fullmatch(token.text):
            raise self._unexpected(token)
        self._skip_newlines_before("in", "do")
        words: list[Word] | None = None
        if self._reserved() == "in":
            self.take()
            words = []
            while self.token().kind == "word":
                found = self.take().word
                assert found is not None
                words.append(found)
            if self.token().text != ";" and self.token().kind != "newline":
                raise self._unexpected()
        if self.token().text == ";" and self.token().kind == "op":
            self.take()
        self.newlines()
        return For(line, [], token.text, words, self._do_done())

    def _skip_newlines_before(self, *words: str) -> None:
        self.newlines()

    def _do_done(self) -> Sequence:
        if self._reserved() == "{":
            group = self._braces()
            return group.body
        self._expect("do")
        body = self._body("done")
        self._expect("done")
        return body

    def _arithmetic_for(self, line: int, token: Token) -> ArithmeticFor:
        reader = WordReader(self.text, token.position + 2, self.depth + 1, self.flavour)
        body = reader._arithmetic()
        pieces = (body or "").split(";")
        if body is None or len(pieces) != 3:
            raise self._unexpected(token)
        self.position, self._ahead = reader.position, None
        if self.token().text == ";" and self.token().kind == "op":
            self.take()
        self.newlines()
        return ArithmeticFor(line, [], pieces[0], pieces[1], pieces[2], self._do_done())

    def _case(self) -> Case:
        line = self.take().line
        subject = self.take()
        if subject.kind != "word" or subject.word is None:
            raise self._unexpected(subject)
        self.newlines()
        self._expect("in")
        self.newlines()
        found = Case(line, [], subject.word)
        while True:
            token = self.token()
            if token.kind == "word" and token.text == "esac":
                self.take()
                return found
            if token.kind == "op" and token.text == "(":
                self.take()
            patterns: list[Word] = []
            while True:
                pattern = self.take()
                if pattern.kind != "word" or pattern.word is None:
                    raise self._unexpected(pattern, ")" if self.flavour != "bash" else "")
                patterns.append(pattern.word)
                if self.token().kind == "op" and self.token().text == "|":
                    self.take()
                    continue
                break
            self._expect(")")
            self._deeper()
            body = self.sequence(frozenset(("esac",)))
            self.depth -= 1
            end = self.token()
            terminator = ";;"
            if end.kind == "op" and end.text in (";;", ";&", ";;&"):
                terminator = self.take().text
            elif not (end.kind == "word" and end.text == "esac"):
                raise self._unexpected()
            found.items.append((patterns, body, terminator))
            self.newlines()

    def _conditional(self) -> Conditional:
        """`[[`: operators are words there, and patterns after `=~` may hold parentheses."""
        token = self.take()
        found = Conditional(token.line)
        position = self.position
        while True:
            while position < len(self.text) and self.text[position] in " \t\n":
                position += 1
            if position >= len(self.text):
                raise ShellSyntaxError("end of file", token.line, incomplete=True)
            if self.text.startswith("]]", position) and self.text[position + 2 : position + 3] in ("", *" \t\n;&|)"):
                self.position, self._ahead = position + 2, None
                return found
            expression = bool(found.words) and found.words[-1].plain() == "=~"
            operator = next((op for op in ("&&", "||", "(", ")", "<", ">") if self.text.startswith(op, position)), "")
            if operator and not expression:
                found.words.append(Word((Literal(operator),)))
                position += len(operator)
                continue
            reader = WordReader(self.text, position, self.depth, self.flavour)
            word = reader.word(" \t\n" if expression else " \t\n()&|<>")
            if reader.position == position:
                raise ShellSyntaxError(self.text[position], token.line)
            found.words.append(word)
            position = reader.position

    def _function_word(self) -> Function:
        line = self.take().line
        name = self.take()
        if name.kind != "word":
            raise self._unexpected(name)
        if self.token().kind == "op" and self.token().text == "(":
            self.take()
            self._expect(")")
        self.newlines()
        return Function(line, [], name.text, self.command())

    def _simple(self) -> Command:
        found = Simple(line=self.token().line)
        while True:
            if (redirect := self._redirect()) is not None:
                found.redirects.append(redirect)
                continue
            token = self.token()
            if token.kind == "op" and token.text == "(" and len(found.words) == 1 and not found.assignments:
                name = found.words[0].plain()
                if name is None or found.redirects:
                    raise self._unexpected()
                self.take()
                self._expect(")")
                self.newlines()
                return Function(found.line, [], name, self.command())
            if token.kind != "word" or token.word is None:
                break
            self.take()
            if not found.words and (assignment := self._assignment(token)) is not None:
                found.assignments.append(assignment)
            else:
                found.words.append(token.word)
        if not found.words and not found.assignments and not found.redirects:
            raise self._unexpected()
        return found

    def _assignment(self, token: Token) -> Assignment | None:
        assert token.word is not None
        first = token.word.parts[0] if token.word.parts else None
        if not isinstance(first, Literal) or first.quoted:
            return None
        found = _ASSIGNMENT.match(first.text)
        if not found:
            return None
        rest = Literal(first.text[found.end() :])
        parts = ((rest,) if rest.text else ()) + token.word.parts[1:]
        if self.flavour != "bash" and (found[2] or found[3] == "+="):
            return None
        index = Word((Literal(found[2][1:-1]),)) if found[2] else None
        assignment = Assignment(found[1], Word(parts), found[3] == "+=", index)
        following = self.token()
        adjoining = following.kind == "op" and following.text == "(" and following.position == self._end(token)
        if not parts and adjoining and self.flavour == "bash":
            self.take()
            assignment.items = []
            while True:
                self.newlines()
                item = self.take()
                if item.kind == "op" and item.text == ")":
                    break
                if item.kind != "word" or item.word is None:
                    raise self._unexpected(item)
                assignment.items.append(item.word)
        return assignment

    @staticmethod
    def _end(token: Token) -> int:
        return token.position + len(token.text)

    def _redirect(self) -> Redirect | None:
        token = self.token()
        descriptor: int | None = None
        if token.kind == "number":
            self.take()
            descriptor = int(token.text)
            token = self.token()
        if token.kind != "op" or token.text not in _REDIRECTS:
            if descriptor is not None:
                raise self._unexpected()
            return None
        op = self.take().text
        target = self.take()
        if target.kind not in ("word", "number"):
            raise self._unexpected(target)
        word = target.word or Word((Literal(target.text),))
        redirect = Redirect(op, word, descriptor)
        if op in ("<<", "<<-"):
            quoted = any(getattr(part, "quoted", False) for part in word.parts)
            delimiter = "".join(getattr(part, "text", "") for part in word.parts)
            self._pending.append((redirect, delimiter, quoted, op == "<<-"))
        return redirect
