"""The store and its journal: order, history, durability, compaction, restoring."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labrunner.sandbox.kube import journal as journal_module
from labrunner.sandbox.kube import store as store_module
from labrunner.sandbox.kube.api import Change
from labrunner.sandbox.kube.journal import Journal, JournalFull, read_lines, write_lines
from labrunner.sandbox.kube.store import Store


def config_map(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}"}, "data": data}


def opened(path: Path) -> Store:
    return Store(Journal(path))


def names(store: Store, namespace: str = "") -> list[str]:
    return [f"{o['metadata']['namespace']}/{o['metadata']['name']}" for o in store.objects("ConfigMap", namespace)]


def test_objects_are_listed_as_etcd_sorts_their_keys() -> None:
    store = Store()
    for namespace, name in [("b", "x"), ("a", "z"), ("a-b", "y"), ("a", "b")]:
        store.put("ConfigMap", config_map(name, namespace))
    assert names(store) == ["a-b/y", "a/b", "a/z", "b/x"]
    assert names(store, "a") == ["a/b", "a/z"]


def test_each_write_gets_the_next_revision_and_is_told_with_what_was_before() -> None:
    store = Store()
    told: list[Change] = []
    store.listen(told.append)
    store.put("ConfigMap", config_map("a"))
    store.put("ConfigMap", config_map("a", v="2"))
    store.remove("ConfigMap", "default", "a")
    assert [(c.type, c.resource_version) for c in told] == [("ADDED", 1), ("MODIFIED", 2), ("DELETED", 3)]
    assert told[1].old is not None and told[1].old["data"] == {}
    assert told[2].obj["data"] == {"v": "2"}
    assert told[2].obj["metadata"]["resourceVersion"] == "3"


def test_a_list_of_the_past_is_what_it_was() -> None:
    store = Store()
    store.put("ConfigMap", config_map("a"))
    store.put("ConfigMap", config_map("b"))
    store.remove("ConfigMap", "default", "a")
    store.put("ConfigMap", config_map("c"))
    at = {revision: store.at("ConfigMap", "", revision) for revision in (1, 2, 3, 4)}
    assert [[o["metadata"]["name"] for o in at[r] or ()] for r in (1, 2, 3, 4)] == [
        ["a"], ["a", "b"], ["b"], ["b", "c"],
    ]  # fmt: skip
    assert store.at("ConfigMap", "", 5) is None


def test_history_is_bounded_and_says_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "HISTORY", 3)
    store = Store()
    for i in range(5):
        store.put("ConfigMap", config_map("a", v=str(i)))
    assert store.table("ConfigMap").compacted == 2
    assert store.at("ConfigMap", "", 1) is None
    assert store.at("ConfigMap", "", 2) is not None


def test_owners_are_found_by_uid_and_forgotten_with_the_object() -> None:
    store = Store()
    obj = config_map("a")
    obj["metadata"]["ownerReferences"] = [{"uid": "owner"}]
    store.put("ConfigMap", obj)
    assert [kind for kind, _ in store.owned("owner")] == ["ConfigMap"]
    store.put("ConfigMap", config_map("a"))
    assert store.owned("owner") == []


def test_everything_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    store = opened(path)
    store.put("ConfigMap", config_map("a"))
    store.put("ConfigMap", config_map("b"))
    store.remove("ConfigMap", "default", "a")
    again = opened(path)
    assert names(again) == ["default/b"]
    assert again.revision == 3
    assert again.at("ConfigMap", "", 2) is None, "what happened before is not known any more"


@given(cut=st.integers(min_value=1, max_value=400))
@settings(max_examples=60, deadline=None)
def test_a_torn_last_line_is_dropped_and_nothing_else(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("torn") / "journal"
    store = opened(path)
    for i in range(4):
        store.put("ConfigMap", config_map(f"c{i}"))
    data = path.read_bytes()
    kept = data[: max(0, len(data) - cut)]
    path.write_bytes(kept)
    again = opened(path)
    assert len(names(again)) == kept.count(b"\n")
    again.put("ConfigMap", config_map("after"))
    assert "default/after" in names(opened(path))


def test_a_damaged_line_in_the_middle_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    store = opened(path)
    for i in range(3):
        store.put("ConfigMap", config_map(f"c{i}"))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b"\x00garbage\n"
    path.write_bytes(b"".join(lines))
    assert names(opened(path)) == ["default/c0", "default/c2"]


def test_a_full_disk_refuses_the_write_and_leaves_the_journal_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    store = opened(path)
    store.put("ConfigMap", config_map("a"))
    real = os.write

    def first_half_then_full(descriptor: int, data: bytes, state: list[int] = [0]) -> int:  # noqa: B006
        state[0] += 1
        if state[0] == 1:
            return real(descriptor, bytes(data)[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", first_half_then_full)
    with pytest.raises(JournalFull):
        store.put("ConfigMap", config_map("b"))
    monkeypatch.setattr(journal_module.os, "write", real)
    assert names(store) == ["default/a"], "reading goes on"
    store.put("ConfigMap", config_map("c"))
    assert names(opened(path)) == ["default/a", "default/c"]


def test_compaction_keeps_the_state_and_shrinks_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_FROM_BYTES", 2000)
    path = tmp_path / "journal"
    store = opened(path)
    for i in range(100):
        store.put("ConfigMap", config_map("a", v=str(i)))
    before = path.stat().st_size
    store.compact()
    assert path.stat().st_size < before / 10
    store.put("ConfigMap", config_map("b"))
    again = opened(path)
    assert names(again) == ["default/a", "default/b"]
    assert again.revision == 101


def test_restoring_tells_every_difference_and_revisions_go_on(tmp_path: Path) -> None:
    store = opened(tmp_path / "journal")
    for name in ("same", "changed", "gone"):
        store.put("ConfigMap", config_map(name))
    write_lines(tmp_path / "snapshot", store.lines())
    same = store.get("ConfigMap", "default", "same")
    store.put("ConfigMap", config_map("changed", v="new"))
    store.remove("ConfigMap", "default", "gone")
    store.put("ConfigMap", config_map("extra"))
    before, told, resets = store.revision, list[Change](), list[bool]()
    store.listen(told.append)
    store.on_reset(lambda: resets.append(True))
    store.replace(read_lines(tmp_path / "snapshot"))
    assert sorted((c.type, c.obj["metadata"]["name"]) for c in told) == [
        ("ADDED", "gone"), ("DELETED", "extra"), ("MODIFIED", "changed"),
    ]  # fmt: skip
    assert resets == [True]
    assert store.revision > before
    found = store.get("ConfigMap", "default", "same")
    assert found == same, "what did not change keeps its resourceVersion"
    assert names(opened(tmp_path / "journal")) == names(store) == ["default/changed", "default/gone", "default/same"]
    assert store.at("ConfigMap", "", before) is None
