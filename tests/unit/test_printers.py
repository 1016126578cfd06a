"""Tables show what `kubectl get` shows on a real server."""

from __future__ import annotations

import calendar
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.sandbox.kube.printers.duration import human_duration
from labrunner.sandbox.kube.printers.jsonpath import JsonPath, JsonPathError
from labrunner.sandbox.kube.printers.table import PRINTERS, definitions, printer_for, table

CREATED = "2026-01-01T00:00:00Z"
NOW = calendar.timegm(time.strptime(CREATED, "%Y-%m-%dT%H:%M:%SZ")) + 300.0


def obj(name: str = "x", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": CREATED, **fields.pop("metadata", {})}
    return {"metadata": metadata, **fields}


def shown(kind: str, item: dict[str, Any], *, wide: bool = False, **options: Any) -> list[Any]:
    """The cells that kubectl shows, without the age."""
    result = table(kind, "v1", [item], now=NOW, **options)
    cells: list[Any] = result["rows"][0]["cells"]
    columns = result["columnDefinitions"]
    assert len(cells) == len(columns)
    return [
        cell
        for cell, column in zip(cells, columns, strict=True)
        if column["name"] not in ("Age", "Name") and (wide or not column["priority"])
    ]


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (-5, "<invalid>"), (-0.5, "0s"), (0, "0s"), (119.9, "119s"), (120, "2m"), (121, "2m1s"), (599, "9m59s"),
            (600, "10m"), (10799, "179m"), (10800, "3h"), (10860, "3h1m"), (28799, "7h59m"), (28800, "8h"),
            (172799, "47h"), (172800, "2d"), (176400, "2d1h"), (691199, "7d23h"), (691200, "8d"),
            (86400 * 729, "729d"), (86400 * 730, "2y"), (86400 * 731, "2y1d"), (86400 * 365 * 9, "9y"),
        ],
    )  # fmt: skip
    def test_says_ages_as_kubernetes_does(self, seconds: float, text: str) -> None:
        assert human_duration(seconds) == text


class TestTable:
    def test_has_columns_rows_and_metadata(self) -> None:
        result = table("ConfigMap", "v1", [obj(data={"a": "1"})], now=NOW, metadata={"resourceVersion": "7"})
        assert (result["kind"], result["apiVersion"]) == ("Table", "meta.k8s.io/v1")
        assert result["metadata"] == {"resourceVersion": "7"}
        assert result["columnDefinitions"][0] | {"description": ""} == {
            "name": "Name",
            "type": "string",
            "format": "name",
            "description": "",
            "priority": 0,
        }
        row = result["rows"][0]
        assert row["cells"] == ["x", 1, "5m"]
        assert row["object"]["kind"] == "PartialObjectMetadata"
        assert row["object"]["metadata"]["name"] == "x"

    def test_includes_what_is_asked_for(self) -> None:
        item = obj(data={})
        whole = table("ConfigMap", "v1", [item], now=NOW, include_object="Object", headers=False)
        assert whole["rows"][0]["object"] == item
        assert whole["columnDefinitions"] is None
        assert table("ConfigMap", "v1", [item], now=NOW, include_object="None")["rows"][0]["object"] is None

    def test_a_kind_without_a_printer_shows_when_it_was_created(self) -> None:
        result = table("rbac.authorization.k8s.io/Role", "v1", [obj("r")], now=NOW)
        assert [column["name"] for column in result["columnDefinitions"]] == ["Name", "Created At"]
        assert result["rows"][0]["cells"] == ["r", CREATED]

    @pytest.mark.parametrize("kind", sorted(PRINTERS))
    def test_every_printer_fills_every_column_of_the_barest_object(self, kind: str) -> None:
        printer = printer_for(kind)
        assert len(table(kind, "v1", [obj()], now=NOW)["rows"][0]["cells"]) == len(printer.columns)
        assert len(table(kind, "v1", [{}], now=NOW)["rows"][0]["cells"]) == len(printer.columns)
        undocumented = [column["name"] for column in definitions(printer) if not column["description"]]
        assert undocumented == (["Handler"] if kind == "node.k8s.io/RuntimeClass" else [])


def pod(**status: Any) -> dict[str, Any]:
    spec = status.pop("spec", {})
    metadata = status.pop("metadata", {})
    return obj(metadata=metadata, spec={"containers": [{"name": "a"}], **spec}, status={"phase": "Running", **status})


def container(ready: bool = True, restarts: int = 0, name: str = "a", **state: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state or {"running": {}}}


class TestPods:
    @pytest.mark.parametrize(
        ("item", "cells"),
        [
            (pod(containerStatuses=[container()]), ["1/1", "Running", "0"]),
            (pod(phase="Pending"), ["0/1", "Pending", "0"]),
            (
                pod(phase="Pending", containerStatuses=[container(False, waiting={"reason": "ContainerCreating"})]),
                ["0/1", "ContainerCreating", "0"],
            ),
            (
                pod(containerStatuses=[container(False, 3, waiting={"reason": "CrashLoopBackOff"})]),
                ["0/1", "CrashLoopBackOff", "3"],
            ),
            (
                pod(phase="Succeeded", containerStatuses=[container(False, terminated={"reason": "Completed"})]),
                ["0/1", "Completed", "0"],
            ),
            (pod(phase="Failed", containerStatuses=[container(False, terminated={"exitCode": 3})]), [
                "0/1", "ExitCode:3", "0",
            ]),
            (pod(phase="Failed", containerStatuses=[container(False, terminated={"signal": 9})]), [
                "0/1", "Signal:9", "0",
            ]),
            (pod(phase="Failed", reason="Evicted"), ["0/1", "Evicted", "0"]),
            (pod(metadata={"deletionTimestamp": CREATED}, containerStatuses=[container()]), [
                "1/1", "Terminating", "0",
            ]),
            (pod(phase="Failed", metadata={"deletionTimestamp": CREATED}), ["0/1", "Failed", "0"]),
            (
                pod(phase="Pending", conditions=[{"type": "PodScheduled", "reason": "SchedulingGated"}]),
                ["0/1", "SchedulingGated", "0"],
            ),
        ],
    )  # fmt: skip
    def test_ready_status_and_restarts(self, item: dict[str, Any], cells: list[Any]) -> None:
        assert shown("Pod", item) == cells

    @pytest.mark.parametrize(
        ("states", "status"),
        [
            ([], "Init:0/2"),
            ([{"terminated": {"exitCode": 0}}], "Init:1/2"),
            ([{"terminated": {"exitCode": 1}}], "Init:ExitCode:1"),
            ([{"terminated": {"exitCode": 1, "reason": "Error"}}], "Init:Error"),
            ([{"waiting": {"reason": "CrashLoopBackOff"}}], "Init:CrashLoopBackOff"),
            ([{"waiting": {"reason": "PodInitializing"}}], "Init:0/2"),
        ],
    )
    def test_init_containers(self, states: list[Any], status: str) -> None:
        waiting = [*states, {"waiting": {"reason": "PodInitializing"}}, {"running": {}}][:2]
        item = pod(
            phase="Pending",
            spec={"initContainers": [{"name": "i"}, {"name": "j"}]},
            initContainerStatuses=[container(False, name=n, **s) for n, s in zip("ij", waiting, strict=False)],
            containerStatuses=[container(False, waiting={"reason": "PodInitializing"})],
        )
        assert shown("Pod", item)[1] == status

    def test_a_sidecar_counts_as_a_container(self) -> None:
        item = pod(
            spec={"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
            initContainerStatuses=[container(name="proxy") | {"started": True}],
            containerStatuses=[container()],
        )
        assert shown("Pod", item) == ["2/2", "Running", "0"]

    def test_restarts_say_how_long_ago(self) -> None:
        status = container(restarts=2) | {"lastState": {"terminated": {"finishedAt": "2026-01-01T00:04:00Z"}}}
        assert shown("Pod", pod(containerStatuses=[status]))[2] == "2 (60s ago)"

    def test_completed_beside_running(self) -> None:
        statuses = [container(), container(False, name="b", terminated={"reason": "Completed"})]
        assert shown("Pod", pod(containerStatuses=statuses))[1] == "NotReady"
        ready = [{"type": "Ready", "status": "True"}]
        assert shown("Pod", pod(containerStatuses=statuses, conditions=ready))[1] == "Running"

    def test_completed_beside_failed_shows_the_failure(self) -> None:
        statuses = [
            container(False, terminated={"reason": "Completed", "exitCode": 0}),
            container(False, name="b", terminated={"reason": "Error", "exitCode": 2}),
        ]
        assert shown("Pod", pod(phase="Failed", containerStatuses=statuses))[1] == "Error"

    def test_wide(self) -> None:
        item = pod(
            spec={"nodeName": "n1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
            podIPs=[{"ip": "10.0.0.9"}],
            conditions=[{"type": "a", "status": "True"}],
        )
        assert shown("Pod", item, wide=True)[3:] == ["10.0.0.9", "n1", "<none>", "1/2"]
        assert shown("Pod", pod(), wide=True)[3:] == ["<none>"] * 4

    def test_finished_pods_are_marked(self) -> None:
        row = table("Pod", "v1", [pod(phase="Succeeded")], now=NOW)["rows"][0]
        assert row["conditions"][0]["reason"] == "Succeeded"


SELECTOR = {
    "matchLabels": {"b": "1"},
    "matchExpressions": [
        {"key": "a", "operator": "In", "values": ["y", "x"]},
        {"key": "c", "operator": "DoesNotExist"},
    ],
}


@pytest.mark.parametrize(
    ("kind", "item", "cells"),
    [
        (
            "apps/Deployment",
            obj(
                spec={
                    "replicas": 3,
                    "selector": SELECTOR,
                    "template": {"spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]}},
                },
                status={"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
            ),
            ["2/3", 1, 2, "a,b", "i,j", "a in (x,y),b=1,!c"],
        ),
        ("apps/StatefulSet", obj(spec={"replicas": 2}, status={"readyReplicas": 1}), ["1/2", "", ""]),
        ("Service", obj(spec={"type": "ExternalName", "externalName": "a.b"}), [
            "ExternalName", "<none>", "a.b", "<none>", "<none>",
        ]),
        (
            "Service",
            obj(
                spec={
                    "type": "LoadBalancer",
                    "clusterIPs": ["10.0.0.1"],
                    "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
                    "selector": {"b": "2", "a": "1"},
                }
            ),
            ["LoadBalancer", "10.0.0.1", "<pending>", "80:30001/TCP,53/UDP", "a=1,b=2"],
        ),
        (
            "Endpoints",
            obj(subsets=[{"addresses": [{"ip": f"1.1.1.{i}"} for i in range(5)], "ports": [{"port": 8}]}]),
            ["1.1.1.0:8,1.1.1.1:8,1.1.1.2:8 + 2 more..."],
        ),
        ("Endpoints", obj(), ["<none>"]),
        ("discovery.k8s.io/EndpointSlice", obj(addressType="IPv4", endpoints=[]), ["IPv4", "<unset>", "<unset>"]),
        (
            "networking.k8s.io/Ingress",
            obj(spec={"rules": [{"host": h} for h in "abcd"], "tls": [{}]}, status={"loadBalancer": {}}),
            ["<none>", "a,b,c + 1 more...", "", "80, 443"],
        ),
        ("batch/Job", obj(spec={"completions": 3, "parallelism": 2}, status={
            "succeeded": 1, "startTime": CREATED, "completionTime": "2026-01-01T00:00:09Z",
            "conditions": [{"type": "Complete", "status": "True"}]}), ["Complete", "1/3", "9s", "", "", "<none>"]),
        ("batch/Job", obj(spec={"parallelism": 2}), ["Running", "0/1 of 2", "", "", "", "<none>"]),
        ("batch/CronJob", obj(spec={"schedule": "* * * * *", "suspend": False}), [
            "* * * * *", "<none>", "False", 0, "<none>", "", "", "<none>",
        ]),
        ("Node", obj(
            metadata={"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}},
            spec={"unschedulable": True},
            status={"conditions": [{"type": "Ready", "status": "False"}], "nodeInfo": {"kubeletVersion": "v1"}},
        ), ["NotReady,SchedulingDisabled", "control-plane,x", "v1", "<none>", "<none>", *["<unknown>"] * 3]),
        ("ResourceQuota", obj(status={"hard": {"pods": "4", "limits.cpu": "2", "requests.cpu": "1"}, "used": {
            "pods": "1"}}), ["pods: 1/4, requests.cpu: 0/1", "limits.cpu: 0/2"]),
        ("policy/PodDisruptionBudget", obj(spec={"maxUnavailable": "50%"}), ["N/A", "50%", 0]),
        ("PersistentVolumeClaim", obj(status={"phase": "Pending"}, spec={"storageClassName": "s"}), [
            "Pending", "", "", "", "s", "<unset>", "<unset>",
        ]),
        ("storage.k8s.io/StorageClass", obj(provisioner="p"), ["p", "Delete", "Immediate", False]),
        ("certificates.k8s.io/CertificateSigningRequest", obj(
            spec={"signerName": "s", "username": "u"},
            status={"conditions": [{"type": "Approved"}], "certificate": "x"},
        ), ["s", "u", "<none>", "Approved,Issued"]),
        ("rbac.authorization.k8s.io/RoleBinding", obj(
            roleRef={"kind": "Role", "name": "r"},
            subjects=[{"kind": "User", "name": "u"}, {"kind": "User", "name": "v"},
                      {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
        ), ["Role/r", "u, v", "", "n/s"]),
        ("Event", obj(
            firstTimestamp=CREATED, lastTimestamp="2026-01-01T00:04:00Z", type="Normal", reason="R", message=" m ",
            count=4, involvedObject={"kind": "Pod", "name": "p", "fieldPath": "f"}, source={"component": "kubelet"},
        ), ["60s", "Normal", "R", "pod/p", "f", "kubelet", "m", "5m", 4]),
    ],
)  # fmt: skip
def test_cells(kind: str, item: dict[str, Any], cells: list[Any]) -> None:
    assert shown(kind, item, wide=True) == cells


CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}


@pytest.mark.parametrize(
    ("spec", "status", "targets"),
    [
        ({"metrics": [CPU]}, {}, "cpu: <unknown>/50%"),
        (
            {"metrics": [CPU]},
            {"currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 7}}}]},
            "cpu: 7%/50%",
        ),
        ({"metrics": [CPU, CPU, CPU]}, {}, "cpu: <unknown>/50%, cpu: <unknown>/50% + 1 more..."),
        ({"targetCPUUtilizationPercentage": 80}, {"currentCPUUtilizationPercentage": 3}, "cpu: 3%/80%"),
        ({"metrics": [{"type": "Pods", "pods": {"target": {"averageValue": "1k"}}}]}, {}, "<unknown>/1k"),
        ({"metrics": [{"type": "External", "external": {"target": {"value": "5"}}}]}, {}, "<unknown>/5"),
        ({}, {}, "<none>"),
    ],
)
def test_autoscaler_targets(spec: dict[str, Any], status: dict[str, Any], targets: str) -> None:
    assert shown("autoscaling/HorizontalPodAutoscaler", obj(spec=spec, status=status))[1] == targets


class TestCustomKinds:
    def test_without_columns_shows_the_age(self) -> None:
        result = table("example.org/Gizmo", "v1", [obj("g")], now=NOW, columns=[])
        assert [column["name"] for column in result["columnDefinitions"]] == ["Name", "Age"]
        assert result["rows"][0]["cells"] == ["g", "5m"]

    def test_columns_by_type(self) -> None:
        def column(name: str, type_: str, path: str) -> dict[str, str]:
            return {"name": name, "type": type_, "jsonPath": path}

        columns = [
            column("S", "string", ".spec.s"),
            column("List", "string", ".spec.list"),
            column("Int", "integer", ".spec.i"),
            column("NotInt", "integer", ".spec.s"),
            column("Float", "number", ".spec.i"),
            column("Bool", "boolean", ".spec.b"),
            column("BoolText", "string", ".spec.b"),
            column("Date", "date", ".spec.d"),
            column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
            column("Missing", "string", ".spec.none.deeper"),
        ]
        spec = {"s": "x", "list": ["a", "b"], "i": 3, "b": True, "d": CREATED}
        item = obj(spec=spec, status={"conditions": [{"type": "A"}, {"type": "Ready", "status": "True"}]})
        result = table("example.org/Gizmo", "v1", [item], now=NOW, columns=columns)
        assert result["rows"][0]["cells"][1:] == [
            "x", '["a","b"]', 3, None, 3.0, True, "true", "5m", "True", None,
        ]  # fmt: skip
        described = result["columnDefinitions"][1]["description"]
        assert described == "Custom resource definition column (in JSONPath format): .spec.s"


DOCUMENT: dict[str, Any] = {
    "a": {"b.c": 1, "d": [10, 20, 30]},
    "l": [{"t": "x", "v": 1}, {"t": "y", "v": 2}, {"v": 3}],
}


class TestJsonPath:
    @pytest.mark.parametrize(
        ("path", "found"),
        [
            (".a['b.c']", [1]),
            (r".a.b\.c", [1]),
            (".a.d[1]", [20]),
            (".a.d[-1]", [30]),
            (".a.d[9]", []),
            (".a.d[0:2]", [10, 20]),
            (".a.d[*]", [10, 20, 30]),
            (".l[*].v", [1, 2, 3]),
            (".l[?(@.t=='y')].v", [2]),
            (".l[?(@.v>1)].v", [2, 3]),
            (".l[?(@.t)].v", [1, 2]),
            ("..v", [1, 2, 3]),
            ("$.a.d[0]", [10]),
            (".nothing.here", []),
        ],
    )
    def test_finds(self, path: str, found: list[Any]) -> None:
        assert JsonPath(path).find(DOCUMENT) == found

    @pytest.mark.parametrize("path", [".a[", ".a]b", ".a[?(@.x==y)]", ".a[0]b", ".a[0:1:0]"])
    def test_refuses(self, path: str) -> None:
        with pytest.raises(JsonPathError):
            JsonPath(path)

    @given(st.text(alphabet=".[]?()@='\"ab01*:-\\ ", max_size=25))
    def test_any_text_is_compiled_or_refused(self, path: str) -> None:
        try:
            JsonPath(path).find(DOCUMENT)
        except JsonPathError as error:
            assert str(error)
