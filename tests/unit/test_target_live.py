"""A live cluster: only by name, only through a private copy of the kubeconfig, and nothing of it is left behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kube_server import FakeApi, running

from labrunner.errors import EnvironmentFault, ExitCode, LabrunnerError, UsageError
from labrunner.paths import state_dir
from labrunner.target.kubeconfig import kubeconfig_paths, only_context, read_kubeconfig
from labrunner.target.live import LiveTarget


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with running() as server:
        server.serve_kinds("v1", ("Pod", "pods", True))
        server.answers["/version"] = {"gitVersion": "v1.36.0"}
        yield server


@pytest.fixture
def environment(api: FakeApi, tmp_path: Path) -> dict[str, str]:
    return {"KUBECONFIG": str(api.kubeconfig(tmp_path / "kubeconfig"))}


def test_without_a_context_nothing_is_asked_of_any_cluster(api: FakeApi, environment: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        LiveTarget("", environment=environment).start()
    assert "fake, other" in caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE
    assert api.requests == []


def test_an_unknown_context_is_refused_with_the_nearest_name(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        LiveTarget("fak", environment=environment).start()
    assert caught.value.hint == "Did you mean fake?"


def test_the_shell_gets_a_private_kubeconfig_with_that_context_only(environment: dict[str, str]) -> None:
    target = LiveTarget("other", namespace="lab", environment=environment)
    target.start()
    path = Path(target.environment()["KUBECONFIG"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "other"
    assert [c["name"] for c in config["contexts"]] == ["other"]
    assert config["contexts"][0]["context"]["namespace"] == "lab"
    assert target.kube().namespace() == "lab"
    target.start()
    assert target.environment()["KUBECONFIG"] == str(path)
    target.stop()
    target.stop()
    assert not path.parent.exists()
    with pytest.raises(EnvironmentFault):
        target.environment()


def test_features_are_what_the_cluster_serves(api: FakeApi, environment: dict[str, str]) -> None:
    target = LiveTarget("fake", environment=environment)
    target.start()
    assert target.features == {"kubernetes"}
    target.stop()
    api.serve_kinds("networking.istio.io/v1", ("Gateway", "gateways", True))
    api.answers["/api/v1/pods"] = {"items": [{"metadata": {"name": "istiod"}, "status": {"phase": "Running"}}]}
    target.start()
    assert target.features == {"kubernetes", "istio-crds", "mesh"}
    assert not target.snapshot("a") and not target.restore("a")
    target.stop()


def test_a_cluster_that_is_down_leaves_no_copy_of_the_credentials(tmp_path: Path) -> None:
    with running() as api:
        environment = {"KUBECONFIG": str(api.kubeconfig(tmp_path / "kubeconfig"))}
    with pytest.raises(EnvironmentFault, match="connection refused"):
        LiveTarget("fake", environment=environment).start()
    assert list((state_dir() / "live").iterdir()) == []


def test_copies_of_processes_that_were_killed_are_removed(environment: dict[str, str]) -> None:
    stale = state_dir() / "live" / "999999999-abc"
    own = state_dir() / "live" / f"{os.getpid()}-abc"
    stale.mkdir(parents=True)
    own.mkdir()
    target = LiveTarget("fake", environment=environment)
    target.start()
    target.stop()
    assert not stale.exists()
    assert own.exists()


def test_kubeconfigs_are_merged_as_kubectl_does(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "one", tmp_path / "b" / "two"
    for path, server, context in ((first, "https://one", "x"), (second, "https://two", "y")):
        path.parent.mkdir()
        cluster = {"server": server, "certificate-authority": "ca.crt"}
        path.write_text(
            yaml.safe_dump(
                {
                    "current-context": context,
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": {"exec": {"command": "./login"}}}],
                    "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
    paths = kubeconfig_paths({"KUBECONFIG": f"{first}:{tmp_path / 'none'}:{second}"})
    config = read_kubeconfig(paths)
    assert config["current-context"] == "x"
    chosen = only_context(config, "y")
    assert chosen["clusters"][0]["cluster"] == {
        "server": "https://one",
        "certificate-authority": str(tmp_path / "a" / "ca.crt"),
    }
    assert chosen["users"][0]["user"]["exec"]["command"] == str(tmp_path / "a" / "login")


def test_without_kubeconfig_the_home_directory_counts(tmp_path: Path) -> None:
    assert kubeconfig_paths({"HOME": str(tmp_path)}) == [tmp_path / ".kube" / "config"]


def test_a_context_of_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump({"contexts": [{"name": "x", "context": {"cluster": "gone", "user": ""}}]}))
    with pytest.raises(LabrunnerError, match="gone"):
        LiveTarget("x", environment={"KUBECONFIG": str(path)}).start()
