"""A request's way as text: one block per hop, the one that decided marked, and what would have to change."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from textual.content import Content

from labrunner.run.mesh.picture import Picture
from labrunner.run.mesh.source import Exchange
from labrunner.run.mesh.way import Hop, Way
from labrunner.tui.mesh.desk import name_of
from labrunner.tui.mesh.words import STATES, colour
from labrunner.tui.symbols import Symbols

_ROLE = 9
"""Columns for what a hop is."""
_INDENT = " " * (_ROLE + 5)
_ENDS = {"answered": "answered", "silent": "was called and did not answer", "unreached": "was not reached"}

Mark = tuple[str, str]
"""The column at the left: (character, style)."""
_NO_MARK: Mark = (" ", "")


def headline(exchange: Exchange, width: int) -> Content:
    """`GET http://payment/ ... 403 in 7 ms`."""
    request = exchange.request
    method = request.method or ("POST" if request.data else "GET")
    left = f"{method} {request.url}"
    right = outcome(exchange)
    style = f"bold {colour(exchange.state)}" if exchange.state != "fault" else "bold $warning"
    room = width - len(left) - len(right)
    if room < 2:
        return Content.assemble((left, "bold"), "\n", (right, style))
    return Content.assemble((left, "bold"), " " * room, (right, style))


def outcome(exchange: Exchange) -> str:
    if exchange.answer is None:
        return "not sent"
    answer = exchange.answer
    took = f" in {answer.seconds * 1000:.0f} ms" if answer.seconds else ""
    said = str(answer.status) if answer.status else "no answer"
    return f"{said}{took}"


def trace_text(exchange: Exchange, picture: Picture, symbols: Symbols, width: int) -> Content:
    """The whole trace, `width` columns wide."""
    lines = [headline(exchange, width), Content("")]
    if exchange.fault:
        return Content("\n").join(
            [*lines, *(Content.styled(line, "$warning") for line in _wrapped(exchange.fault, width))]
        )
    way = exchange.way
    decided = way.deciding if exchange.state != "allowed" else -1
    lines += _client(exchange, picture, symbols, width)
    for index, hop in enumerate(exchange.hops):
        lines.append(Content(""))
        lines += _hop(index + 2, hop, index == decided, symbols, width)
    if exchange.untraced:
        lines += [Content(""), *_block(_NO_MARK, "", exchange.untraced, "$warning", width)]
    else:
        lines += _application(len(exchange.hops) + 2, way, symbols, width)
        if not exchange.hops:
            why = way.why or "neither end is in the mesh, or it never left the client"
            lines += [
                Content(""),
                *_block(_NO_MARK, f"{symbols.error} ", f"no sidecar and no gateway saw it: {why}", "$warning", width),
            ]
            lines += _changes(_NO_MARK, way.change, symbols, width)
    return Content("\n").join(lines)


def _head(mark: Mark, number: int, role: str, name: str, rest: Sequence[Mark]) -> Content:
    return Content.assemble(
        mark, (f"{number:>2} ", "$muted"), (role.ljust(_ROLE), "$primary"), " ", (name, "bold"), *rest
    )


def _client(exchange: Exchange, picture: Picture, symbols: Symbols, width: int) -> list[Content]:
    way = exchange.way
    who = name_of(exchange.request, picture)
    about = "" if who == "this machine" or not way.client or way.identity else "  no identity: it has no sidecar"
    lines = [_head(_NO_MARK, 1, "client", who, [(about, "$muted")])]
    if way.identity:
        lines += _block(_NO_MARK, f"{'as':<10}", way.identity, "$foreground", width, "$muted")
    if exchange.answer is not None and exchange.answer.error:
        lines += _block(_NO_MARK, f"{symbols.error} ", exchange.answer.error, "$warning", width)
    return lines


def _application(number: int, way: Way, symbols: Symbols, width: int) -> list[Content]:
    if not way.application:
        return []
    said = _ENDS.get(way.state, way.state)
    style = "$success" if way.state == "answered" else "$muted"
    about = "" if way.application_in_mesh else ", which has no sidecar,"
    return [Content(""), _head(_NO_MARK, number, "app", way.application, [(f"{about} {said}", style)])]


def _hop(number: int, hop: Hop, decided: bool, symbols: Symbols, width: int) -> list[Content]:
    style = f"bold {colour(_state(hop))}"
    mark: Mark = (symbols.deciding, style) if decided else _NO_MARK
    side = "" if hop.kind == "gateway" else f" {hop.direction}"
    code = f" {symbols.arrow} {hop.code}" if hop.code else ""
    flags = f" {hop.flags}" if hop.flags else ""
    took = f"  {hop.milliseconds} ms" if hop.milliseconds else ""
    nested = "  called on its behalf" if hop.depth else ""
    rest = [(side, ""), (f"{code}{flags}", style), (f"{took}{nested}", "$muted")]
    lines = [_head(mark, number, hop.kind, hop.workload, rest)]
    for label, text in _facts(hop, symbols):
        lines += _block(mark, f"{label:<10}", text, "$foreground", width, "$muted")
    if hop.why or hop.wrong:
        said = hop.why or hop.details or STATES.get(hop.verdict, hop.verdict)
        symbol = {"denied": symbols.failed, "failed": symbols.error}.get(hop.verdict, symbols.passed)
        weight = style if hop.wrong else "$success"
        lines += _block(mark, f"{symbol} ", said, weight, width)
    lines += _changes(mark, hop.change, symbols, width)
    if decided:
        lines.append(Content.assemble(mark, _INDENT, ("decided here", "italic $muted")))
    return lines


def _state(hop: Hop) -> str:
    return hop.verdict if hop.verdict in STATES else "answered"


def _facts(hop: Hop, symbols: Symbols) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if hop.direction == "inbound" or hop.kind == "gateway":
        tls = hop.incoming or hop.tls
        found.append(("from", f"{symbols.lock(tls.startswith('mTLS'))} {tls} from {hop.client}"))
    if hop.direction == "outbound":
        if hop.origin or hop.route:
            found.append(("route", hop.origin or hop.route))
        if hop.cluster:
            rule = f", DestinationRule {hop.rule}" if hop.rule else ""
            found.append(("to", f"{hop.cluster}{rule}"))
        if hop.endpoint:
            pod = f" ({hop.pod})" if hop.pod else ""
            server = f" with {hop.server}" if hop.server else ""
            tries = f", tried {hop.attempts} times" if hop.attempts > 1 else ""
            found.append(("endpoint", f"{hop.endpoint}{pod}{tries}"))
            found.append(("over", f"{symbols.lock(hop.mtls)} {hop.tls}{server}"))
    if hop.wrong and hop.details:
        found.append(("Envoy", hop.details))
    return found


def _changes(mark: Mark, changes: Sequence[str], symbols: Symbols, width: int) -> list[Content]:
    if not changes:
        return []
    head = "one of these would have to change:" if len(changes) > 1 else "what would have to change:"
    lines = [Content.assemble(mark, _INDENT, (head, "$muted"))]
    for change in changes:
        lines += _block(mark, f"{symbols.arrow} ", change, "$foreground", width)
    return lines


def _block(mark: Mark, head: str, text: str, style: str, width: int, head_style: str = "") -> list[Content]:
    """Text with a head, wrapped beside it."""
    lines = _wrapped(text, width - len(_INDENT) - len(head) - 2)
    return [
        Content.assemble(mark, _INDENT, (head if index == 0 else " " * len(head), head_style or style), (line, style))
        for index, line in enumerate(lines)
    ]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), break_on_hyphens=False) or [""]
