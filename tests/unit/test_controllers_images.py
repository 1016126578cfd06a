"""Which images exist, and what a command line does."""

from __future__ import annotations

import pytest

from labrunner.sandbox.kube.controllers.kubelet.script import plan
from labrunner.sandbox.workload import images


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("curlimages/curl:8.10.1", "docker.io/curlimages/curl:8.10.1"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("nginx@sha256:" + "0" * 64, "docker.io/library/nginx@sha256:" + "0" * 64),
    ],
)
def test_references_are_written_out(text: str, full: str) -> None:
    assert str(images.parse_reference(text)) == full


@pytest.mark.parametrize("text", ["Nginx", "nginx:", "nginx:a b", "", "-nginx", "a//b"])
def test_what_is_no_reference(text: str) -> None:
    assert images.parse_reference(text) is None


@pytest.mark.parametrize(
    ("text", "exists"),
    [
        ("nginx:1.27-alpine", True),
        ("nginx:stable-perl", True),
        ("nginx:1.99", False),
        ("nginx:doesnotexist", False),
        ("busybox:1.37", True),
        ("istio/examples-bookinfo-reviews-v2:1.20.3", True),
        ("curlimages/curl:latest", True),
        ("postgres:17-bookworm", True),
        ("redis:broken", False),
        ("company/app:v1", False),
    ],
)
def test_what_can_be_pulled(text: str, exists: bool) -> None:
    reference = images.parse_reference(text)
    assert reference is not None
    image = images.find(reference)
    assert (image is not None and images.has_tag(image, reference)) == exists


@pytest.mark.parametrize(
    ("argv", "code", "seconds"),
    [
        (["sleep", "30"], 0, 30),
        (["sleep", "infinity"], None, 0),
        (["sh", "-c", "sleep 1h"], 0, 3600),
        (["sh", "-c", "echo a; sleep 2; exit 5"], 5, 2),
        (["/bin/sh", "-ec", "while true; do date; sleep 5; done"], None, 0),
        (["sh", "-c", "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600"], 0, 630),
        (["sh", "-c", "tail -f /dev/null"], None, 0),
        (["sh", "-c", "echo 'exit 1; sleep 9'"], 0, 0),
        (["false"], 1, 0),
        (["nosuchprogram"], 128, 0),
        (["sleep", "soon"], 1, 0),
    ],
)
def test_what_a_command_does(argv: list[str], code: int | None, seconds: float) -> None:
    reference = images.parse_reference("busybox:1.37")
    assert reference is not None
    found = plan(argv, images.find(reference))
    assert (found.exit_code, found.seconds) == (code, seconds)
