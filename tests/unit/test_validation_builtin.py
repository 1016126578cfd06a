"""Built-in objects are refused for the server's reasons, in its words and order."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from labrunner.sandbox.kube.kinds import KindTable
from labrunner.sandbox.kube.schema.catalog import builtin_kinds
from labrunner.sandbox.kube.schema.served import CatalogSchemas
from labrunner.sandbox.kube.schema.validation import schedule

SCHEMAS, KINDS = CatalogSchemas(), KindTable(builtin_kinds())

POD = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  selector: {matchLabels: {app: d}}
  template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: i}]}}
"""
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}], clusterIP: 10.96.0.9}}"
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
"""
CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec:
  schedule: "* * * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
"""
STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec:
  serviceName: s
  selector: {matchLabels: {app: s}}
  template: {metadata: {labels: {app: s}}, spec: {containers: [{name: c, image: i}]}}
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i}
spec:
  rules:
  - host: a.b
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}
"""
POLICY = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: n}, spec: {podSelector: {}}}"
HPA = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: h}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}
"""
BUDGET = "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b}, spec: {minAvailable: 1}}"
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
"""
BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b}
roleRef: {kind: Role, name: r}
subjects: [{kind: User, name: u}]
"""
CONFIG = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}"
SECRET = "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: YQ==}}"
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}
"""
ALL = [POD, DEPLOYMENT, SERVICE, JOB, CRON_JOB, STATEFUL_SET, INGRESS, POLICY, HPA, BUDGET, CLAIM, ROLE, BINDING]
ALL += [CONFIG, SECRET, CRD]


def made(text: str, **changes: Any) -> dict[str, Any]:
    """The object with `a__b__0__c=value` set at a.b[0].c; a value of None removes the field."""
    obj = yaml.safe_load(text)
    for path, value in changes.items():
        *parents, last = [int(p) if p.isdigit() else p for p in path.split("__")]
        target: Any = obj
        for name in parents:
            if isinstance(target, dict) and name not in target:
                target[name] = {}
            target = target[name]
        if value is None:
            del target[last]
        else:
            target[last] = value
    kind = KINDS.of_object(obj)
    assert kind
    version = obj["apiVersion"].rpartition("/")[2]
    clean, problems = SCHEMAS.decode(kind, version, obj, None)
    assert problems == []
    SCHEMAS.default(kind, version, clean)
    return clean


def refusals(obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    kind = KINDS.of_object(obj)
    assert kind
    return [f"{e.field}: {e.body()}" for e in SCHEMAS.validate(kind, obj, old)]


@pytest.mark.parametrize("text", ALL)
def test_a_sound_object_is_accepted_and_may_be_written_again(text: str) -> None:
    obj = made(text)
    assert refusals(obj) == []
    assert refusals(copy.deepcopy(obj), obj) == []


CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    (POD, {"spec__containers": []}, ["spec.containers: Required value"]),
    (POD, {"spec__containers__0__image": None}, ["spec.containers[0].image: Required value"]),
    (
        POD,
        {"spec__containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]},
        ['spec.containers[1].name: Duplicate value: "c"'],
    ),
    (
        POD,
        {"spec__containers__0__imagePullPolicy": "Sometimes"},
        [
            'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": '
            'supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
    (
        POD,
        {"spec__containers__0__volumeMounts": [{"name": "nope", "mountPath": "/x"}]},
        ['spec.containers[0].volumeMounts[0].name: Not found: "nope"'],
    ),
    (
        POD,
        {"spec__containers__0__resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
        ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ),
    (
        POD,
        {"spec__containers__0__ports": [{"containerPort": 70000}]},
        ["spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
    ),
    (
        POD,
        {"spec__containers__0__livenessProbe": {"periodSeconds": 1}},
        ["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
    ),
    (
        POD,
        {"spec__restartPolicy": "Maybe"},
        ['spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"'],
    ),
    (
        DEPLOYMENT,
        {"spec__replicas": -1},
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        DEPLOYMENT,
        {"spec__selector": None},
        [
            "spec.selector: Required value",
            'spec.template.metadata.labels: Invalid value: {"app":"d"}: `selector` does not match template `labels`',
        ],
    ),
    (
        DEPLOYMENT,
        {"spec__strategy__rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}},
        [
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
        ],
    ),
    (
        DEPLOYMENT,
        {"spec__strategy": {"type": "Recreate", "rollingUpdate": {}}},
        [
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ],
    ),
    (
        DEPLOYMENT,
        {"spec__template__spec__restartPolicy": "Never"},
        ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ),
    (SERVICE, {"spec__ports": []}, ["spec.ports: Required value"]),
    (
        SERVICE,
        {"spec__ports": [{"port": 80}, {"port": 81}]},
        ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
    ),
    (
        SERVICE,
        {"spec__type": "Balanced"},
        [
            'spec.type: Unsupported value: "Balanced": '
            'supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'
        ],
    ),
    (
        SERVICE,
        {"spec__ports__0__targetPort": "under_score"},
        [
            'spec.ports[0].targetPort: Invalid value: "under_score": '
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        ],
    ),
    (
        JOB,
        {"spec__template__spec__restartPolicy": None},
        ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ),
    (
        CRON_JOB,
        {"spec__schedule": "every day"},
        ['spec.schedule: Invalid value: "every day": expected exactly 5 fields, found 2: [every day]'],
    ),
    (INGRESS, {"spec": {}}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
    (
        INGRESS,
        {"spec__rules__0__http__paths__0__path": "x"},
        ['spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path'],
    ),
    (
        POLICY,
        {"spec__ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]},
        ['spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'],
    ),
    (
        HPA,
        {"spec__minReplicas": 5},
        ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
    ),
    (
        BUDGET,
        {"spec__maxUnavailable": 1},
        [
            'spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":1,'
            '"UnhealthyPodEvictionPolicy":null}: '
            "minAvailable and maxUnavailable cannot be both set"
        ],
    ),
    (CLAIM, {"spec__resources": {}}, ["spec.resources[storage]: Required value"]),
    (ROLE, {"rules__0__verbs": []}, ["rules[0].verbs: Required value: verbs must contain at least one value"]),
    (
        BINDING,
        {"subjects__0": {"kind": "Robot", "name": "x"}},
        ['subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"'],
    ),
    (
        SECRET,
        {"type": "kubernetes.io/tls"},
        ["data[tls.crt]: Required value", "data[tls.key]: Required value"],
    ),
    (
        CONFIG,
        {"data": {"a/b": "x"}},
        [
            'data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '
            "'-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
            "regex used for validation is '[-._a-zA-Z0-9]+')"
        ],
    ),
    (
        CRD,
        {"metadata__name": "w.example.com"},
        ['metadata.name: Invalid value: "w.example.com": must be spec.names.plural+"."+spec.group'],
    ),
    (
        CRD,
        {"spec__versions__0__schema__openAPIV3Schema__properties__spec": {"properties": {}}},
        [
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].type: "
            "Required value: must not be empty for specified object fields"
        ],
    ),
]


@pytest.mark.parametrize(("text", "changes", "expected"), CASES, ids=[f"{i}" for i in range(len(CASES))])
def test_what_is_wrong_is_said_as_the_server_says_it(text: str, changes: dict[str, Any], expected: list[str]) -> None:
    assert refusals(made(text, **changes)) == expected


UPDATES: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        DEPLOYMENT,
        {"spec__selector__matchLabels__app": "e", "spec__template__metadata__labels__app": "e"},
        ['spec.selector: Invalid value: {"matchLabels":{"app":"e"}}: field is immutable'],
    ),
    (
        SERVICE,
        {"spec__clusterIP": "10.96.0.10"},
        ['spec.clusterIPs[0]: Invalid value: ["10.96.0.10"]: may not change once set'],
    ),
    (
        BINDING,
        {"roleRef__name": "other"},
        [
            'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"other"}: '
            "cannot change roleRef"
        ],
    ),
    (
        STATEFUL_SET,
        {"spec__serviceName": "t"},
        [
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "
            "are forbidden"
        ],
    ),
    (
        SECRET,
        {"type": "kubernetes.io/tls"},
        [
            'type: Invalid value: "kubernetes.io/tls": field is immutable',
            "data[tls.crt]: Required value",
            "data[tls.key]: Required value",
        ],
    ),
    (POD, {"spec__containers__0__image": "other"}, []),
    (
        POD,
        {"spec__containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]},
        ["spec.containers: Forbidden: pod updates may not add or remove containers"],
    ),
]


@pytest.mark.parametrize(("text", "changes", "expected"), UPDATES, ids=[f"{i}" for i in range(len(UPDATES))])
def test_what_may_not_change_is_refused(text: str, changes: dict[str, Any], expected: list[str]) -> None:
    old = made(text)
    if old["kind"] == "Service":
        old["spec"]["clusterIPs"] = [old["spec"]["clusterIP"]]
    new = made(text, **changes)
    if old["kind"] == "Service":
        new["spec"]["clusterIPs"] = old["spec"]["clusterIPs"]
    assert refusals(new, old) == expected


def test_a_pods_other_fields_may_not_change_and_the_difference_is_shown() -> None:
    (text,) = refusals(made(POD, spec__hostname="h"), made(POD))
    assert text.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,")
    assert text.endswith(
        '\n  "ImagePullSecrets": null,\n- "Hostname": "",\n+ "Hostname": "h",\n  "Subdomain": "",\n'
        '  "SetHostnameAsFQDN": null,\n  "Affinity": null,\n'
    )
    assert "\n@@ -" in text


def test_structs_are_shown_in_their_own_order() -> None:
    selector = {"matchLabels": {"app": "x"}, "matchExpressions": [{"key": "k", "operator": "Exists"}]}
    changed = made(DEPLOYMENT, spec__selector=selector)
    shown = '{"matchLabels":{"app":"x"},"matchExpressions":[{"key":"k","operator":"Exists"}]}'
    assert f"spec.selector: Invalid value: {shown}: field is immutable" in refusals(changed, made(DEPLOYMENT))
    twice = [{"port": 80, "name": "a", "protocol": "TCP"}, {"port": 80, "name": "b", "protocol": "TCP"}]
    assert refusals(made(SERVICE, spec__ports=twice)) == [
        'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
        '"NodePort":0}'
    ]


def test_a_jobs_template_is_shown_as_the_servers_own_struct() -> None:
    changed = made(JOB, spec__template__metadata={"labels": {"b": "2", "a": "1"}})
    (text,) = [line for line in refusals(changed, made(JOB)) if line.startswith("spec.template:")]
    assert text.startswith(
        'spec.template: Invalid value: {"labels":{"a":"1","b":"2"},"Spec":{"Volumes":null,"InitContainers":null,'
        '"Containers":[{"Name":"c","Image":"i","Command":null,"Args":null,"WorkingDir":"","Ports":null,'
    )
    assert text.endswith(": field is immutable")


def test_a_claims_other_fields_may_not_change_and_the_difference_is_shown() -> None:
    claim = made(CLAIM)
    (text,) = refusals(made(CLAIM, spec__accessModes=["ReadWriteMany"]), claim)
    assert text == (
        "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
        'for bound claims\n@@ -1,6 +1,6 @@\n {\n  "AccessModes": [\n-  "ReadWriteOnce"\n+  "ReadWriteMany"\n  ],\n'
        '  "Selector": null,\n  "Resources": {\n'
    )


def test_an_immutable_config_map_stays_as_it_is() -> None:
    old = made(CONFIG, immutable=True)
    assert refusals(made(CONFIG, immutable=True, data={"a": "c"}), old) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    assert refusals(made(CONFIG), old) == ["immutable: Forbidden: field is immutable when `immutable` is set"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * * * mon-fri", None),
        ("*/5 9-17 * jan,feb *", None),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@hourly", None),
        ("@often", "unrecognized descriptor: @often"),
    ],
)
def test_schedules_are_parsed_as_cron_parses_them(text: str, message: str | None) -> None:
    if message is None:
        schedule.check(text)
        return
    with pytest.raises(schedule.ScheduleError) as error:
        schedule.check(text)
    assert str(error.value) == message
