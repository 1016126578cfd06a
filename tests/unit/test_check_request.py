"""Requests that checks send: what is run, and what is made of curl's answer."""

from __future__ import annotations

import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from check_world import context

from labrunner.check.http_probe import Request, perform
from labrunner.check.kind import CheckContext
from labrunner.check.request import RequestKind
from labrunner.errors import EnvironmentFault

END = "\n#labrunner-time:0.25\n#labrunner-exit:{}\n"
HOPS = """{"hops": [{"proxy": "c.shop", "workload": "client.shop", "direction": "outbound", "client": "10.0.0.1:1",
 "server": "spiffe://cluster.local/ns/shop/sa/web", "tls": "mTLS", "verdict": "answered", "why": "", "policy": "",
 "kind": "sidecar", "depth": 0, "agrees": true}, {"proxy": "w.shop", "workload": "web.shop", "direction": "inbound",
 "server": "", "client": "spiffe://cluster.local/ns/shop/sa/client", "tls": "mTLS TLSv1.3", "verdict": "denied",
 "why": "denied by shop/no-client rules[0] (DENY)", "policy": "shop/no-client rules[0]", "kind": "sidecar", "depth": 0,
 "agrees": true}], "why": ""}"""


def world(directory: Path, answer: str, hops: str = HOPS) -> CheckContext:
    """A kubectl that answers `exec` with a text and the mesh's questions with hops."""
    (directory / "answer").write_text(answer)
    (directory / "hops").write_text(hops)
    kubectl = directory / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > asked\ncase "$*" in\n*mesh/way*) cat hops;;\n'
        '*mesh/status*) echo \'{"problem": ""}\';;\n*) cat answer;;\nesac\n'
    )
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    return context(directory, environment={"PATH": "bin:/usr/bin:/bin"})


def reasons(directory: Path, answer: str, **params: Any) -> list[str]:
    asked = {"from": "deploy/client", "namespace": "shop", "url": "http://web/", **params}
    assert RequestKind().lint(asked) == []
    return [f.reason for f in RequestKind().evaluate(asked, world(directory, answer))]


OK = "HTTP/1.1 200 OK\r\nX-Version: v1\r\n\r\nhello v1\n" + END.format(0)
REFUSED = "HTTP/1.1 403 Forbidden\r\n\r\nRBAC: access denied" + END.format(0)


def test_status_body_headers_and_time_are_judged(tmp_path: Path) -> None:
    wanted = {"status": 200, "body": "hello v1", "responseHeaders": {"x-version": "v1"}, "within": 1}
    assert reasons(tmp_path, OK, **wanted) == []


def test_each_difference_has_its_reason(tmp_path: Path) -> None:
    wanted = {"status": 404, "body": "other", "responseHeaders": {"x-version": "v2"}, "within": 0.1}
    assert reasons(tmp_path, OK, **wanted) == ["status", "body", "header", "slow"]


def test_a_reset_connection_is_another_exit_code_with_curls_words(tmp_path: Path) -> None:
    answer = "curl: (56) Recv failure: Connection reset by peer\n" + END.format(56)
    params = {"from": "deploy/client", "url": "http://web/", "status": 200}
    (found,) = RequestKind().evaluate(params, world(tmp_path, answer))
    assert found.reason == "exit"
    assert "curl: (56)" in found.observed


def test_an_expected_exit_code_passes(tmp_path: Path) -> None:
    assert reasons(tmp_path, "curl: (56) reset\n" + END.format(56), exit={"$in": [35, 56]}) == []


def test_a_refusal_is_explained_by_the_mesh(tmp_path: Path) -> None:
    params = {"from": "deploy/client", "url": "http://web/", "status": 200}
    (found,) = RequestKind().evaluate(params, world(tmp_path, REFUSED))
    assert "denied by shop/no-client rules[0] (DENY)" in found.message


def test_the_policy_the_identities_and_mutual_tls_are_the_meshs_word(tmp_path: Path) -> None:
    wanted = {
        "deniedBy": "shop/no-client",
        "mtls": True,
        "client": {"$matches": "/sa/client$"},
        "server": "spiffe://cluster.local/ns/shop/sa/web",
    }
    assert reasons(tmp_path, REFUSED, status=403, **wanted) == []


def test_another_policy_plaintext_and_another_identity_are_findings(tmp_path: Path) -> None:
    wanted = {"deniedBy": "shop/other", "mtls": False, "client": "spiffe://nobody"}
    assert reasons(tmp_path, REFUSED, status=403, **wanted) == ["not-denied", "encrypted", "identity"]


def test_what_the_mesh_should_say_is_no_pass_where_no_mesh_answers(tmp_path: Path) -> None:
    seen = world(tmp_path, REFUSED)
    (tmp_path / "bin" / "kubectl").write_text('#!/bin/sh\n[ "$1" = exec ] && cat answer || exit 1\n')
    with pytest.raises(EnvironmentFault, match="mesh cannot be asked"):
        RequestKind().evaluate({"from": "deploy/client", "url": "http://web/", "mtls": True}, seen)


def test_shares_are_counted_over_all_answers(tmp_path: Path) -> None:
    answers = (OK * 3) + OK.replace("hello v1", "hello v2")
    shares = [{"body": "v1", "percent": 75}, {"body": "v2", "percent": {"$gte": 50}}]
    assert reasons(tmp_path, answers, times=4, shares=shares) == ["share"]


def test_a_caller_that_is_not_there_is_an_error_of_the_environment(tmp_path: Path) -> None:
    seen = world(tmp_path, "")
    (tmp_path / "bin" / "kubectl").write_text('#!/bin/sh\necho "Error from server (NotFound): pods" >&2; exit 1\n')
    with pytest.raises(EnvironmentFault, match="NotFound"):
        perform(Request("http://web/", "nobody"), seen.cwd, seen.environment)


def test_awkward_values_reach_curl_as_they_are() -> None:
    request = Request("http://web/a b?c='d'", headers={"x-a": "$(id)"}, data="a'b", method="PUT")
    words = shlex.split(request.command("id-1"))
    assert words[-1] == "http://web/a b?c='d'"
    assert "x-a: $(id)" in words
    assert "x-request-id: id-1" in words


def test_two_hundred_requests_fit_in_one_shell_and_each_has_an_id_of_its_own() -> None:
    script = Request("http://web/?a='b'", headers={"x-a": "it's"}).looped("11111111-2222-4333-8444-", 200)
    assert len(script) < 1000
    fake = "curl() { printf '<%s>' \"$@\"; echo; }; "
    done = subprocess.run(["sh", "-c", fake + script], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("<")]
    assert len(lines) == 200
    assert "<x-request-id: 11111111-2222-4333-8444-000000000000>" in lines[0]
    assert "<x-labrunner-trace: 11111111-2222-4333-8444-000000000199>" in lines[199]
    assert "<x-a: it's><" in lines[7].replace(">\n", ">")
    assert "<http://web/?a='b'>" in lines[7]


def test_an_id_that_the_lab_gives_is_the_one_that_is_asked_about(tmp_path: Path) -> None:
    seen = world(tmp_path, OK)
    request = Request("http://web/", "deploy/client", headers={"X-Request-Id": "mine"})
    (answer,) = perform(request, seen.cwd, seen.environment)
    assert answer.request_id == "mine"
    assert "x-request-id: " not in request.command("other").replace("X-Request-Id", "")


def test_a_policy_whose_name_only_begins_alike_is_another(tmp_path: Path) -> None:
    assert reasons(tmp_path, REFUSED, status=403, deniedBy="shop/no-cli") == ["not-denied"]
