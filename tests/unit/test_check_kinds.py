"""What kinds of check say of wrong, odd and hostile worlds."""

from __future__ import annotations

import base64
import importlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from check_world import FakeCluster, context

from labrunner.check.registry import kinds
from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault

GATEWAY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "apim-gateway", "namespace": "default", "labels": {"app": "gw"}},
    "spec": {"servers": [{"port": {"number": 443}, "tls": {"mode": "SIMPLE"}}]},
}
ABOUT = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway"}


def ask(kind: str, params: dict[str, Any], where: Any) -> list[Finding]:
    found = kinds()[kind].evaluate(params, where)
    known = importlib.import_module(f"labrunner.check.{kind}").REASONS
    assert {f.reason for f in found} <= set(known)
    return found


def reasons(found: list[Finding]) -> list[str]:
    return [f.reason for f in found]


# resource


def test_a_difference_names_the_object_and_the_field(tmp_path: Path) -> None:
    params = {**ABOUT, "name": "apim-gateway", "match": {"spec": {"servers": [{"port": {"number": 443},
              "tls": {"mode": "MUTUAL"}}]}}}  # fmt: skip
    [finding] = ask("resource", params, context(tmp_path, [GATEWAY]))
    assert finding.where == "Gateway default/apim-gateway: spec.servers[0].tls.mode"
    assert (finding.expected, finding.observed) == ("MUTUAL", "SIMPLE")
    assert "spec.servers[0].tls.mode is SIMPLE; it should be MUTUAL" in finding.message


def test_a_missing_object_is_looked_for_under_similar_names(tmp_path: Path) -> None:
    [finding] = ask("resource", {**ABOUT, "name": "apim-gatewy"}, context(tmp_path, [GATEWAY]))
    assert finding.reason == "missing"
    assert 'did you mean "apim-gateway"?' in finding.message
    [finding] = ask("resource", {**ABOUT, "name": "quite-other"}, context(tmp_path, [GATEWAY]))
    assert "apim-gateway" in finding.observed
    assert "did you mean" not in finding.message


def test_a_namespace_that_does_not_exist_is_said(tmp_path: Path) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    [finding] = ask("resource", {**ABOUT, "name": "a", "namespace": "shp"}, context(tmp_path, [space]))
    assert finding.reason == "missing"
    assert 'there is no namespace shp. Did you mean "shop"?' in finding.message
    [finding] = ask("resource", {**ABOUT, "name": "a", "namespace": "shop"}, context(tmp_path, [space]))
    assert "there is no Gateway in namespace shop" in finding.message


def test_who_may_not_list_other_namespaces_still_gets_an_answer(tmp_path: Path) -> None:
    class Narrow(FakeCluster):
        def list(self, *args: Any, **options: Any) -> Any:
            if options.get("all_namespaces"):
                raise EnvironmentFault("You may not read all namespaces (403).")
            return super().list(*args, **options)

    [finding] = ask("resource", {**ABOUT, "name": "apim"}, context(tmp_path, client=Narrow([GATEWAY])))
    assert finding.reason == "missing"
    assert "apim-gateway" in finding.observed


def test_a_kind_that_is_not_served_is_a_finding(tmp_path: Path) -> None:
    where = context(tmp_path, client=FakeCluster([], served={("v1", "Pod")}))
    [finding] = ask("resource", {**ABOUT, "name": "a"}, where)
    assert finding.reason == "unknown-kind"
    assert "CRD" in finding.message
    assert ask("absent", {**ABOUT, "name": "a"}, where) == []
    assert reasons(ask("condition", {**ABOUT, "name": "a", "type": "Ready"}, where)) == ["unknown-kind"]


@pytest.mark.parametrize(
    ("count", "number", "expected"),
    [
        (2, 2, []),
        (2, 1, ["count"]),
        (2, 3, ["count"]),
        (0, 0, []),
        (0, 1, ["count"]),
        ({"min": 1}, 0, ["count"]),
        ({"max": 2}, 0, []),
        ({"max": 2}, 3, ["count"]),
        ({"min": 1, "max": 2}, 2, []),
        (None, 0, ["count"]),
    ],
)
def test_counts(tmp_path: Path, count: Any, number: int, expected: list[str]) -> None:
    objects = [{**GATEWAY, "metadata": {"name": f"g{i}", "namespace": "default"}} for i in range(number)]
    params = {**ABOUT, **({} if count is None else {"count": count})}
    assert reasons(ask("resource", params, context(tmp_path, objects))) == expected


def test_require_some_counts_those_that_match_and_shows_the_nearest(tmp_path: Path) -> None:
    other = {**GATEWAY, "metadata": {"name": "other", "namespace": "default"}, "spec": {"servers": []}}
    params = {**ABOUT, "require": "some", "match": {"spec": {"servers": [{"port": {"number": 443}}]}}}
    assert ask("resource", params, context(tmp_path, [other, GATEWAY])) == []
    assert reasons(ask("resource", {**params, "count": 2}, context(tmp_path, [other, GATEWAY]))) == ["count", "missing"]
    assert reasons(ask("resource", {**params, "count": 0}, context(tmp_path, [other, GATEWAY]))) == ["unexpected"]
    assert reasons(ask("resource", params, context(tmp_path, []))) == ["count"]


def test_cel_sees_the_object_and_all_of_them(tmp_path: Path) -> None:
    rules = [
        {"expression": "object.spec.servers.size() == 1"},
        {"expression": "objects.size() == 2", "message": "There should be two."},
        {"expression": "object.spec.nothing == 1"},
        {"expression": "object.metadata.name"},
    ]
    found = ask("resource", {**ABOUT, "cel": rules}, context(tmp_path, [GATEWAY]))
    assert reasons(found) == ["cel", "cel", "cel"]
    assert "there is no field 'nothing'" in found[0].observed
    assert "not true or false" in found[1].observed
    assert found[2].message == "There should be two."


def test_values_of_secrets_are_never_shown(tmp_path: Path) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "db",
            "namespace": "default",
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": '{"stringData":{"password":"hunter2"}}'
            },
        },
        "data": {"password": base64.b64encode(b"hunter2").decode()},
    }
    about = {"apiVersion": "v1", "kind": "Secret", "name": "db"}
    patterns: list[Any] = [
        {"data": {"password": "wrong"}},
        {"data": {"password": {"$base64": "correct horse"}}},
        {"data": {"user": {"$base64": "correct horse"}}},
        {"data": {"$length": 2}},
        {"data": {"$exactly": {}}},
        {"data": ["x"]},
        {"metadata": {"annotations": {"$length": 0}}},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": {"$absent": True}}}},
        {"$not": {"kind": "Secret"}},
        {"$exactly": {}},
    ]
    leaks = ("hunter2", secret["data"]["password"], "correct horse")  # type: ignore[index]
    for pattern in patterns:
        found = ask("resource", {**about, "match": pattern}, context(tmp_path, [secret]))
        assert found, pattern
        assert not [leak for leak in leaks if leak in str(found)], (pattern, found)
    rules = [{"expression": "object.data.password"}, {"expression": "object.data.password.nope"}]
    assert "hunter2" not in str(ask("resource", {**about, "cel": rules}, context(tmp_path, [secret])))
    digest = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"
    assert ask("resource", {**about, "match": {"data": {"password": {"$sha256": digest}}}},
               context(tmp_path, [secret])) == []  # fmt: skip
    assert ask("resource", {**about, "match": {"data": {"password": {"$base64": "hunter2"}}}},
               context(tmp_path, [secret])) == []  # fmt: skip


def test_findings_and_values_are_bounded(tmp_path: Path) -> None:
    big = {
        **GATEWAY,
        "spec": {"text": "x" * 100_000, "list": list(range(10_000)), "map": {str(i): i for i in range(500)}},
    }
    match = {"spec": {"text": "y", "list": {"$length": 1}, "map": {str(i): -1 for i in range(100)}}}
    found = ask("resource", {**ABOUT, "name": "apim-gateway", "match": match}, context(tmp_path, [big]))
    assert len(found) == 20
    assert found[-1].reason == "more"
    assert all(len(f.observed) < 400 and len(f.expected) < 400 and len(f.message) < 900 for f in found)


# condition


def test_a_pod_that_is_not_ready_says_what_holds_it(tmp_path: Path) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
            "containerStatuses": [
                {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
            ],
        },
    }
    about = {"apiVersion": "v1", "kind": "Pod", "type": "Ready"}
    [finding] = ask("condition", {**about, "name": "web"}, context(tmp_path, [pod]))
    assert finding.reason == "not-ready"
    assert "ImagePullBackOff" in finding.message
    assert reasons(ask("condition", about, context(tmp_path, []))) == ["missing"]
    assert reasons(ask("condition", {**about, "name": "gone"}, context(tmp_path, [pod]))) == ["missing"]
    [finding] = ask("condition", {**about, "type": "Redy"}, context(tmp_path, [pod]))
    assert 'Did you mean "Ready"?' in finding.message


def test_a_condition_may_be_asked_to_be_false(tmp_path: Path) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "default"},
           "status": {"conditions": [{"type": "Failed", "status": "False"}]}}  # fmt: skip
    params = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "type": "Failed", "status": "False"}
    assert ask("condition", params, context(tmp_path, [job])) == []


# command


@pytest.mark.parametrize(
    "said",
    [
        "The connection to the server 127.0.0.1:39275 was refused - did you specify the right host or port?",
        "Unable to connect to the server: net/http: TLS handshake timeout",
    ],
)
def test_a_cluster_that_kubectl_cannot_reach_is_a_fault_of_the_environment(tmp_path: Path, said: str) -> None:
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        ask("command", {"run": f"echo '{said}' >&2; exit 1"}, context(tmp_path))
    wanted = {"run": f"echo '{said}' >&2; exit 1", "exit": 1, "stderr": {"$contains": said[:10]}}
    assert ask("command", wanted, context(tmp_path)) == []
    quoted = {"run": f"echo 'the log says: {said}' >&2; exit 1"}
    assert [finding.reason for finding in ask("command", quoted, context(tmp_path))] == ["exit"]


def test_a_missing_tool_is_a_fault_of_the_environment(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="no-such-tool-x is not installed"):
        ask("command", {"run": "no-such-tool-x --version"}, context(tmp_path))
    assert ask("command", {"run": "no-such-tool-x", "exit": 127}, context(tmp_path)) == []


def test_a_directory_that_is_gone_is_a_fault_of_the_environment(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="does not exist any more"):
        ask("command", {"run": "true"}, context(tmp_path / "gone"))


def test_a_time_out_ends_the_whole_process_group(tmp_path: Path) -> None:
    started = time.monotonic()
    run = "(trap '' TERM; echo $BASHPID > child; exec sleep 60) & echo begun; wait"
    [finding] = ask("command", {"run": run, "timeout": 0.5}, context(tmp_path))
    assert finding.reason == "timeout"
    assert finding.observed == "begun"
    assert time.monotonic() - started < 5
    assert gone(int((tmp_path / "child").read_text()))


def test_what_a_command_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    started = time.monotonic()
    assert ask("command", {"run": "sleep 60 & echo $! > child; echo done", "stdout": "done"}, context(tmp_path)) == []
    assert time.monotonic() - started < 5
    assert gone(int((tmp_path / "child").read_text()))


def gone(pid: int) -> bool:
    """Whether the process ended (a zombie that init has not reaped counts)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        os.sched_yield()
    return False


def test_the_deadline_of_the_evaluation_bounds_the_command(tmp_path: Path) -> None:
    from dataclasses import replace

    where = replace(context(tmp_path), deadline=time.monotonic() + 0.3)
    assert reasons(ask("command", {"run": "sleep 30", "timeout": 20}, where)) == ["timeout"]


def test_much_output_and_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    found = ask("command", {"run": "head -c 30000000 /dev/zero; exit 3"}, context(tmp_path))
    assert reasons(found) == ["exit"]
    assert len(found[0].observed) < 400
    assert ask("command", {"run": "printf 'a\\xffb'", "stdout": {"$matches": "^a.b$"}}, context(tmp_path)) == []


def test_a_command_gets_the_shells_directory_and_environment_and_no_input(tmp_path: Path) -> None:
    where = context(tmp_path, environment={"REGION": "west"})
    params = {"run": 'echo "$REGION in $PWD"; read -r line || echo no input',
              "stdout": {"$all": [{"$contains": f"west in {tmp_path}"}, {"$contains": "no input"}]}}  # fmt: skip
    assert ask("command", params, where) == []


def test_a_signal_is_an_exit_status_as_in_the_shell(tmp_path: Path) -> None:
    assert ask("command", {"run": "kill -KILL $$", "exit": 137}, context(tmp_path)) == []


def test_cel_reads_what_a_command_said(tmp_path: Path) -> None:
    rules = [{"expression": "json.a[1] == 2 && exit == 0 && stderr == ''"}]
    assert ask("command", {"run": "echo '{\"a\":[1,2]}'", "cel": rules}, context(tmp_path)) == []


# file


def test_files_that_are_not_what_is_meant(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "certs.crt").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    where = context(tmp_path)
    assert reasons(ask("file", {"path": "dir", "content": "x"}, where)) == ["not-a-file"]
    assert reasons(ask("file", {"path": "pipe", "content": "x"}, where)) == ["not-a-file"]
    assert reasons(ask("file", {"path": "certs.crt/x"}, where)) == ["unreadable"]
    assert reasons(ask("file", {"path": "a\0b"}, where)) == ["unreadable"]
    [finding] = ask("file", {"path": "cert.crt"}, where)
    assert 'Did you mean "certs.crt"?' in finding.message
    [finding] = ask("file", {"path": "no/where"}, where)
    assert "there is no directory" in finding.message
    assert ask("file", {"path": "dir", "type": "directory"}, where) == []
    assert ask("file", {"path": "~/certs.crt"}, where) == []


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert reasons(ask("file", {"path": "big", "content": "x"}, context(tmp_path))) == ["too-large"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    assert reasons(ask("file", {"path": "secret", "content": "x"}, context(tmp_path))) == ["unreadable"]


def test_a_file_that_may_not_be_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("x")
    real = Path.open

    def refuse(self: Path, *args: Any, **options: Any) -> Any:
        if self.name == "secret":
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    for kind, params in (("file", {"path": "secret", "content": "x"}), ("certificate", {"file": "secret"})):
        [finding] = ask(kind, params, context(tmp_path))
        assert finding.reason == "unreadable"
        assert "permission denied" in finding.message


def test_globs(tmp_path: Path) -> None:
    for index, name in enumerate(("b.yaml", "a.yaml")):
        (tmp_path / name).write_text(f"n: {index}")
        os.utime(tmp_path / name, (1000 + index, 1000 + index))
    where = context(tmp_path)
    assert ask("file", {"glob": "*.yaml", "count": 2}, where) == []
    assert ask("file", {"glob": "*.yaml", "newest": True, "yaml": {"n": 1}}, where) == []
    assert reasons(ask("file", {"glob": "*.yaml", "yaml": {"n": 1}}, where)) == ["different"]
    assert reasons(ask("file", {"glob": "*.json"}, where)) == ["missing"]
    assert reasons(ask("file", {"glob": "*.yaml", "count": 1}, where)) == ["count"]
    assert reasons(ask("file", {"glob": "*.yaml", "absent": True}, where)) == ["unexpected", "unexpected"]
    assert ask("file", {"glob": "*.json", "absent": True}, where) == []


def test_documents_json_size_and_digest(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("---\nkind: A\n---\nkind: B\n")
    (tmp_path / "a.json").write_text('{"a": [1, 2]}')
    (tmp_path / "bad.json").write_text('{"a": [1,\n2')
    (tmp_path / "bad.yaml").write_text("a: b\nc: [")
    where = context(tmp_path)
    assert ask("file", {"path": "a.yaml", "documents": [{"kind": "B"}, {"kind": "A"}]}, where) == []
    assert ask("file", {"path": "a.json", "json": {"a": {"$length": 2}}, "size": 13}, where) == []
    assert reasons(ask("file", {"path": "a.json", "size": {"$gt": 13}, "sha256": "00"}, where)) == ["size", "different"]
    [finding] = ask("file", {"path": "bad.json", "json": {}}, where)
    assert (finding.reason, finding.where) == ("not-json", f"{tmp_path / 'bad.json'}:2")
    [finding] = ask("file", {"path": "bad.yaml", "yaml": {}}, where)
    assert (finding.reason, finding.where) == ("not-yaml", f"{tmp_path / 'bad.yaml'}:2")
    rules = [{"expression": "documents.size() == 2 && yaml.kind == 'A'"}]
    assert ask("file", {"path": "a.yaml", "cel": rules}, where) == []


# env


def test_secret_values_of_variables_are_never_shown(tmp_path: Path) -> None:
    where = context(tmp_path, environment={"DB_PASSWORD": "hunter2", "PIN": "1234", "PLAIN": "seen"})
    for params in (
        {"name": "DB_PASSWORD", "value": "other"},
        {"name": "PIN", "value": {"$matches": "^9"}, "secret": True},
        {"name": "DB_PASSWORD", "absent": True},
    ):
        found = ask("env", params, where)
        assert found
        assert "hunter2" not in str(found) and "1234" not in str(found) and "other" not in str(found)
    [finding] = ask("env", {"name": "PLAIN", "value": "other"}, where)
    assert finding.observed == "seen"
    [finding] = ask("env", {"name": "PLAINN"}, where)
    assert 'Did you mean "PLAIN"?' in finding.message


# quiz


def test_a_quiz_never_tells_the_answer_before_it_is_given(tmp_path: Path) -> None:
    params = {"question": "?", "answer": ["mutual tls", "mTLS"], "pattern": "m.?tls", "explanation": "Both prove who."}
    for given in ("", "tls", "x" * 5000):
        found = ask("quiz", params, context(tmp_path, answer=given))
        assert found
        assert "mutual" not in str(found) and "Both" not in str(found) and "m.?tls" not in str(found)
        assert len(found[0].observed) < 400
    for given in ("MTLS", "Mutual   TLS ", "m-tls"):
        assert ask("quiz", params, context(tmp_path, answer=given)) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2", []),
        ("b", []),
        ("B)", []),
        ("or", []),
        ("1", ["wrong"]),
        ("z", ["wrong"]),
        ("1,2", ["wrong"]),
        ("9", ["wrong"]),
    ],
)
def test_choices_are_given_by_text_number_or_letter(tmp_path: Path, given: str, expected: list[str]) -> None:
    params = {"question": "?", "choices": ["AND", {"text": "OR"}], "answer": "OR"}
    assert reasons(ask("quiz", params, context(tmp_path, answer=given))) == expected


def test_normalisation_is_as_asked(tmp_path: Path) -> None:
    params = {"question": "?", "answer": "X-Forwarded-For", "normalise": ["punctuation", "case"]}
    assert ask("quiz", params, context(tmp_path, answer="xforwardedfor")) == []
    strict = {"question": "?", "answer": "True", "normalise": []}
    assert reasons(ask("quiz", strict, context(tmp_path, answer="true"))) == ["wrong"]


# lint


@pytest.mark.parametrize(
    ("kind", "params", "problem"),
    [
        ("resource", {**ABOUT, "match": {"a": {"$matches": "("}}}, "match.a.$matches: '(' is no regular expression"),
        ("resource", {**ABOUT, "cel": [{"expression": "1 +"}]}, "cel[0].expression: does not parse at"),
        ("resource", {**ABOUT, "cel": [{"expression": "objct.a"}]}, 'there is no variable objct'),
        ("resource", {**ABOUT, "namespace": "a", "allNamespaces": True}, "namespace: cannot be combined"),
        ("resource", {**ABOUT, "name": "a", "labelSelector": "a=b"}, "name: cannot be combined"),
        ("resource", {**ABOUT, "count": {"min": 2, "max": 1}}, "count: min is more than max"),
        ("resource", {**ABOUT, "require": "some"}, "require: some needs match or cel"),
        ("absent", {**ABOUT, "match": {"a": {"$nope": 1}}}, "match.a: there is no operator $nope"),
        ("condition", {**ABOUT, "type": "Ready", "reason": {"$matches": "["}}, "reason.$matches"),
        ("certificate", {"file": "a", "keyUsage": ["digitalSignatur"]}, "keyUsage: there is no digitalSignatur"),
        ("certificate", {"file": "a", "key": {"size": {"$gte": "big"}}}, "key.size.$gte: takes a number"),
        ("command", {"run": "x", "stdout": {"$matches": "*"}}, "stdout.$matches"),
        ("command", {"run": "x", "cel": [{"expression": "stout == ''"}]}, 'Did you mean "stdout"?'),
        ("file", {"path": "a", "absent": True, "content": "x"}, "content: cannot be combined with absent"),
        ("file", {"path": "a", "newest": True}, "newest: is for glob"),
        ("env", {"name": "$A"}, "name: is written without $"),
        ("env", {"name": "A", "absent": True, "value": "b"}, "absent: cannot be combined"),
        ("quiz", {"question": "?", "choices": ["a", "b"], "answer": "c"}, "answer: 'c' is none of the choices"),
        ("quiz", {"question": "?", "choices": ["a", "A "], "answer": "a"}, "two choices are the same"),
        ("quiz", {"question": "?", "pattern": "("}, "pattern: '(' is no regular expression"),
    ],
)  # fmt: skip
def test_lint_finds_what_the_schema_cannot(kind: str, params: dict[str, Any], problem: str) -> None:
    problems = kinds()[kind].lint(params)
    assert any(problem in p for p in problems), problems


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (
            "resource",
            {**ABOUT, "name": "${N}", "count": {"min": "${A}", "max": "${B}"}, "cel": [{"expression": "${E}"}]},
        ),
        ("resource", {**ABOUT, "count": "${COUNT}", "match": {"a": {"$matches": "${A}("}}}),
        ("certificate", {"file": "${F}", "keyUsage": ["${U}"], "index": "${I}", "remainingDays": {"$gte": "${D}"}}),
        ("command", {"run": "${C}", "timeout": "${T}", "exit": "${E}"}),
        ("file", {"path": "${P}", "mode": "${M}"}),
        ("env", {"name": "${N}", "value": "${V}"}),
        ("quiz", {"question": "${Q}", "choices": ["a", "b"], "answer": "${A}"}),
        ("condition", {**ABOUT, "type": "${T}"}),
        ("absent", {**ABOUT, "match": "${M}"}),
    ],
)
def test_lint_and_describe_bear_variables_that_are_not_known_yet(kind: str, params: dict[str, Any]) -> None:
    assert kinds()[kind].lint(params) == []
    assert kinds()[kind].describe(params)
