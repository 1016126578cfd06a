"""What runs in pods, by the official Python client: exec channels, exit codes, logs, attach, port-forward, proxies."""

from __future__ import annotations

import gzip
import json
import select
import socket
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from labrunner.sandbox.instance import Sandbox

kubernetes = pytest.importorskip("kubernetes")

from kubernetes import client, config, watch  # type: ignore[import-untyped]  # noqa: E402
from kubernetes.client.rest import ApiException  # type: ignore[import-untyped]  # noqa: E402
from kubernetes.stream import portforward, stream  # type: ignore[import-untyped]  # noqa: E402
from kubernetes.stream.ws_client import ERROR_CHANNEL  # type: ignore[import-untyped]  # noqa: E402

pytestmark = pytest.mark.slow
SECONDS = 20


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    sandbox = Sandbox("streams", tmp_path_factory.mktemp("streams") / "sandbox")
    sandbox.start(owned=True, instant=True)
    configuration = client.Configuration()
    config.load_kube_config(sandbox.environment()["KUBECONFIG"], client_configuration=configuration)
    with client.ApiClient(configuration) as made:
        yield client.CoreV1Api(made)
    sandbox.stop()


@pytest.fixture(scope="module")
def box(core: Any) -> str:
    return _run(core, "busybox", command=["sh", "-c", "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.1; done"])


@pytest.fixture(scope="module")
def web(core: Any) -> str:
    return _run(core, "nginx")


def _run(core: Any, image: str, **container: Any) -> str:
    """Create a pod of one container, `c`, and wait until it is Ready."""
    name = f"p-{uuid.uuid4().hex[:10]}"
    spec = {"containers": [{"name": "c", "image": image, **container}]}
    core.create_namespaced_pod("default", {"metadata": {"name": name}, "spec": spec})
    events = watch.Watch().stream(
        core.list_namespaced_pod, "default", field_selector=f"metadata.name={name}", timeout_seconds=SECONDS
    )
    for event in events:
        if any(c.type == "Ready" and c.status == "True" for c in event["object"].status.conditions or ()):
            return name
    raise AssertionError(f"{name} never became Ready")


def _exec(core: Any, pod: str, *command: str, **options: Any) -> Any:
    chosen = {"stdout": True, "stderr": True, "stdin": False, "tty": False, **options}
    return stream(core.connect_get_namespaced_pod_exec, pod, "default", command=list(command), **chosen)


def test_output_is_text_or_bytes(core: Any, box: str) -> None:
    assert _exec(core, box, "sh", "-c", "echo out; echo more") == "out\nmore\n"
    packed = _exec(core, box, "sh", "-c", "printf test | gzip", binary=True, stderr=False)
    assert gzip.decompress(packed) == b"test"
    assert len(_exec(core, box, "uptime").splitlines()) == 1


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 3", 3), ("kill -9 $$", 137), ("nosuch", 127)])
def test_exit_codes(core: Any, box: str, command: str, code: int) -> None:
    running = _exec(core, box, "sh", "-c", f"sleep 0.1; {command}", _preload_content=False)
    assert running.returncode is None
    running.run_forever(timeout=SECONDS)
    assert running.returncode == code
    status = json.loads(running.read_channel(ERROR_CHANNEL) or "{}") or {"status": "Failure" if code else "Success"}
    assert status["status"] == ("Failure" if code else "Success")


@pytest.mark.parametrize("binary", [False, True])
def test_a_shell_answers_line_by_line(core: Any, box: str, binary: bool) -> None:
    def shown(text: str) -> str | bytes:
        return text.encode() if binary else text

    shell = _exec(core, box, "/bin/sh", stdin=True, binary=binary, _preload_content=False)
    shell.write_stdin(shown("echo one\n"))
    assert shell.readline_stdout(timeout=SECONDS) == shown("one")
    assert not shell.peek_stderr()
    shell.write_stdin(shown("echo two >&2\n"))
    assert shell.readline_stderr(timeout=SECONDS) == shown("two")
    assert not shell.peek_stdout()
    shell.write_stdin(shown("exit\n"))
    shell.update(timeout=SECONDS)
    said = shell.read_channel(ERROR_CHANNEL, timeout=SECONDS)
    assert json.loads(said)["status"] == "Success"
    shell.update(timeout=SECONDS)
    assert not shell.is_open()


def test_closing_standard_input_ends_who_reads_it(core: Any, box: str) -> None:
    reading = _exec(core, box, "cat", stdin=True, _preload_content=False)
    if getattr(reading, "subprotocol", "") != "v5.channel.k8s.io":
        pytest.skip("this client does not speak v5.channel.k8s.io")
    reading.write_stdin("typed\n")
    assert reading.readline_stdout(timeout=SECONDS) == "typed"
    reading.close_channel(0)
    reading.run_forever(timeout=SECONDS)
    assert (reading.is_open(), reading.returncode) == (False, 0)


def test_a_terminal_is_resized(core: Any, box: str) -> None:
    shell = _exec(core, box, "/bin/sh", stdin=True, tty=True, _preload_content=False)
    shell.write_channel(4, json.dumps({"Height": 33, "Width": 111}))
    shell.write_stdin("stty size; exit 6\n")
    shell.run_forever(timeout=SECONDS)
    assert "\r\n33 111\r\n" in shell.read_stdout()
    assert shell.returncode == 6


def test_what_cannot_be_started_and_who_is_not_there(core: Any, box: str) -> None:
    running = _exec(core, box, "nosuch", _preload_content=False)
    running.run_forever(timeout=SECONDS)
    status = json.loads(running.read_channel(ERROR_CHANNEL))
    assert (status["status"], status["code"]) == ("Failure", 500)
    assert "executable file not found in $PATH" in status["message"]
    with pytest.raises(ApiException) as missing:
        _exec(core, "nobody", "true")
    assert missing.value.status == 0 or "404" in str(missing.value)


def test_a_log_is_followed_by_a_watch(core: Any, box: str) -> None:
    seen = []
    following = watch.Watch()
    for line in following.stream(core.read_namespaced_pod_log, box, "default", follow=True):
        seen.append(line)
        if len(seen) == 5:
            following.stop()
    assert seen == [f"line {n}" for n in range(5)]
    tail = core.read_namespaced_pod_log(box, "default", tail_lines=2, timestamps=True).splitlines()
    assert len(tail) == 2 and all(" line " in line and line[10] == "T" for line in tail)


def test_attach_shows_what_comes(core: Any, box: str) -> None:
    attached = stream(
        core.connect_get_namespaced_pod_attach, box, "default", stdout=True, stderr=True, _preload_content=False
    )
    first = attached.readline_stdout(timeout=SECONDS)
    second = attached.readline_stdout(timeout=SECONDS)
    attached.close()
    assert int(second.split()[1]) == int(first.split()[1]) + 1


def test_ports_are_forwarded_on_one_connection(core: Any) -> None:
    pod = _run(core, "istio/tcp-echo-server:1.3", args=["9000,9001", "hello"])
    for turn in range(3):
        forwarded = portforward(core.connect_get_namespaced_pod_portforward, pod, "default", ports="9000,9001,9002")
        assert forwarded.connected
        first, second, nobody = (forwarded.socket(port) for port in (9000, 9001, 9002))
        for connection, text in ((first, f"a{turn}"), (second, f"b{turn}")):
            connection.setblocking(True)
            connection.sendall(f"{text}\n".encode())
        assert _read(first) == f"hello a{turn}\n".encode()
        assert _read(second) == f"hello b{turn}\n".encode()
        nobody.setblocking(True)
        assert nobody.recv(1024) == b""
        assert "connection refused" in forwarded.error(9002)
        assert forwarded.error(9000) is None and forwarded.error(9001) is None
        for connection in (first, second, nobody):
            connection.close()


def test_a_program_from_a_config_map_is_reached(core: Any) -> None:
    """A startup probe tells when it listens; each forwarded port has its own talk."""
    core.create_namespaced_config_map("default", {"metadata": {"name": "answering"}, "data": {"server.py": _ANSWERING}})
    name = f"p-{uuid.uuid4().hex[:10]}"
    container = {
        "name": "c",
        "image": "python",
        "command": ["python", "-u", "/opt/server.py", "1234", "1235"],
        "volumeMounts": [{"name": "program", "mountPath": "/opt", "readOnly": True}],
        "startupProbe": {"tcpSocket": {"port": 1235}, "periodSeconds": 1, "failureThreshold": 30},
    }
    volumes = [{"name": "program", "configMap": {"name": "answering"}}]
    spec = {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}
    core.create_namespaced_pod("default", {"metadata": {"name": name}, "spec": spec})
    events = watch.Watch().stream(
        core.list_namespaced_pod, "default", field_selector=f"metadata.name={name}", timeout_seconds=SECONDS
    )
    assert any((e["object"].status.container_statuses or [None])[0] and e["object"].status.container_statuses[0].ready
               for e in events)  # fmt: skip
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, name, "default", ports="1234,1235")
    for port in (1234, 1235):
        connection = forwarded.socket(port)
        connection.setblocking(True)
        connection.sendall(f"to {port}\n".encode())
        assert _read(connection) == f"TO {port}\n".encode()
        connection.close()


_ANSWERING = """
import socketserver, sys, threading, time

class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(1024)
            if not data:
                return
            self.request.sendall(data.upper())

for port in sys.argv[1:]:
    server = socketserver.ThreadingTCPServer(("0.0.0.0", int(port)), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
time.sleep(600)
"""


def _read(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([connection], [], [], SECONDS)
        assert ready, f"nothing but {data!r} came"
        piece = connection.recv(1024)
        assert piece, "closed too early"
        data += piece
    return data


def test_http_through_a_forwarded_port(core: Any, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(address: tuple[str, int], *_: Any, **__: Any) -> Any:
        return portforward(
            core.connect_get_namespaced_pod_portforward, web, "default", ports=str(address[1])
        ).socket(address[1])  # fmt: skip

    monkeypatch.setattr(socket, "create_connection", connect)
    with urllib.request.urlopen("http://somewhere/", timeout=SECONDS) as answer:
        assert answer.status == 200 and b"<h1>Welcome to nginx!</h1>" in answer.read()


def test_pods_and_services_through_the_api_server(core: Any, web: str) -> None:
    core.patch_namespaced_pod(web, "default", {"metadata": {"labels": {"app": web}}})
    core.create_namespaced_service(
        "default", {"metadata": {"name": web}, "spec": {"selector": {"app": web}, "ports": [{"port": 80}]}}
    )
    assert "Welcome to nginx!" in core.connect_get_namespaced_pod_proxy(web, "default")
    for _ in range(100):
        try:
            shown = core.connect_get_namespaced_service_proxy(web, "default")
            break
        except ApiException as error:
            assert error.status == 503
    assert "Welcome to nginx!" in shown
    with pytest.raises(ApiException) as missing:
        core.connect_get_namespaced_pod_proxy_with_path(web, "default", path="none")
    assert missing.value.status == 404
