"""What is valid but hardly meant so is warned of, in the server's words."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.schema import warnings


def pod(**container: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", **container}]}}


def test_a_variable_defined_twice_hides_the_first() -> None:
    found = warnings.of("Pod", pod(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), None)
    text = 'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'
    assert found == [text]


def test_the_same_port_twice_is_told_but_not_the_same_number_of_another_protocol() -> None:
    ports = [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]
    assert warnings.of("Pod", pod(ports=ports), None) == []
    found = warnings.of("Pod", pod(ports=[*ports, ports[0]]), None)
    assert found == ["spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[0]"]


def test_memory_in_thousandths_of_a_byte_is_told() -> None:
    found = warnings.of("Pod", pod(resources={"limits": {"memory": "100m", "cpu": "100m"}}), None)
    text = 'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer'
    assert found == [text]


def test_a_template_is_warned_of_where_it_stands_and_only_when_it_changed() -> None:
    template = pod() | {"spec": {**pod()["spec"], "nodeSelector": {"beta.kubernetes.io/os": "linux"}}}
    deployment = {"metadata": {"name": "d", "generation": 2}, "spec": {"template": template}}
    text = (
        'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'
    )
    assert warnings.of("apps/Deployment", deployment, None) == [text]
    older = {**deployment, "metadata": {"name": "d", "generation": 1}}
    assert warnings.of("apps/Deployment", deployment, older) == [text]
    assert warnings.of("apps/Deployment", deployment, deployment) == []


def test_a_name_with_dots_is_no_host_name() -> None:
    found = warnings.of("apps/Deployment", {"metadata": {"name": "a.b"}, "spec": {}}, None)
    assert found == [
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
        "a DNS label is recommended: [must not contain dots]"
    ]
