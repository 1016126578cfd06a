"""Finding labs, trusting them, and the values in their texts."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from lab_files import write, write_lab

from labrunner.errors import UsageError
from labrunner.lab import content, trust
from labrunner.lab.catalogue import read_catalogue
from labrunner.lab.durations import seconds
from labrunner.lab.loader import load_lab
from labrunner.lab.markdown import Fence, Prose, sections
from labrunner.lab.substitution import references, substitute
from labrunner.paths import state_dir


def test_folders_of_ones_own_come_before_the_bundled_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = write_lab(tmp_path / "a")
    write_lab(tmp_path / "b")
    shadow = write_lab(tmp_path / "b", lab_id="apim-istio")
    monkeypatch.setenv("LABRUNNER_LABS", os.pathsep.join([str(tmp_path / "a" / "labs"), str(tmp_path / "b")]))
    found = content.lab_directories()
    assert found["demo"] == mine
    assert found["apim-istio"] == shadow
    assert content.find_lab("demo") == mine
    assert not content.is_bundled(mine)


def test_the_first_lab_is_bundled_and_found_by_id() -> None:
    directory = content.find_lab("apim-istio")
    assert content.is_bundled(directory)
    assert (directory / "lab.yaml").is_file()


def test_a_lab_is_found_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write_lab(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in (str(directory), "labs/demo", "./labs/demo/lab.yaml"):
        assert content.find_lab(name).resolve() == directory.resolve()
    monkeypatch.chdir(directory)
    assert content.find_lab(".").resolve() == directory.resolve()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("apim-itsio", "Did you mean 'apim-istio'?"),
        ("zzz", "`labrunner list`"),
        ("no/such", "lab.yaml"),
        ("x" * 5000, "list"),
    ],
)
def test_a_lab_that_is_not_there_comes_with_the_way_out(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        content.find_lab(name)
    assert hint in caught.value.hint


def test_a_folder_that_is_none_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABRUNNER_LABS", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="LABRUNNER_LABS"):
        content.lab_directories()


def test_the_catalogue_keeps_broken_labs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lab(tmp_path)
    write_lab(tmp_path, "kind: [", lab_id="broken")
    monkeypatch.setenv("LABRUNNER_LABS", str(tmp_path))
    catalogue = read_catalogue()
    assert "demo" in [lab.id for lab in catalogue.labs]
    assert [broken.id for broken in catalogue.broken] == ["broken"]


def test_bundled_labs_are_trusted_and_others_once_asked(tmp_path: Path) -> None:
    assert trust.is_trusted(load_lab(content.find_lab("apim-istio")))
    directory = write_lab(tmp_path)
    lab = load_lab(directory)
    assert not trust.is_trusted(lab)
    trust.trust(lab)
    assert trust.is_trusted(lab)
    assert not trust.is_trusted(replace(lab, digest="0" * 64))
    write(directory / "lab.yaml", (directory / "lab.yaml").read_text().replace("echo", "printf '%s'"))
    assert not trust.is_trusted(load_lab(directory))


@pytest.mark.parametrize("damage", ["", "{", "[]", "\x00\xff"])
def test_a_damaged_list_of_consents_asks_again(tmp_path: Path, damage: str) -> None:
    lab = load_lab(write_lab(tmp_path))
    trust.trust(lab)
    write(state_dir() / "trust.json", damage)
    assert not trust.is_trusted(lab)
    trust.trust(lab)
    assert trust.is_trusted(lab)
    assert lab.digest in json.loads((state_dir() / "trust.json").read_text())


def test_a_consent_is_about_every_command(tmp_path: Path) -> None:
    commands = "\n".join(command for _, command in trust.commands(load_lab(write_lab(tmp_path))))
    for part in ("> greeting.txt", "> gretting.txt", "rm -f"):
        assert part in commands


@pytest.mark.parametrize(
    ("text", "values", "types", "result"),
    [
        ("${A} and ${B}", {"A": "x"}, {}, "x and ${B}"),
        ("$${A}", {"A": "x"}, {}, "${A}"),
        ("$A", {"A": "x"}, {}, "$A"),
        ("${A}", {"A": "3"}, {"A": "integer"}, 3),
        ("n${A}", {"A": "3"}, {"A": "integer"}, "n3"),
        ("${A}", {"A": "true"}, {"A": "boolean"}, True),
        ("${A}", {"A": "${B}", "B": "y"}, {}, "${B}"),
        (["${A}", {"k": "${A}"}, 5], {"A": "x"}, {}, ["x", {"k": "x"}, 5]),
    ],
)
def test_values_are_substituted_once_and_typed(text: object, values: dict, types: dict, result: object) -> None:
    assert substitute(text, values, types) == result


def test_references_are_what_would_be_substituted() -> None:
    assert references("${A} $${B} $C ${D}") == ["A", "D"]


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("90s", 90), ("2m", 120), ("1m30s", 90), ("1.5h", 5400)])
def test_durations_have_units(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "-1s", "1s1", "1d"])
def test_a_duration_without_a_unit_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


def test_markdown_is_split_at_its_fences() -> None:
    parts = list(sections("Hi\n\n```run:a\n```\nthen\n~~~yaml\n```\nx: 1\n~~~\n````\nopen"))
    assert [type(p) for p in parts] == [Prose, Fence, Prose, Fence, Fence]
    fences = [p for p in parts if isinstance(p, Fence)]
    assert [f.block_id for f in fences] == ["a", None, None]
    assert [f.line for f in fences] == [2, 5, 9]
    assert fences[1].body == "```\nx: 1"
    assert not fences[2].closed
