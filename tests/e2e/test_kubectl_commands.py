"""What learners do with kubectl, on an instant sandbox with everything running."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from labrunner.sandbox.instance import Sandbox

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "nginx:1.27", ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


class Shell:
    def __init__(self, sandbox: Sandbox) -> None:
        self.environment = {**os.environ, **sandbox.environment()}
        self.namespace = "default"

    def run(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "-n", self.namespace, *args]
        return subprocess.run(
            command, env=self.environment, input=stdin, text=True, capture_output=True, check=False, timeout=60
        )

    def ok(self, *args: str, stdin: str = "") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"{args}: {done.stderr}"
        return done.stdout

    def error(self, *args: str, stdin: str = "") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode != 0, f"{args}: {done.stdout}"
        return done.stderr


@pytest.fixture(scope="module")
def shell_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    sandbox = Sandbox("kubectl", tmp_path_factory.mktemp("kubectl") / "sandbox")
    sandbox.start(owned=True, instant=True)
    yield Shell(sandbox)
    sandbox.stop()


@pytest.fixture
def shell(shell_of_module: Shell, request: pytest.FixtureRequest) -> Iterator[Shell]:
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    shell_of_module.ok("create", "namespace", name)
    shell_of_module.namespace = name
    yield shell_of_module
    shell_of_module.namespace = "default"
    shell_of_module.ok("delete", "namespace", name, "--wait=false")


def test_apply_says_created_then_unchanged_then_configured(shell: Shell) -> None:
    assert shell.ok("apply", "-f", "-", stdin=WEB) == "deployment.apps/web created\nservice/web created\n"
    assert shell.ok("apply", "-f", "-", stdin=WEB) == "deployment.apps/web unchanged\nservice/web unchanged\n"
    more = WEB.replace("replicas: 2", "replicas: 3")
    assert shell.ok("apply", "-f", "-", stdin=more) == "deployment.apps/web configured\nservice/web unchanged\n"
    shell.ok("rollout", "status", "deployment/web", "--timeout=20s")
    assert shell.ok("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}") == "3"


def test_a_change_rolls_out_and_back(shell: Shell) -> None:
    shell.ok("apply", "-f", "-", stdin=WEB)
    shell.ok("rollout", "status", "deployment/web", "--timeout=20s")
    shell.ok("set", "image", "deployment/web", "web=nginx:1.28")
    shell.ok("rollout", "status", "deployment/web", "--timeout=20s")
    assert shell.ok("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}") == "nginx:1.28 nginx:1.28"
    shell.ok("rollout", "undo", "deployment/web")
    shell.ok("rollout", "status", "deployment/web", "--timeout=20s")
    assert shell.ok("get", "deploy", "web", "-o", "jsonpath={..image}") == "nginx:1.27"


def test_server_side_apply_conflicts_and_forces(shell: Shell) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: %s}\n"
    shell.ok("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=text % "x")
    conflict = shell.error("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=text % "z")
    assert 'conflict with "one": .data.a' in conflict
    shell.ok("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=text % "z")
    assert shell.ok("get", "cm", "c", "-o", "jsonpath={.data.a}") == "z"


def test_diff_shows_and_changes_nothing(shell: Shell) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: %s}\n"
    shell.ok("apply", "-f", "-", stdin=text % "x")
    done = shell.run("diff", "-f", "-", stdin=text % "z")
    assert done.returncode == 1 and "-  a: x" in done.stdout and "+  a: z" in done.stdout
    assert shell.ok("get", "cm", "c", "-o", "jsonpath={.data.a}") == "x"


def test_deleting_an_owner_takes_what_it_owns(shell: Shell) -> None:
    shell.ok("apply", "-f", "-", stdin=WEB)
    shell.ok("rollout", "status", "deployment/web", "--timeout=20s")
    shell.ok("delete", "deployment", "web", "--cascade=foreground")
    assert "No resources found" in shell.run("get", "pods,rs").stderr


def test_an_orphaning_delete_leaves_what_it_owned(shell: Shell) -> None:
    shell.ok("apply", "-f", "-", stdin=WEB)
    shell.ok("rollout", "status", "deployment/web", "--timeout=20s")
    shell.ok("delete", "deployment", "web", "--cascade=orphan")
    assert shell.ok("get", "rs", "-o", "jsonpath={.items[*].metadata.ownerReferences}") == ""
    assert len(shell.ok("get", "pods", "-o", "name").split()) == 2


def test_wait_and_watch_see_what_comes(shell: Shell) -> None:
    wait = subprocess.Popen(
        ["kubectl", "-n", shell.namespace, "wait", "--for=create", "configmap/late", "--timeout=20s"],
        env=shell.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(0.1)
    shell.ok("create", "configmap", "late")
    assert wait.communicate(timeout=20)[0] == "configmap/late condition met\n"


def test_label_annotate_scale_and_patch(shell: Shell) -> None:
    shell.ok("apply", "-f", "-", stdin=WEB)
    shell.ok("label", "deploy", "web", "tier=front")
    shell.ok("annotate", "deploy", "web", "note=x")
    shell.ok("scale", "deploy", "web", "--replicas=1")
    shell.ok("patch", "deploy", "web", "--type=json", "-p", '[{"op":"add","path":"/metadata/labels/x","value":"y"}]')
    shell.ok(
        "patch", "deploy", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"web","tty":true}]}}}}'
    )
    found = shell.ok("get", "deploy", "web", "-o", "jsonpath={.metadata.labels} {.spec.replicas} {..image} {..tty}")
    assert found == '{"app":"web","tier":"front","x":"y"} 1 nginx:1.27 true'


def test_evicting_respects_a_disruption_budget(shell: Shell) -> None:
    shell.ok("apply", "-f", "-", stdin=WEB)
    shell.ok("rollout", "status", "deployment/web", "--timeout=20s")
    shell.ok("create", "pdb", "web", "--selector=app=web", "--min-available=2")
    shell.ok("wait", "--for=jsonpath={.status.currentHealthy}=2", "pdb/web", "--timeout=10s")
    pod = shell.ok("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}})
    path = f"/api/v1/namespaces/{shell.namespace}/pods/{pod}/eviction"
    refusal = shell.error("create", "--raw", path, "-f", "-", stdin=eviction)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refusal


def test_tokens_and_who_they_are(shell: Shell) -> None:
    shell.ok("create", "serviceaccount", "robot")
    token = shell.ok("create", "token", "robot").strip()
    assert token.count(".") == 2
    assert shell.ok("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}") == "kubernetes-admin"
    shell.ok("create", "role", "reader", "--verb=get,list", "--resource=pods")
    shell.ok("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={shell.namespace}:robot")
    robot = f"--as=system:serviceaccount:{shell.namespace}:robot"
    assert shell.ok("auth", "can-i", "list", "pods", robot) == "yes\n"
    assert shell.run("auth", "can-i", "delete", "pods", robot).stdout == "no\n"


def test_what_the_control_plane_says_of_itself(shell: Shell) -> None:
    services = shell.ok("get", "apiservices", "--no-headers").splitlines()
    assert ["v1.apps", "Local", "True"] in [line.split()[:3] for line in services]
    assert ["v1.networking.istio.io", "Local", "True"] in [line.split()[:3] for line in services]
    healthy = {line.split()[0]: line.split()[1] for line in shell.ok("get", "cs", "--no-headers").splitlines()}
    assert healthy == {"controller-manager": "Healthy", "etcd-0": "Healthy", "scheduler": "Healthy"}
    classes = shell.ok("get", "pc", "-o", "jsonpath={range .items[*]}{.metadata.name}={.value} {end}")
    assert classes == "system-cluster-critical=2000000000 system-node-critical=2000001000 "
    assert shell.ok("get", "--raw", "/readyz?verbose").endswith("[+]shutdown ok\nreadyz check passed\n")
    issuer = json.loads(shell.ok("get", "--raw", "/.well-known/openid-configuration"))
    assert json.loads(shell.ok("get", "--raw", "/" + issuer["jwks_uri"].partition("//")[2].partition("/")[2]))["keys"]


def test_deleting_a_definition_leaves_the_one_that_had_the_names_first(shell: Shell) -> None:
    def definition(plural: str) -> str:
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        names = {"kind": "Same", "plural": plural}
        spec = {"group": "same.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
        api = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        return json.dumps(api | {"metadata": {"name": f"{plural}.same.example.com"}, "spec": spec})

    shell.ok("apply", "-f", "-", stdin=definition("firsts"))
    shell.ok("apply", "-f", "-", stdin=definition("seconds"))
    shell.ok("delete", "crd", "seconds.same.example.com")
    assert shell.ok("api-resources", "--api-group=same.example.com", "-o", "name") == "firsts.same.example.com\n"
    assert "v1.same.example.com" in shell.ok("get", "apiservices", "-o", "name")
    shell.ok("delete", "crd", "firsts.same.example.com")


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: sizes.example.com}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  variables: [{name: most, expression: "int(params.data.most)"}]
  matchConditions: [{name: named, expression: "!object.metadata.name.startsWith('free')"}]
  validations:
  - {expression: "object.spec.replicas <= variables.most", messageExpression: "'at most ' + params.data.most"}
  - {expression: "object.spec.paused == true"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: sizes}
spec:
  policyName: sizes.example.com
  validationActions: [Deny]
  paramRef: {name: sizes, parameterNotFoundAction: Deny}
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
"""


def test_an_admission_policy_judges_what_its_binding_selects(shell: Shell) -> None:
    def created(name: str, replicas: int, *more: str) -> subprocess.CompletedProcess[str]:
        return shell.run("create", "deployment", name, "--image=nginx", f"--replicas={replicas}", *more)

    denied = (
        'error: failed to create deployment: deployments.apps "web" is forbidden: ValidatingAdmissionPolicy '
        "'sizes.example.com' with binding 'sizes' denied request: "
    )
    shell.ok("apply", "-f", "-", stdin=POLICY.replace("NAMESPACE", shell.namespace))
    try:
        lost = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction\n"
        assert created("web", 3).stderr == denied + lost
        shell.ok("create", "configmap", "sizes", "--from-literal=most=2")
        assert created("web", 3).stderr == denied + "at most 2\n"
        broken = "expression 'object.spec.paused == true' resulted in error: no such key: paused\n"
        assert created("web", 1).stderr == denied + broken
        assert created("free", 3).returncode == 0
        assert created("web", 3, "-n", "default").returncode == 0
        warn = '{"spec":{"validationActions":["Warn"]}}'
        shell.ok("patch", "validatingadmissionpolicybinding", "sizes", "--type=merge", "-p", warn)
        warned = "Warning: Validation failed for ValidatingAdmissionPolicy 'sizes.example.com' with binding 'sizes': "
        assert created("web", 3).stderr.startswith(warned + "at most 2\n")
    finally:
        shell.ok("delete", "-f", "-", stdin=POLICY)
        shell.ok("delete", "deployment", "web", "-n", "default")


def test_a_finalizer_without_a_domain_is_refused(shell: Shell) -> None:
    shell.ok("create", "configmap", "c")
    assert shell.error("patch", "cm", "c", "-p", '{"metadata":{"finalizers":["mine"]}}') == (
        'The ConfigMap "c" is invalid: metadata.finalizers[0]: Invalid value: "mine": name is neither a standard '
        "finalizer name nor is it fully qualified\n"
    )


def test_a_custom_resources_finalizer_without_a_domain_is_warned_of(shell: Shell) -> None:
    manifest = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, finalizers: [mine]}
spec: {egress: [{hosts: ["./*"]}]}
"""
    assert shell.run("create", "-f", "-", stdin=manifest).stderr == (
        'Warning: metadata.finalizers: "mine": prefer a domain-qualified finalizer name including a path (/) to avoid '
        "accidental conflicts with other finalizer writers\n"
    )
    shell.ok("patch", "sidecar", "s", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def test_what_is_invalid_is_not_judged_by_pod_security(shell: Shell) -> None:
    shell.ok("label", "ns", shell.namespace, "pod-security.kubernetes.io/enforce=restricted")
    overrides = '--overrides={"spec":{"restartPolicy":"Sometimes"}}'
    assert shell.error("run", "p", "--image=busybox", overrides) == (
        'The Pod "p" is invalid: spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", '
        '"OnFailure", "Never"\n'
    )
    assert "violates PodSecurity" in shell.error("run", "p", "--image=busybox")


def test_a_pod_of_an_unknown_runtime_class_is_refused(shell: Shell) -> None:
    overrides = '--overrides={"spec":{"runtimeClassName":"gvisor"}}'
    assert shell.error("run", "p", "--image=busybox", overrides) == (
        'Error from server (Forbidden): pods "p" is forbidden: pod rejected: RuntimeClass "gvisor" not found\n'
    )


def test_explain_and_api_resources_know_custom_kinds(shell: Shell) -> None:
    assert "KIND:       Gateway" in shell.ok("explain", "gateways.networking.istio.io")
    listed = shell.ok("api-resources", "--api-group=networking.istio.io", "-o", "name")
    assert "virtualservices.networking.istio.io" in listed.split()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("get", "pod", "ghost"), 'Error from server (NotFound): pods "ghost" not found\n'),
        (("get", "gizmos"), 'error: the server doesn\'t have a resource type "gizmos"\n'),
        (("delete", "cm", "ghost"), 'Error from server (NotFound): configmaps "ghost" not found\n'),
        (("get", "deploy", "ghost"), 'Error from server (NotFound): deployments.apps "ghost" not found\n'),
    ],
)  # fmt: skip
def test_refusals_read_as_the_servers(shell: Shell, args: tuple[str, ...], message: str) -> None:
    assert shell.error(*args) == message
