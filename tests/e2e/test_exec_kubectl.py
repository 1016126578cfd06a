"""What runs in pods, by the real kubectl: exec, logs, cp, port-forward, run, attach, debug."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from labrunner.sandbox.instance import Sandbox


class _Kubectl:
    def __init__(self, env: dict[str, str]) -> None:
        self.env = env

    def __call__(self, *words: str, stdin: str = "", code: int | None = 0, seconds: float = 30) -> str:
        """stdout (and stderr when a failure is expected)."""
        done = subprocess.run(
            ["kubectl", *words], env=self.env, input=stdin, capture_output=True, text=True, timeout=seconds
        )
        if code is not None:
            assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def spawn(self, *words: str) -> pexpect.spawn[str]:
        return pexpect.spawn("kubectl", list(words), env=self.env, encoding="utf-8", timeout=20, dimensions=(24, 120))


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Kubectl]:
    """A sandbox with an nginx deployment behind `web`, a busybox and a debian pod."""
    sandbox = Sandbox("exec", tmp_path_factory.mktemp("sandbox") / "exec")
    sandbox.start(owned=True, instant=True)
    try:
        found = _Kubectl({**os.environ, **sandbox.environment()})
        found("create", "deployment", "web", "--image=nginx")
        found("expose", "deployment", "web", "--port=80")
        found("run", "box", "--image=busybox", "--", "sleep", "infinity")
        found("run", "deb", "--image=debian", "--", "sleep", "infinity")
        loop = "trap 'echo ending; exit 0' TERM; i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.1; done"
        found("run", "ticker", "--image=busybox", "--command", "--", "sh", "-c", loop)
        found("rollout", "status", "deployment/web", "--timeout=20s")
        found("wait", "--for=condition=Ready", "pod/box", "pod/deb", "pod/ticker", "--timeout=20s")
        yield found
    finally:
        sandbox.stop()


def test_exec_gives_output_and_exit_code(kubectl: _Kubectl) -> None:
    assert kubectl("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3) == (
        "out\nerr\ncommand terminated with exit code 3\n"
    )
    assert kubectl("exec", "-i", "box", "--", "cat", stdin="typed\n") == "typed\n"
    assert "not found in $PATH" in kubectl("exec", "box", "--", "nosuch", code=1)
    assert kubectl("exec", "box", "--", "sh", "-c", "nosuch", code=127).startswith("sh: nosuch: not found\n")


def test_exec_refuses_in_the_servers_words(kubectl: _Kubectl) -> None:
    assert 'pods "none" not found' in kubectl("exec", "none", "--", "ls", code=1)
    kubectl("run", "unready", "--image=no.such.registry/x:1")
    kubectl(
        "wait", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}", "pod/unready", "--timeout=10s"
    )
    said = kubectl("exec", "unready", "--", "ls", code=1)
    assert 'container not found ("unready")' in said
    assert "is waiting to start: trying and failing to pull image" in kubectl("logs", "unready", code=1)
    kubectl("run", "over", "--image=busybox", "--restart=Never", "--", "true")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/over", "--timeout=10s")
    assert "cannot exec into a container in a completed pod; current phase is Succeeded" in kubectl(
        "exec", "over", "--", "ls", code=1
    )


def test_exec_over_spdy_for_who_may_only_create(kubectl: _Kubectl) -> None:
    """A Role of the documentation's kind: `create` on pods/exec; kubectl falls back from websockets."""
    kubectl("create", "serviceaccount", "runner")
    kubectl("create", "role", "exec", "--verb=get", "--resource=pods")
    kubectl("create", "role", "exec-create", "--verb=create", "--resource=pods/exec")
    for role in ("exec", "exec-create"):
        kubectl("create", "rolebinding", role, f"--role={role}", "--serviceaccount=default:runner")
    user = "--as=system:serviceaccount:default:runner"
    assert kubectl("exec", user, "box", "--", "echo", "fine") == "fine\n"
    assert kubectl("exec", user, "-i", "box", "--", "sh", stdin="echo in; exit 4\n", code=4).startswith("in\n")


def test_a_terminal_session(kubectl: _Kubectl) -> None:
    shell = kubectl.spawn("exec", "-it", "deb", "--", "bash")
    shell.expect_exact("root@deb:/# ")
    shell.sendline("tty && echo $((6*7))")
    shell.expect_exact("/dev/pts/0\r\n42\r\n")
    shell.expect_exact("root@deb:/# ")
    shell.sendline("sleep 100")
    shell.expect_exact("sleep 100\r\n")
    shell.sendcontrol("c")
    shell.expect_exact("root@deb:/# ")
    shell.sendline("echo rc=$?")
    shell.expect_exact("rc=130\r\n")
    shell.expect_exact("root@deb:/# ")
    shell.send("echo abX\x7fc\r")
    shell.expect_exact("\nabc\r\n")
    shell.expect_exact("root@deb:/# ")
    shell.send("\x1b[A\r")
    shell.expect_exact("\nabc\r\n")
    shell.expect_exact("root@deb:/# ")
    shell.sendline("cat")
    shell.sendline("line")
    shell.expect_exact("line\r\nline\r\n")
    shell.sendeof()
    shell.expect_exact("root@deb:/# ")
    shell.sendline("exit 5")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 5


def test_a_terminal_knows_its_size_and_its_changes(kubectl: _Kubectl) -> None:
    shell = kubectl.spawn("exec", "-it", "box", "--", "sh")
    shell.expect_exact("/ # ")
    shell.sendline("stty size")
    shell.expect_exact("\r\n24 120\r\n")
    shell.setwinsize(33, 101)
    shell.expect_exact("/ # ")

    def told() -> bool:
        shell.sendline("stty size")
        return shell.expect_exact(["\r\n33 101\r\n", "\r\n24 120\r\n"]) == 0

    _until(told)
    shell.sendline("exit 7")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 7


def test_deployments_and_services_stand_for_their_pods(kubectl: _Kubectl) -> None:
    name = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    assert kubectl("exec", "deploy/web", "--", "hostname") == f"{name}\n"
    assert kubectl("exec", "svc/web", "--", "hostname") == f"{name}\n"
    assert "container nope is not valid for pod box out of: box" in kubectl(
        "exec", "box", "-c", "nope", "--", "ls", code=1
    )
    assert "start worker processes" in kubectl("logs", "svc/web")


def test_what_a_client_leaves_behind_is_ended(kubectl: _Kubectl) -> None:
    process = subprocess.Popen(["kubectl", "exec", "box", "--", "sleep", "987"], env=kubectl.env)
    _until(lambda: "sleep 987" in kubectl("exec", "box", "--", "ps"))
    process.kill()
    process.wait()
    _until(lambda: "sleep 987" not in kubectl("exec", "box", "--", "ps"))


def test_logs(kubectl: _Kubectl) -> None:
    following = subprocess.Popen(
        ["kubectl", "logs", "-f", "ticker", "--tail=1"], env=kubectl.env, stdout=subprocess.PIPE, text=True
    )
    assert following.stdout is not None
    first, second = following.stdout.readline(), following.stdout.readline()
    following.kill()
    following.wait()
    assert int(second.split()[1]) == int(first.split()[1]) + 1
    stamped = kubectl("logs", "ticker", "--timestamps", "--tail=2").splitlines()
    assert len(stamped) == 2 and stamped[0][10] == "T" and " tick " in stamped[0]
    assert kubectl("logs", "ticker", "--since=1h").startswith("tick 0\n")
    assert 'previous terminated container "ticker" in pod "ticker" not found' in kubectl("logs", "-p", "ticker", code=1)
    kubectl("run", "crash", "--image=busybox", "--", "sh", "-c", "echo run $(cat /proc/uptime | wc -l); exit 1")
    _until(
        lambda: (
            kubectl("get", "pod", "crash", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
            not in ("", "0")
        )
    )
    assert kubectl("logs", "crash", "--previous") == "run 1\n"
    kubectl("exec", "deb", "--", "bash", "-c", "exec 3<>/dev/null; true")
    lines = kubectl("logs", "-l", "run in (box,ticker)", "--prefix", "--tail=1").splitlines()
    assert any(line.startswith("[pod/ticker/ticker] tick") for line in lines)


def test_the_servers_access_log(kubectl: _Kubectl) -> None:
    kubectl("exec", "box", "--", "wget", "-qO-", "http://web/?from=log")
    assert '"GET /?from=log HTTP/1.1" 200 615' in kubectl("logs", "deployment/web")


def test_cp_both_ways(kubectl: _Kubectl, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    data = os.urandom(300_000)
    (tmp_path / "tree" / "big").write_bytes(data)
    (tmp_path / "tree" / "sub" / "x").write_text("x")
    kubectl("cp", str(tmp_path / "tree"), "box:/tmp/")
    assert kubectl("exec", "box", "--", "sh", "-c", "cat /tmp/tree/sub/x; wc -c < /tmp/tree/big") == "x300000\n"
    kubectl("cp", "box:/tmp/tree", str(tmp_path / "back"))
    assert (tmp_path / "back" / "big").read_bytes() == data


def test_port_forward(kubectl: _Kubectl) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    forwarding = subprocess.Popen(
        ["kubectl", "port-forward", "service/web", f"{port}:80"], env=kubectl.env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert forwarding.stdout is not None and "Forwarding from" in forwarding.stdout.readline()
        for _ in range(5):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert b"Welcome to nginx!" in answer.read()
    finally:
        forwarding.kill()
        forwarding.wait()


def test_run_shows_its_output_once_and_returns_its_status(kubectl: _Kubectl) -> None:
    said = kubectl(
        "run", "once", "--image=busybox", "--rm", "-i", "--restart=Never", "--", "sh", "-c", "echo one; exit 3", code=3
    )
    assert said.count("one\n") == 1
    shell = kubectl.spawn("run", "-it", "--rm", "tool", "--image=busybox", "--restart=Never", "--", "sh")
    shell.expect_exact("/ # ")
    shell.sendline("wget -qO- http://web | grep -c nginx.org; exit 4")
    shell.expect_exact("1\r\n")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 4


def test_debug_sees_the_processes_of_its_target(kubectl: _Kubectl) -> None:
    shell = kubectl.spawn("debug", "-it", "deb", "--image=busybox", "--target=deb", "--profile=general")
    shell.expect_exact("/ # ")
    shell.sendline("ps")
    shell.expect("1 root +[0-9:]+ sleep infinity")
    shell.sendline("cat /proc/1/root/etc/debian_version")
    shell.expect_exact("12.11\r\n")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_volumes_environment_and_token(kubectl: _Kubectl) -> None:
    kubectl("create", "configmap", "conf", "--from-literal=key=first")
    kubectl("create", "secret", "generic", "pass", "--from-literal=word=s3cret")
    kubectl("apply", "-f", "-", stdin=_MOUNTING)
    kubectl("wait", "--for=condition=Ready", "pod/mounting", "--timeout=20s")
    read = ("exec", "mounting", "-c", "one", "--", "sh", "-c")
    assert kubectl(*read, "cat /conf/key /secret/word; echo; echo $WORD $POD_IP $KEY").split() == [
        "firsts3cret", "s3cret", kubectl("get", "pod", "mounting", "-o", "jsonpath={.status.podIP}"), "first",
    ]  # fmt: skip
    kubectl("patch", "configmap", "conf", "-p", '{"data":{"key":"second"}}')
    _until(lambda: kubectl(*read, "cat /conf/key") == "second")
    assert kubectl(*read, "cat /frozen") == "first"
    kubectl(*read, "echo shared > /work/file")
    assert kubectl("exec", "mounting", "-c", "two", "--", "cat", "/data/file") == "shared\n"
    assert "Read-only file system" in kubectl(*read, "echo x > /conf/key", code=1)
    token = "$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)"
    resources = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1"
    wget = f'wget -qO- --header "Authorization: Bearer {token}" {resources}'
    asked = kubectl(*read, f"{wget} | grep -c selfsubjectreviews")
    assert asked.strip() != "0"


def test_probes_are_really_made(kubectl: _Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=_PROBED)
    kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=20s")
    kubectl("exec", "probed", "--", "rm", "/tmp/ready")
    kubectl("wait", "--for=condition=Ready=false", "pod/probed", "--timeout=20s")
    assert "can't open '/tmp/ready': No such file or directory" in kubectl("describe", "pod", "probed")
    kubectl("exec", "probed", "--", "touch", "/tmp/ready")
    kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=20s")
    kubectl("run", "badprobe", "--image=nginx", "--overrides", _BAD_PROBE)

    def said() -> str:
        return kubectl("describe", "pod", "badprobe")

    _until(
        lambda: (
            "Readiness probe failed: HTTP probe failed with statuscode: 404" in kubectl("describe", "pod", "badprobe")
        )
    )


def test_how_a_container_ended(kubectl: _Kubectl) -> None:
    kubectl(
        "run", "told", "--image=busybox", "--restart=Never", "--", "sh", "-c", "echo why > /dev/termination-log; exit 2"
    )
    kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/told", "--timeout=20s")
    at = ".status.containerStatuses[0].state.terminated"
    ended = f"jsonpath={{{at}.exitCode}} {{{at}.message}}"
    assert kubectl("get", "pod", "told", "-o", ended).strip() == "2 why"


def test_pods_run_again_after_the_sandbox_was_killed(kubectl: _Kubectl, tmp_path: Path) -> None:
    sandbox = Sandbox("again", tmp_path / "again")
    sandbox.start(owned=True, instant=True)
    try:
        again = _Kubectl({**os.environ, **sandbox.environment()})
        again("run", "box", "--image=busybox", "--", "sh", "-c", "echo begun; sleep infinity")
        again("wait", "--for=condition=Ready", "pod/box", "--timeout=20s")
        os.kill(int(sandbox.status().pid or 0), 9)
        sandbox.start(owned=True, instant=True)
        _until(lambda: again("exec", "box", "--", "hostname", code=None) == "box\n")
        assert again("get", "pod", "box", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"
        assert again("logs", "box") == "begun\n"
    finally:
        sandbox.stop()


def _until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


_MOUNTING = """
apiVersion: v1
kind: Pod
metadata: {name: mounting}
spec:
  volumes:
  - {name: conf, configMap: {name: conf}}
  - {name: pass, secret: {secretName: pass}}
  - {name: work, emptyDir: {}}
  containers:
  - name: one
    image: busybox
    command: [sleep, infinity]
    env:
    - {name: WORD, valueFrom: {secretKeyRef: {name: pass, key: word}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: KEY, valueFrom: {configMapKeyRef: {name: conf, key: key}}}
    volumeMounts:
    - {name: conf, mountPath: /conf}
    - {name: conf, mountPath: /frozen, subPath: key}
    - {name: pass, mountPath: /secret}
    - {name: work, mountPath: /work}
  - name: two
    image: busybox
    command: [sleep, infinity]
    volumeMounts:
    - {name: work, mountPath: /data}
"""
_PROBED = """
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  containers:
  - name: c
    image: busybox
    command: [sh, -c, "touch /tmp/ready; sleep infinity"]
    readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
"""
_BAD_PROBE = (
    '{"spec":{"containers":[{"name":"badprobe","image":"nginx","readinessProbe":{"httpGet":{"path":"/none","port":80},'
    '"periodSeconds":1}}]}}'
)


def test_debugging_ends_for_the_client_when_its_input_does(kubectl: _Kubectl) -> None:
    """Without `stdinOnce` containerd lets the client go; the container goes on."""
    said = kubectl(
        "debug", "-i", "deb", "--image=busybox", "--target=deb", "-c", "looks", "--profile=general",
        stdin="cat /proc/1/root/etc/hostname\n",
    )  # fmt: skip
    assert said.endswith("\ndeb\n")
    at = '{.status.ephemeralContainerStatuses[?(@.name=="looks")]'
    assert kubectl("get", "pod", "deb", "-o", f"jsonpath={at}.state.running.startedAt}}") != ""
    refused = kubectl("debug", "deb", "--image=busybox", "--target=nope", code=1)
    assert '].targetContainerName: Not found: "nope"' in refused


def test_a_nodes_files_are_seen_by_its_debugging_pod(kubectl: _Kubectl) -> None:
    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    said = kubectl(
        "debug", "-i", "-q", f"node/{node}", "--image=busybox", stdin="cat /host/etc/hostname; hostname\nexit\n"
    )
    assert said.endswith(f"{node}\n{node}\n")


def test_containers_that_share_their_processes(kubectl: _Kubectl) -> None:
    kubectl(
        "debug", "box", "--copy-to=shares", "--image=busybox", "--share-processes", "-c", "aside", "--", "sleep", "99"
    )
    kubectl("wait", "--for=condition=Ready", "pod/shares", "--timeout=20s")
    shown = kubectl("exec", "shares", "-c", "aside", "--", "ps")
    assert [line.split(maxsplit=3)[3] for line in shown.splitlines()[1:]] == [
        "/pause",
        "sleep infinity",
        "sleep 99",
        "ps",
    ]
    assert (
        kubectl("exec", "shares", "-c", "aside", "--", "ls", "/proc/2/root/etc/hostname")
        == "/proc/2/root/etc/hostname\n"
    )


def test_hooks_run_and_one_that_fails_ends_the_container(kubectl: _Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=_HOOKED)
    kubectl("wait", "--for=condition=Ready", "pod/hooked", "--timeout=20s")
    _until(lambda: kubectl("exec", "hooked", "--", "cat", "/work/message", code=None) == "from postStart\n")
    _until(lambda: "FailedPostStartHook" in kubectl("get", "events", "--field-selector=involvedObject.name=badhook"))
    _until(lambda: "CrashLoopBackOff" in kubectl("get", "pod", "badhook"))
    kubectl("delete", "pod", "hooked")
    claimed = kubectl("run", "after", "--rm", "-i", "-q", "--image=busybox", "--restart=Never", "--overrides", _AFTER)
    assert "from preStop" in claimed


def test_the_first_process_cannot_be_killed_from_inside(kubectl: _Kubectl) -> None:
    kubectl("exec", "box", "--", "kill", "-9", "1")
    kubectl("exec", "box", "--", "sh", "-c", "kill -9 1; kill 1; killall -9 sleep")
    assert kubectl("get", "pod", "box", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"


def test_cp_of_names_with_spaces_and_what_it_cannot(kubectl: _Kubectl, tmp_path: Path) -> None:
    (tmp_path / "a dir").mkdir()
    (tmp_path / "a dir" / "b c.txt").write_text("spaced")
    kubectl("cp", str(tmp_path / "a dir"), "box:/tmp/")
    kubectl("cp", "box:/tmp/a dir/b c.txt", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "spaced"
    assert "can't change directory to '/nodir'" in kubectl("cp", str(tmp_path / "back"), "box:/nodir/x", code=1)
    kubectl("run", "bare", "--image=registry.k8s.io/pause:3.10")
    kubectl("wait", "--for=condition=Ready", "pod/bare", "--timeout=20s")
    said = kubectl("cp", str(tmp_path / "back"), "bare:/x", code=1)
    assert 'exec: "tar": executable file not found in $PATH' in said


def test_a_port_that_nobody_listens_on(kubectl: _Kubectl) -> None:
    forwarding = subprocess.Popen(
        ["kubectl", "port-forward", "pod/box", ":9999"], env=kubectl.env, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert forwarding.stdout is not None
        port = int(forwarding.stdout.readline().split(":")[1].split()[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            assert connection.recv(10) == b""
        _, said = forwarding.communicate(timeout=20)
    finally:
        forwarding.kill()
        forwarding.wait()
    assert "dial tcp4 127.0.0.1:9999: connect: connection refused" in said
    assert "error: lost connection to pod" in said


def test_many_connections_share_one_port_forward(kubectl: _Kubectl) -> None:
    import http.client
    from concurrent.futures import ThreadPoolExecutor

    forwarding = subprocess.Popen(
        ["kubectl", "port-forward", "deployment/web", ":80"], env=kubectl.env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert forwarding.stdout is not None
        port = int(forwarding.stdout.readline().split(":")[1].split()[0])

        def ask(number: int) -> list[int]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            statuses = []
            for path in ("/", f"/none-{number}", "/"):  # on one connection, kept alive
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
            connection.close()
            return statuses

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(16))) == [[200, 404, 200]] * 16
    finally:
        forwarding.send_signal(2)
        assert forwarding.wait(timeout=20) == 0


_HOOKED = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 5
  volumes: [{name: work, persistentVolumeClaim: {claimName: kept}}]
  containers:
  - name: c
    image: busybox
    command: [sleep, infinity]
    volumeMounts: [{name: work, mountPath: /work}]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo from postStart > /work/message"]}}
      preStop: {exec: {command: [sh, -c, "echo from preStop > /work/message"]}}
---
apiVersion: v1
kind: Pod
metadata: {name: badhook}
spec:
  containers:
  - name: c
    image: busybox
    command: [sleep, infinity]
    lifecycle: {postStart: {exec: {command: [nosuch]}}}
"""
_AFTER = (
    '{"spec":{"volumes":[{"name":"w","persistentVolumeClaim":{"claimName":"kept"}}],"containers":[{"name":"after",'
    '"image":"busybox","stdin":true,"stdinOnce":true,"command":["cat","/w/message"],'
    '"volumeMounts":[{"name":"w","mountPath":"/w"}]}]}}'
)
