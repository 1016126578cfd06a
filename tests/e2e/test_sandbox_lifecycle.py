"""A sandbox starts, stops, survives and is refused as promised; each test has a sandbox of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labrunner.cli import run
from labrunner.errors import EnvironmentFault, ExitCode, UsageError
from labrunner.sandbox.instance import Sandbox, sandboxes


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox("test", tmp_path / "sandbox")
    yield made
    made.stop()


def kubectl(sandbox: Sandbox, *args: str, stdin: str = "", ok: bool = True) -> str:
    environment = {**os.environ, **sandbox.environment()}
    done = subprocess.run(["kubectl", *args], env=environment, input=stdin, text=True, capture_output=True, check=False)
    assert not ok or done.returncode == 0, done.stderr
    return done.stdout if ok else done.stderr


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_start_answers_kubectl_and_stop_leaves_no_process(sandbox: Sandbox) -> None:
    assert sandbox.start() is True
    assert sandbox.start() is False, "it already runs"
    found = kubectl(sandbox, "get", "ns", "-o", "name").split()
    assert {"namespace/default", "namespace/kube-node-lease", "namespace/kube-public", "namespace/kube-system"} <= {
        *found
    }
    status = sandbox.status()
    assert (status.health, status.version) == ("running", "v1.36.2") and status.objects and status.uptime > 0
    assert status.pid is not None and alive(status.pid)
    began = time.monotonic()
    assert sandbox.stop() is True
    assert time.monotonic() - began < 1.5
    assert not alive(status.pid)
    assert sandbox.status().health == "stopped"
    assert sandbox.stop() is False


def test_state_port_and_kubeconfig_stay_over_a_restart(sandbox: Sandbox) -> None:
    sandbox.start()
    server = sandbox.status().server
    kubectl(sandbox, "create", "configmap", "kept", "--from-literal=a=b")
    kubectl(sandbox, "config", "set-context", "--current", "--namespace=kube-public")
    sandbox.stop()
    sandbox.start()
    assert sandbox.status().server == server
    assert kubectl(sandbox, "get", "cm", "kept", "-n", "default", "-o", "jsonpath={.data.a}") == "b"
    assert "kube-public" in kubectl(sandbox, "config", "view", "--minify")


def test_another_port_is_taken_when_the_last_one_is_in_use(sandbox: Sandbox) -> None:
    sandbox.start()
    port = int(sandbox.status().server.rpartition(":")[2])
    sandbox.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        sandbox.start()
        assert not sandbox.status().server.endswith(f":{port}")
        kubectl(sandbox, "get", "ns")


def test_nothing_acknowledged_is_lost_by_kill_9(sandbox: Sandbox) -> None:
    sandbox.start()
    for i in range(10):
        kubectl(sandbox, "create", "configmap", f"c{i}")
        if i % 3 == 0:
            pid = sandbox.status().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: not alive(pid))  # type: ignore[misc]
            assert sandbox.status().health == "stopped", "a stale pid is no running sandbox"
            assert sandbox.start() is True
    assert len(kubectl(sandbox, "get", "cm", "-o", "name").split()) >= 10


def test_secrets_are_readable_by_their_owner_only(sandbox: Sandbox) -> None:
    sandbox.start()
    for path in (sandbox.directory / "kubeconfig", *(sandbox.directory / "pki").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_an_owned_sandbox_ends_with_its_owner(tmp_path: Path) -> None:
    directory = tmp_path / "owned"
    script = (
        "import sys, time, pathlib\n"
        "from labrunner.sandbox.instance import Sandbox\n"
        "sandbox = Sandbox('owned', pathlib.Path(sys.argv[1]))\n"
        "sandbox.start(owned=True)\n"
        "print(sandbox.status().pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert alive(pid)
    owner.kill()
    owner.wait()
    eventually(lambda: not alive(pid))
    assert Sandbox("owned", directory).status().health == "stopped"


def test_two_starts_at_once_make_one_sandbox(sandbox: Sandbox) -> None:
    results: list[bool] = []
    others = [Sandbox("test", sandbox.directory) for _ in range(4)]
    threads = [threading.Thread(target=lambda s=s: results.append(s.start())) for s in others]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]
    for other in others:
        other.stop()


def test_an_unhealthy_process_is_told_and_replaced(sandbox: Sandbox) -> None:
    sandbox.start()
    pid = sandbox.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert sandbox.status().health == "unhealthy"
    assert sandbox.start() is True
    assert not alive(pid)
    assert sandbox.status().health == "running"


def test_what_cannot_be_written_is_told_with_a_way_out(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(EnvironmentFault) as told:
        Sandbox("test", blocked / "sandbox").start()
    assert "cannot write" in told.value.message and "LABRUNNER_HOME" in told.value.hint


def test_a_start_that_fails_says_why(sandbox: Sandbox) -> None:
    sandbox.directory.mkdir()
    (sandbox.directory / "state").mkdir()
    (sandbox.directory / "state" / "journal.jsonl").mkdir()
    with pytest.raises(EnvironmentFault, match="cannot open the sandbox's journal"):
        sandbox.start()
    assert sandbox.status().health == "stopped"


def test_snapshots_keep_and_put_back_the_world(sandbox: Sandbox) -> None:
    sandbox.start(instant=True)
    kubectl(sandbox, "create", "configmap", "before")
    sandbox.snapshot_save("one")
    kubectl(sandbox, "create", "configmap", "after")
    kubectl(sandbox, "delete", "configmap", "before")
    sandbox.snapshot_restore("one")
    found = kubectl(sandbox, "get", "cm", "-o", "name")
    assert "configmap/before" in found and "configmap/after" not in found
    assert sandbox.snapshot_list() == ["one"]
    sandbox.snapshot_delete("one")
    assert sandbox.snapshot_list() == []
    for wrong in (sandbox.snapshot_restore, sandbox.snapshot_delete):
        with pytest.raises(UsageError, match="no snapshot"):
            wrong("one")
    with pytest.raises(UsageError, match="no name for a snapshot"):
        sandbox.snapshot_save("../evil")


def test_a_running_watch_ends_and_sees_the_restored_world(sandbox: Sandbox) -> None:
    sandbox.start(instant=True)
    kubectl(sandbox, "create", "configmap", "kept")
    sandbox.snapshot_save("one")
    kubectl(sandbox, "delete", "configmap", "kept")
    environment = {**os.environ, **sandbox.environment()}
    wait = subprocess.Popen(
        ["kubectl", "wait", "--for=create", "configmap/kept", "--timeout=20s"], env=environment, stdout=subprocess.PIPE
    )
    eventually(lambda: wait.poll() is None)
    sandbox.snapshot_restore("one")
    assert wait.wait(timeout=20) == 0


def test_names_that_cannot_be_are_refused() -> None:
    for name in ("", "../x", "A", "x" * 41, "-a"):
        with pytest.raises(UsageError):
            Sandbox(name)


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sandbox", "start", "--name", "cli", "--instant", "--json"]) == ExitCode.OK
    started = json.loads(capsys.readouterr().out)
    try:
        assert started["health"] == "running" and started["started"] is True
        assert [s.name for s in sandboxes()] == ["cli"]
        assert run(["sandbox", "status", "--name", "cli"]) == ExitCode.OK
        assert "cli: running" in capsys.readouterr().out
        assert run(["sandbox", "env", "--name", "cli"]) == ExitCode.OK
        exports = capsys.readouterr().out
        shown = subprocess.run(
            ["sh", "-c", f"{exports}\nkubectl get ns default -o name; echo $LABRUNNER_SANDBOX"],
            text=True, capture_output=True, check=True,
        )  # fmt: skip
        assert shown.stdout == "namespace/default\ncli\n"
        assert run(["sandbox", "env", "--name", "cli", "--shell", "fish"]) == ExitCode.OK
        assert "set -gx KUBECONFIG '" in capsys.readouterr().out
        assert run(["sandbox", "snapshot", "save", "s1", "--name", "cli"]) == ExitCode.OK
        assert run(["sandbox", "snapshot", "restore", "nope", "--name", "cli"]) == ExitCode.USAGE
        assert run(["sandbox", "snapshot", "save", "--name", "cli"]) == ExitCode.USAGE
        assert run(["sandbox", "exec", "--name", "cli"]) == ExitCode.USAGE
    finally:
        assert run(["sandbox", "stop", "--name", "cli", "--delete"]) == ExitCode.OK
    assert sandboxes() == []


def test_exec_becomes_the_command(sandbox: Sandbox) -> None:
    command = ["sandbox", "exec", "--name", "run", "--", "sh", "-c", "kubectl get ns -o name; exit 7"]
    done = subprocess.run([sys.executable, "-m", "labrunner", *command], text=True, capture_output=True, check=False)
    try:
        assert done.returncode == 7, done.stderr
        assert "namespace/default" in done.stdout
    finally:
        Sandbox("run").destroy()
