"""The screens of the mesh, on a mesh that follows a script: every action by key, most by mouse too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from scripted_lab import ScriptedEngine, make_lab
from scripted_mesh import ScriptedMesh, make_picture, request_edge, workload
from stage import Stage, running
from textual.widgets import DataTable, Input, OptionList, Select, TextArea

from labrunner.check.http_probe import Request
from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Check
from labrunner.run.mesh.picture import Picture
from labrunner.tui.screens.composer import ComposerScreen
from labrunner.tui.screens.lab import LabScreen
from labrunner.tui.screens.matrix import MatrixScreen
from labrunner.tui.screens.mesh import MeshScreen
from labrunner.tui.screens.mesh_node import NodeScreen
from labrunner.tui.screens.trace import TraceScreen
from labrunner.tui.symbols import ASCII, UNICODE, Symbols

NOTIFY = ("tenant-a/notify", "tenant-a/payment-v1")


@asynccontextmanager
async def mesh(
    *keys: str,
    source: ScriptedMesh | None = None,
    size: tuple[int, int] = (160, 48),
    symbols: Symbols = UNICODE,
) -> AsyncIterator[tuple[Stage, ScriptedMesh]]:
    """The lab screen with a mesh behind it, and keys pressed."""
    lab = make_lab()
    engine = ScriptedEngine(lab)
    engine.mesh = source = source or ScriptedMesh()
    async with running(lab=lab, engine=engine, size=size, symbols=symbols) as stage:
        await stage.until(lambda: stage.lab.desk is not None)
        for key in keys:
            await stage.press(key)
            await stage.pilot.pause()
        yield stage, source


def shown(stage: Stage, kind: type) -> object:
    assert isinstance(stage.app.screen, kind), stage.app.screen
    return stage.app.screen


async def choose(stage: Stage, what: object) -> MeshScreen:
    screen = stage.app.screen
    assert isinstance(screen, MeshScreen)
    screen._shown.choose(what)  # type: ignore[arg-type]
    await stage.pilot.pause()
    return screen


async def test_the_map_draws_who_talks_to_whom_with_lock_verdict_rate_and_errors() -> None:
    async with mesh("m") as (stage, _):
        await stage.shows("╭─ tenant-a ─")
        text = stage.text()
        assert "◈ gateway" in text and "○ legacy" in text and "strict §2" in text
        assert "◆✔ 2.4/s ▶" in text
        assert "◆✘ 6/min ▶" in text
        assert "◇✘? ▶" in text and "◆✔? ▶" in text and "◇⚠" in text and "◇!" in text
        assert "coredns" not in text
        assert "◆ mTLS" in text and "◇ plaintext" in text


async def test_a_policy_that_is_applied_changes_the_picture_at_once() -> None:
    source = ScriptedMesh()
    async with mesh("m", source=source) as (stage, _):
        await stage.shows("◆✔ 2.4/s")
        edges = tuple(
            replace(e, stale=True, expected=False, rate=0) if e.key == ("tenant-a/order", "tenant-a/payment-v1") else e
            for e in source.now.edges
        )
        source.change(edges=edges)
        await stage.until(lambda: "◆✔ 2.4/s" not in stage.text())
        assert "◆✘? ▶" in stage.text()
        nodes = (*source.now.nodes, workload("tenant-c", "newcomer"))
        source.change(nodes=nodes)
        await stage.shows("╭─ tenant-c ─")


async def test_arrows_walk_over_workloads_and_wires_and_enter_opens_them() -> None:
    async with mesh("m", "down") as (stage, _):
        screen = shown(stage, MeshScreen)
        assert isinstance(screen, MeshScreen)
        seen = {screen.chosen}
        for key in ("down", "right", "right", "down", "left", "right", "down", "right") * 2:
            await stage.press(key)
            seen.add(screen.chosen)
        assert any(isinstance(what, str) for what in seen) and any(isinstance(what, tuple) for what in seen)
        await choose(stage, "tenant-a/payment-v1")
        await stage.shows("called by 3")
        await stage.press("enter")
        await stage.until(lambda: isinstance(stage.app.screen, NodeScreen))
        await stage.shows("spiffe://cluster.local/ns/tenant-a/sa/payment")
        text = stage.text()
        assert "2026-11-22 12:47 UTC" in text and "holds the latest configuration" in text
        assert "AuthorizationPolicy tenant-a/payment-callers  ALLOW, 1 rule" in text
        await stage.press("escape")
        shown(stage, MeshScreen)


async def test_the_trace_of_a_denied_wire_marks_who_decided_and_what_would_have_to_change() -> None:
    async with mesh("m") as (stage, _):
        await choose(stage, NOTIFY)
        await stage.shows("403")
        await stage.press("t")
        await stage.until(lambda: isinstance(stage.app.screen, TraceScreen))
        await stage.shows("decided here")
        lines = stage.text().splitlines()
        why = next(line for line in lines if "no rule of tenant-a/payment-callers matched" in line)
        assert "▌" in why and "✘" in why
        assert any("from.principals wants" in line for line in lines)
        assert any("◆ mTLS TLSv1.3 from" in line for line in lines)


async def test_a_trace_can_be_sent_again_changed_and_copied() -> None:
    async with mesh("m") as (stage, source):
        await choose(stage, NOTIFY)
        await stage.press("t")
        await stage.until(lambda: isinstance(stage.app.screen, TraceScreen))
        source.denied.clear()
        await stage.press("r")
        await stage.shows("200 in 12 ms")
        request, times = source.sent[-1]
        assert (request.source, request.namespace) == ("pod/notify-7ccd97b5f-9s2km", "tenant-a") and times == 1
        assert request.url == "http://payment.tenant-a:8080/status/200"
        await stage.press("y")
        assert "payment-v1.tenant-a" in stage.app.clipboard
        await stage.press("e")
        await stage.until(lambda: isinstance(stage.app.screen, ComposerScreen))
        await stage.until(lambda: stage.app.screen.query_one("#ask-url", Input).value == request.url)
        assert stage.app.screen.query_one("#ask-from", Select).value == "tenant-a/notify"


async def test_a_wire_is_sent_over_again_by_key() -> None:
    async with mesh("m") as (stage, source):
        await choose(stage, NOTIFY)
        await stage.press("s")
        await stage.until(lambda: source.sent)
        assert source.sent[0][0].url == "http://payment.tenant-a:8080/status/200"


async def test_narrow_terminals_get_a_list_that_can_do_the_same() -> None:
    async with mesh("m", size=(80, 24)) as (stage, _):
        await stage.until(lambda: isinstance(stage.app.screen, MeshScreen))
        screen = stage.app.screen
        assert screen.has_class("-list")
        assert "from notify ◆✘" in stage.text() or "tenant-a" in stage.text()
        await choose(stage, NOTIFY)
        await stage.shows("denied")
        await stage.press("enter")
        await stage.until(lambda: isinstance(stage.app.screen, TraceScreen))
        await stage.press("escape")
        await stage.press("v")
        assert not screen.has_class("-list")
        assert stage.app.screen.query_one("#map").has_focus
        for _ in range(12):
            await stage.press("right")
        assert screen.query_one("#map").scroll_offset.x > 0


async def test_a_click_chooses_and_a_second_one_opens() -> None:
    async with mesh("m") as (stage, _):
        await stage.shows("◈ gateway")
        row, line = next((y, text) for y, text in enumerate(stage.text().splitlines()) if "● notify" in text)
        column = line.index("● notify")
        await stage.pilot.click(offset=(column + 3, row))
        screen = stage.app.screen
        assert isinstance(screen, MeshScreen) and screen.chosen == "tenant-a/notify"
        await stage.pilot.click(offset=(column + 3, row))
        await stage.until(lambda: isinstance(stage.app.screen, NodeScreen))


async def test_the_matrix_is_measured_shows_each_cell_and_opens_its_trace() -> None:
    source = ScriptedMesh()
    source.cannot.add("inventory")
    async with mesh("m", "x", source=source) as (stage, _):
        await stage.until(lambda: isinstance(stage.app.screen, MatrixScreen))
        await stage.shows("not measured yet")
        await stage.press("r")
        await stage.shows("measured 21 of 21")
        text = stage.text()
        assert "◆✘ 403" in text and "◇✔ 200" in text and "cannot" in text
        table = stage.app.screen.query_one(DataTable)
        callers = [str(row.label) for row in table.ordered_rows]
        row = callers.index("notify.tenant-a")
        column = [goal.name for goal in stage.lab.desk.matrix.goals].index("payment.tenant-a:8080")  # type: ignore
        table.move_cursor(row=row, column=column)
        await stage.shows("403, denied over mutual TLS: denied: no rule of tenant-a/payment-callers")
        await stage.press("enter")
        await stage.until(lambda: isinstance(stage.app.screen, TraceScreen))
        await stage.shows("decided here")
        await stage.press("escape")
        table.move_cursor(row=callers.index("inventory-v1.tenant-a"), column=0)
        await stage.shows("has no curl")


async def test_measuring_can_be_stopped_and_keeps_what_it_has() -> None:
    source = ScriptedMesh()
    source.hold.clear()
    async with mesh("m", "x", source=source) as (stage, _):
        await stage.press("r")
        await stage.shows("measuring 1 of 21")
        await stage.press("i")
        await stage.shows("stopped 1 of 21")
        source.hold.set()
        await stage.press("escape", "x")
        await stage.shows("stopped 1 of 21")


async def test_what_the_matrix_asks_can_be_changed() -> None:
    async with mesh("m", "x") as (stage, _):
        await stage.until(lambda: isinstance(stage.app.screen, MatrixScreen))
        await stage.press("p")
        asked = stage.app.screen.query_one("#matrix-asked", Input)
        asked.value = "post /status/201"
        await stage.press("enter")
        await stage.shows("measured 21 of 21")
        matrix = stage.lab.desk.matrix  # type: ignore[union-attr]
        assert matrix is not None
        assert {e.request.method for e in matrix.cells.values()} == {"POST"}
        assert all(e.request.url.endswith("/status/201") for e in matrix.cells.values())
        asked.value = "what ever"
        await stage.press("p", "enter")
        await stage.shows("is no request")


async def test_a_composed_request_is_sent_as_a_workload_and_its_way_is_shown() -> None:
    async with mesh("m", "a") as (stage, source):
        await stage.until(lambda: isinstance(stage.app.screen, ComposerScreen))
        screen = stage.app.screen
        screen.query_one("#ask-from", Select).value = "tenant-a/notify"
        screen.query_one("#ask-method", Select).value = "POST"
        screen.query_one("#ask-url", Input).value = "http://payment.tenant-a:8080/pay"
        screen.query_one("#ask-headers", TextArea).text = "x-user: ada\nAuthorization: Bearer abc"
        screen.query_one("#ask-data", TextArea).text = '{"amount": 1}'
        screen.query_one("#ask-times", Input).value = "3"
        await stage.press("f5")
        await stage.shows("3 sent: 3 x 403")
        request, times = source.sent[0]
        assert times == 3 and request.source.startswith("pod/notify") and request.method == ""
        assert request.data == '{"amount": 1}'
        assert dict(request.headers) == {"x-user": "ada", "Authorization": "Bearer abc"}
        assert "from notify.tenant-a" in stage.text()
        await stage.press("f8")
        await stage.until(lambda: isinstance(stage.app.screen, TraceScreen))
        await stage.press("escape")
        source.denied.clear()
        await stage.press("f7")
        assert isinstance(stage.app.focused, OptionList)
        await stage.press("r")
        await stage.until(lambda: len(source.sent) == 2)
        assert source.sent[1] == (request, 3)
        await stage.shows("3 sent: 3 x 200")
        await stage.press("escape", "a")
        await stage.shows("Sent before")
        await stage.press("f7", "enter")
        assert stage.app.screen.query_one("#ask-data", TextArea).text == '{"amount": 1}'


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("#ask-url", "", "Where to?"),
        ("#ask-times", "0", "from 1 to 200"),
        ("#ask-headers", "no header", "is no header"),
    ],
)
async def test_a_form_that_cannot_be_sent_says_why(field: str, value: str, says: str) -> None:
    async with mesh("m", "a") as (stage, source):
        await stage.until(lambda: isinstance(stage.app.screen, ComposerScreen))
        screen = stage.app.screen
        screen.query_one("#ask-url", Input).value = "http://payment.tenant-a:8080/"
        widget = screen.query_one(field)
        if isinstance(widget, TextArea):
            widget.text = value
        else:
            widget.value = value  # type: ignore[attr-defined]
        await stage.press("f5")
        await stage.shows(says)
        assert not source.sent


async def test_a_failing_request_check_is_traced_from_the_lab_screen() -> None:
    lab = make_lab()
    step = replace(lab.steps[0], checks=(Check("denied", "request", {}, "notify is refused"), *lab.steps[0].checks))
    lab = replace(lab, parts=(replace(lab.parts[0], steps=(step,)), *lab.parts[1:]))
    engine = ScriptedEngine(lab)
    engine.mesh = source = ScriptedMesh()
    engine.failing["denied"] = Finding("status", "It answers 403.", "200", "403", "GET http://payment.tenant-a:8080/x")
    engine.requests["denied"] = [
        Request("http://payment.tenant-a:8080/x", "deployment/notify", "tenant-a", "notify", curl=("--http1.1",))
    ]
    async with running(lab=lab, engine=engine) as stage:
        await stage.press("t")
        await stage.shows("No check that sends a request fails here")
        await stage.press("c")
        await stage.shows("It answers 403.")
        await stage.press("t")
        await stage.until(lambda: isinstance(stage.app.screen, TraceScreen))
        await stage.shows("decided here")
        assert "client    notify.tenant-a" in stage.text()
        await stage.press("e")
        await stage.until(lambda: isinstance(stage.app.screen, ComposerScreen))
        await stage.until(lambda: stage.app.screen.query_one("#ask-from", Select).value == "tenant-a/notify")
        await stage.press("f5")
        await stage.until(lambda: len(source.sent) == 2)
        sent = source.sent[1][0]
        assert (sent.source, sent.container, sent.curl) == ("pod/notify-7ccd97b5f-9s2km", "notify", ("--http1.1",))
        await stage.press("escape", "escape")
        await stage.until(lambda: isinstance(stage.app.screen, LabScreen))


async def test_the_wide_lab_screen_has_a_small_map_that_opens_the_large_one() -> None:
    async with mesh() as (stage, source):
        await stage.until(lambda: source.listeners)
        source.change(pending=False)
        await stage.shows("to tenant-a")
        assert "══◆✘══▶ payment-v1" in stage.text()
        await stage.pilot.click("#mesh-small")
        await stage.until(lambda: isinstance(stage.app.screen, MeshScreen))
        assert source.listeners == 2
        await stage.press("escape")
        await stage.until(lambda: source.listeners == 1)
        await stage.press("l")
        await stage.until(lambda: not source.listeners)


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (Picture((workload("shop", "web", proxies=0),), known=True), "No workload here is in the mesh"),
        (Picture(known=True), "No workload runs yet"),
        (Picture(), "Asking the cluster"),
        (replace(make_picture(), edges=()), "No request was seen yet"),
        (replace(make_picture(), problem="Envoy is not installed: traffic cannot be tried"), "Envoy is not installed"),
        (replace(make_picture(), unavailable="A live cluster keeps its logs to itself"), "keeps its logs to itself"),
    ],
)
async def test_where_there_is_no_traffic_to_see_the_screen_says_so(picture: Picture, says: str) -> None:
    async with mesh("m", source=ScriptedMesh(picture)) as (stage, _):
        await stage.shows(says)


async def test_a_session_without_a_mesh_says_so() -> None:
    lab = make_lab()
    async with running(lab=lab, engine=ScriptedEngine(lab)) as stage:
        await stage.press("m")
        await stage.shows("no mesh to look at")
        assert isinstance(stage.app.screen, LabScreen)


@pytest.mark.parametrize("keys", [("m", "x", "r"), ("m", "a", "f5")])
async def test_a_cluster_that_is_gone_is_said_and_nothing_breaks(keys: tuple[str, ...]) -> None:
    source = ScriptedMesh()
    async with mesh(*keys[:-1], source=source) as (stage, _):
        source.fault = EnvironmentFault("The sandbox does not answer.", hint="Start it again.")
        if isinstance(stage.app.screen, ComposerScreen):
            stage.app.screen.query_one("#ask-url", Input).value = "http://payment.tenant-a:8080/"
        await stage.press(keys[-1])
        await stage.shows("The sandbox does not answer.")
        source.fault = None
        desk = stage.lab.desk
        assert desk is not None
        await stage.press("f5" if keys[-1] == "f5" else "r")
        await stage.until(lambda: source.sent or (desk.matrix is not None and desk.matrix.cells))


async def test_ascii_terminals_get_the_same_map_in_ascii() -> None:
    async with mesh("m", symbols=ASCII) as (stage, _):
        await stage.until(lambda: isinstance(stage.app.screen, MeshScreen))
        text = stage.text()
        assert "== #v" in text or "#v 2.4/s >" in text
        assert "+- tenant-a" in text and "#x 6/min" in text
        assert text.isascii(), sorted({c for c in text if not c.isascii()})


async def test_everything_is_in_the_palette_and_in_the_help() -> None:
    async with mesh("m") as (stage, _):
        titles = [command.title for command in stage.app.get_system_commands(stage.app.screen)]
        for name in ("Trace", "Resend", "Ask", "Matrix", "List", "Open"):
            assert any(title.startswith(f"{name} (") for title in titles), titles
        await stage.press("question_mark")
        await stage.shows("Who reaches whom, measured by real requests")


async def test_wires_in_a_circle_and_to_oneself_are_drawn() -> None:
    nodes = tuple(workload("shop", name) for name in ("a", "b", "c"))
    edges = tuple(request_edge(f"shop/{x}", f"shop/{y}") for x, y in ("ab", "bc", "ca", "aa"))
    async with mesh("m", source=ScriptedMesh(Picture(nodes, edges, known=True))) as (stage, _):
        await stage.until(lambda: stage.text().count("▶") >= 3)
