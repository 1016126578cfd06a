"""What runs in a pod cannot stop the sandbox: loops, floods, forks, memory, expressions without end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labrunner.sandbox.workload.machine.container import MAX_PROCESSES, ContainerMachine
from labrunner.sandbox.workload.machine.stream import Pipe
from labrunner.sandbox.workload.shell.arithmetic import ArithmeticFault, evaluate
from labrunner.sandbox.workload.shell.parser import parse
from labrunner.sandbox.workload.shell.syntax import ShellSyntaxError
from labrunner.sandbox.workload.text import regex
from labrunner.sandbox.workload.text.awk_syntax import AwkFault
from labrunner.sandbox.workload.text.awk_syntax import Parser as AwkParser
from labrunner.sandbox.workload.text.jq import JqFault
from labrunner.sandbox.workload.text.jq import run as jq
from labrunner.sandbox.workload.text.sed import Script, SedFault
from tests.unit.workload_world import World, run, sh


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.close()


@pytest.fixture
async def box(world: World) -> ContainerMachine:
    return world.pod("box", command=["sleep", "infinity"])


async def _longest_pause(seconds: float) -> float:
    """The longest time in which the loop served nobody else."""
    worst, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.monotonic()
        await asyncio.sleep(0.001)
        worst = max(worst, time.monotonic() - before)
    return worst


@pytest.mark.parametrize(
    "text",
    [
        "while true; do :; done",
        "while :; do x=$((x+1)); done",
        "f() { while true; do true; done; }; f",
        "yes > /dev/null",
        "cat /dev/zero > /dev/null",
        "awk 'BEGIN { while (1) i++ }'",
        "echo x | sed ':a; ba'",
        "until false; do echo x; done > /dev/null",
        "seq 1 1000000000 > /dev/null",
        "tr a b < /dev/zero | head -c 100000000 > /dev/null",
    ],
)
async def test_a_loop_without_end_leaves_time_for_others(box: ContainerMachine, text: str) -> None:
    running = asyncio.ensure_future(sh(box, text))
    pause = await _longest_pause(0.4)
    assert not running.done() or (await running).code in (0, 1)
    box.kill_all(9)
    await running
    assert pause < 2, "a loop that never lets go would hold it for ever"


async def test_a_reader_that_is_gone_ends_the_writer(box: ContainerMachine) -> None:
    async with asyncio.timeout(5):
        outcome = await sh(box, "yes | head -n 1; (yes; echo status $? >&2) | head -n 1")
    assert (outcome.out, outcome.err) == ("y\ny\n", "status 141\n")


async def test_a_pipe_takes_no_more_than_its_size() -> None:
    pipe = Pipe(limit=1000)
    writing = asyncio.ensure_future(pipe.push(b"x" * 5000))
    await asyncio.sleep(0.01)
    assert not writing.done() and pipe.waiting == 1000
    assert len(await pipe.pull(5000)) == 1000
    pipe.close_read()
    with pytest.raises(BrokenPipeError):
        await writing


async def test_a_fork_bomb_runs_into_the_limit(box: ContainerMachine) -> None:
    async with asyncio.timeout(20):
        outcome = await sh(box, "f() { f | f & wait; }; f")
        assert outcome.code != 137
        await sh(box, "true")
    assert box.pod.process_count() <= MAX_PROCESSES
    box.kill_all(9)


async def test_recursion_ends(box: ContainerMachine) -> None:
    async with asyncio.timeout(10):
        assert (await sh(box, "f() { f; }; f")).code in (1, 139)
        assert "nesting level exceeded" in (await sh(box, "x='$(eval $x)'; eval \"$x\"")).err
        assert (await sh(box, "echo 'sh /tmp/r' > /tmp/r; sh /tmp/r")).code != 0


async def test_files_have_a_limit(box: ContainerMachine) -> None:
    box.fs.usage.limit = box.fs.usage.used + 1_000_000
    outcome = await sh(
        box, "dd if=/dev/zero of=/tmp/big bs=100k count=100; rm /tmp/big; echo ok > /tmp/small && cat /tmp/small"
    )
    assert "No space left on device" in outcome.err
    assert outcome.out == "ok\n"


async def test_variables_have_a_limit(box: ContainerMachine) -> None:
    async with asyncio.timeout(30):
        outcome = await sh(box, "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done")
    assert outcome.code == 2 and "out of memory" in outcome.err


async def test_logs_have_a_limit(world: World) -> None:
    pod = world.pod("loud", command=["sh", "-c", "yes 0123456789012345678901234567890123456789 | head -n 200000"])
    assert pod.main is not None
    async with asyncio.timeout(30):
        assert await pod.main.wait() == 0
    kept = sum(len(entry.data) for entry in pod.log.entries())
    assert 1_000_000 < kept <= 2 * 1024 * 1024


async def test_what_an_exec_started_ends_with_it(box: ContainerMachine) -> None:
    process = box.execute(["sh", "-c", "sleep 100 & sleep 100"], descriptors={}, env=box.env, new_session=True)
    await asyncio.sleep(0.02)
    assert len(box.processes()) == 4
    box.kill_session(process.session)
    await asyncio.sleep(0.02)
    assert [p.name for p in box.processes()] == ["sleep"]


async def test_the_first_process_ignores_what_it_does_not_handle(world: World) -> None:
    box = world.pod("one", command=["sleep", "100"])
    await sh(box, "kill 1; kill -INT 1")
    assert box.main is not None and box.main.status is None
    trapping = world.pod("two", command=["sh", "-c", "trap 'exit 7' TERM; while true; do sleep 0.01; done"])
    await sh(trapping, "kill 1")
    assert trapping.main is not None
    async with asyncio.timeout(5):
        assert await trapping.main.wait() == 7
    assert world.exits["two"] == 7


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 40 + "!"),
        ("(a|aa)*c", "a" * 60),
        ("(.*)*x", "y" * 60),
        ("a*a*a*a*a*a*b", "a" * 400),
        ("(x?){30}x{30}", "x" * 30),
    ],
)
async def test_no_expression_hangs(pattern: str, text: str) -> None:
    began = time.monotonic()
    regex.compile_(pattern, extended=True).test(text)
    regex.compile_(pattern, extended=True).search(text)
    assert time.monotonic() - began < 2


def test_the_longest_alternative_is_taken() -> None:
    found = regex.compile_("foo|foobar", extended=True).search("a foobar")
    assert found is not None and (found.start, found.end) == (2, 8)


_PIECES = st.sampled_from(
    [*"|&;<>(){}[]$`\\\"'!#=*?~ \n\t", "if", "then", "fi", "while", "do", "done", "case", "in", "esac", "for", "((",
     "))", "[[",
     "]]", "${", "$(", "<<E\n", "E\n", "&&", "||", ";;", "x", "y=1", "$x", "1", "2>&1", "function", "${x:-", "${x/",
     "$((", "\\\n",
     "time", "é", "\0", "a b"]
)  # fmt: skip


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_the_parser_accepts_or_refuses(text: str) -> None:
    try:
        parse(text)
    except ShellSyntaxError as error:
        assert error.line >= 1


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.lists(_PIECES.filter(lambda p: p not in ("<", ">")), max_size=25).map("".join))
def test_whatever_is_run_ends_or_can_be_ended(text: str) -> None:
    async def scenario() -> None:
        world = World()
        try:
            box = world.pod("box", command=["sleep", "100"])
            running = asyncio.ensure_future(sh(box, text))
            await asyncio.wait((running,), timeout=0.2)
            box.kill_all(9)
            async with asyncio.timeout(5):
                outcome = await running
            assert 0 <= outcome.code <= 255
            assert "internal error of the sandbox" not in outcome.err
        finally:
            world.close()

    asyncio.run(scenario())


@settings(max_examples=300, deadline=2000)
@given(st.text(alphabet="01239+-*/%<>=!&|^~?:(),xy #", max_size=30))
def test_arithmetic_gives_a_number_or_refuses(text: str) -> None:
    values: dict[str, str] = {"x": "3", "y": "x"}
    try:
        result = evaluate(text, lambda name: values.get(name, ""), values.__setitem__)
    except ArithmeticFault:
        return
    assert -(1 << 63) <= result < 1 << 63


@settings(max_examples=300, deadline=2000)
@given(st.text(alphabet="abc.*+?()[]{}|^$\\0123,-", max_size=20), st.text(alphabet="abc01", max_size=20))
def test_expressions_match_or_are_refused(pattern: str, text: str) -> None:
    for extended in (False, True):
        try:
            compiled = regex.compile_(pattern, extended=extended)
            found = compiled.search(text)
            assert (found is not None) == compiled.test(text)
            list(compiled.finditer(text))
        except regex.RegexFault:
            continue


@settings(max_examples=200, deadline=2000)
@given(st.text(alphabet="s/ab&\\1;{}!pdgnN$0123,qy:ta\n", max_size=25))
def test_sed_scripts_are_parsed_or_refused(text: str) -> None:
    try:
        Script(text)
    except SedFault:
        return


@settings(max_examples=200, deadline=2000)
@given(st.lists(st.sampled_from([*"{}()[];,+-*/%<>=!~$?:|\n\"", "print", "if", "for", "in", "x", "1", "/a/", "BEGIN",
                                 "getline",
                                 "while", "function f(a)", "length", "substr"]),
                                 max_size=25).map(" ".join))  # fmt: skip
def test_awk_programs_are_parsed_or_refused(text: str) -> None:
    try:
        AwkParser(text)
    except AwkFault:
        return


@settings(max_examples=200, deadline=2000)
@given(st.lists(st.sampled_from([*".[]{}()|,:?", ".a", "map", "select", "keys", '"x"', "1", "==", "length", "if",
                                 "then", "end"]),
                max_size=20).map(" ".join))  # fmt: skip
def test_jq_answers_or_refuses(text: str) -> None:
    try:
        list(jq(text, '{"a":[1,{"x":null}],"x":"s"}'))
    except JqFault as error:
        assert error.status in (2, 3, 5)


async def test_a_thousand_machines_are_cheap(world: World) -> None:
    import tracemalloc

    world.pod("first", "nginx")
    await asyncio.sleep(0.01)
    tracemalloc.start()
    for number in range(200):
        world.pod(f"p{number}", "nginx")
    await asyncio.sleep(0.1)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 200 < 60_000
    assert not any(m.network.servers for m in world.runtime.pods.values()), "sockets are bound when somebody connects"


async def test_exec_of_a_missing_program_is_told(box: ContainerMachine) -> None:
    with pytest.raises(FileNotFoundError):
        await run(box, "nosuch")
