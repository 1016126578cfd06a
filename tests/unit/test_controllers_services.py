"""Services: addresses, ports, endpoints, load balancers."""

from __future__ import annotations

from typing import Any

import pytest
from controllers_world import World, deployment, pod

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.status import ApiError


@pytest.fixture
def world() -> World:
    return World()


def service(name: str = "web", type_: str = "ClusterIP", **spec: Any) -> Obj:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "targetPort": 80}])
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": type_, "ports": ports, "selector": {"app": name}, **spec},
    }


def slices(world: World, name: str = "web") -> list[Obj]:
    return world.api.objects("discovery.k8s.io/EndpointSlice", "default", {"kubernetes.io/service-name": name})


def test_a_cluster_ip_is_given_once_and_kept(world: World) -> None:
    spec = world.create(service())["spec"]
    assert spec["clusterIP"].startswith("10.96.") and spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    again = service()
    again["metadata"]["namespace"] = "default"
    assert world.api.update(again)["spec"]["clusterIP"] == spec["clusterIP"]
    assert world.create(service("other"))["spec"]["clusterIP"] != spec["clusterIP"]


def test_a_wished_address_is_honoured_unless_it_is_taken_or_outside(world: World) -> None:
    assert world.create(service(clusterIP="10.96.7.7"))["spec"]["clusterIP"] == "10.96.7.7"
    with pytest.raises(ApiError) as taken:
        world.create(service("two", clusterIP="10.96.7.7"))
    assert taken.value.code == 422
    assert taken.value.message == (
        'Service "two" is invalid: spec.clusterIPs: Invalid value: ["10.96.7.7"]: '
        "failed to allocate IP 10.96.7.7: provided IP is already allocated"
    )
    with pytest.raises(ApiError, match="not in the valid range"):
        world.create(service("three", clusterIP="10.0.0.1"))


def test_headless_and_external_services_have_no_address(world: World) -> None:
    assert world.create(service(clusterIP="None"))["spec"]["clusterIPs"] == ["None"]
    external = world.create(service("ext", "ExternalName", externalName="db.example.net", selector={}))
    assert "clusterIP" not in external["spec"]


def test_node_ports_are_given_kept_refused_twice_and_taken_back(world: World) -> None:
    given = world.create(service(type_="NodePort"))["spec"]["ports"][0]["nodePort"]
    assert 30000 <= given <= 32767
    with pytest.raises(ApiError, match="provided port is already allocated"):
        world.create(service("two", "NodePort", ports=[{"port": 80, "nodePort": given}]))
    with pytest.raises(ApiError, match="The range of valid ports is 30000-32767"):
        world.create(service("three", "NodePort", ports=[{"port": 80, "nodePort": 80}]))
    changed = world.change("Service", "web", lambda s: s["spec"].update(type="ClusterIP"))
    assert "nodePort" not in changed["spec"]["ports"][0]


def test_a_load_balancer_is_pending_then_has_an_address_of_its_kind() -> None:
    world = World(scale=1.0)
    world.create(service(type_="LoadBalancer"))
    internal = service("inside", "LoadBalancer")
    internal["metadata"]["annotations"] = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
    world.create(internal)
    world.run(1)
    assert world.get("Service", "web")["status"]["loadBalancer"] == {}
    world.run(10)
    [public] = world.get("Service", "web")["status"]["loadBalancer"]["ingress"]
    [private] = world.get("Service", "inside")["status"]["loadBalancer"]["ingress"]
    assert public["ip"].startswith("20.103.") and private["ip"].startswith("10.224.")
    assert set(world.events("EnsuredLoadBalancer")) == {"Ensured load balancer"}
    world.change("Service", "web", lambda s: s["spec"].update(type="ClusterIP"))
    world.run()
    assert world.get("Service", "web")["status"]["loadBalancer"] == {}
    world.api.delete("Service", "inside", "default")
    world.run()
    assert not world.exists("Service", "inside"), "its finalizer is taken off"


def test_endpoints_follow_the_ready_pods(world: World) -> None:
    world.create(service())
    world.create(deployment(replicas=2))
    world.create(pod("slow", labels={"app": "web"}, container={"readinessProbe": {"tcpSocket": {"port": 99}}}))
    world.run()
    [subset] = world.get("Endpoints", "web")["subsets"]
    assert subset["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    ready = {p["status"]["podIP"] for p in world.pods() if p["metadata"]["name"] != "slow"}
    assert {a["ip"] for a in subset["addresses"]} == ready
    assert [a["targetRef"]["name"] for a in subset["notReadyAddresses"]] == ["slow"]
    [shown] = slices(world)
    conditions = {e["targetRef"]["name"]: e["conditions"] for e in shown["endpoints"]}
    assert conditions.pop("slow") == {"ready": False, "serving": False, "terminating": False}
    assert all(c["ready"] for c in conditions.values()) and len(conditions) == 2
    world.change("apps/Deployment", "web", lambda d: d["spec"].update(replicas=0))
    world.run()
    assert "addresses" not in world.get("Endpoints", "web")["subsets"][0]


def test_a_named_target_port_is_looked_up_in_each_pod(world: World) -> None:
    world.create(service(ports=[{"port": 80, "targetPort": "api"}]))
    world.create(pod("one", labels={"app": "web"}, container={"ports": [{"name": "api", "containerPort": 80}]}))
    world.create(pod("two", labels={"app": "web"}, container={"ports": [{"name": "api", "containerPort": 8081}]}))
    world.create(pod("none", labels={"app": "web"}))
    world.run()
    subsets = world.get("Endpoints", "web")["subsets"]
    assert sorted(s["ports"][0]["port"] for s in subsets) == [80, 8081]
    assert sum(len(s["addresses"]) for s in subsets) == 2


def test_a_service_without_pods_has_empty_endpoints(world: World) -> None:
    world.create(service())
    world.run()
    assert "subsets" not in world.get("Endpoints", "web")
    [empty] = slices(world)
    assert not empty.get("endpoints")
    assert empty["metadata"]["ownerReferences"][0]["kind"] == "Service"


def test_deleting_a_service_takes_its_endpoints_and_slices(world: World) -> None:
    world.create(service())
    world.create(pod("p", labels={"app": "web"}))
    world.run()
    world.api.delete("Service", "web", "default")
    world.run()
    assert not world.exists("Endpoints", "web") and slices(world) == []


def test_endpoints_that_a_user_wrote_are_mirrored(world: World) -> None:
    bare = service()
    del bare["spec"]["selector"]
    world.create(bare)
    subsets = [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"name": "http", "port": 8080}]}]
    world.create({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}, "subsets": subsets})
    world.run()
    [mirror] = slices(world)
    assert mirror["endpoints"][0]["addresses"] == ["192.0.2.7"] and mirror["ports"][0]["port"] == 8080


def test_large_services_spread_over_several_slices(world: World) -> None:
    world.create(service())
    world.create(deployment(replicas=230))
    world.run()
    sizes = [len(s["endpoints"]) for s in slices(world)]
    assert sorted(sizes) == [30, 100, 100]
    assert len(world.get("Endpoints", "web")["subsets"][0]["addresses"]) == 230
