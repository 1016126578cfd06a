"""What the learner types by hand is told to be a block of the lab, however it is spaced, quoted and cut."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_fakes import lab_of

from labrunner.lab.model import Block, Lab, Step
from labrunner.run.recognition import Recognition, words

APPLY = "kubectl apply -n demo -f web.yaml \\\n  --server-side"
LOOP = 'for n in 1 2 3; do\n  echo "pod $n"\ndone\n'
TWO = "mkdir -p certs\nopenssl req -x509 -subj '/CN=Contoso Lab CA' -out certs/ca.crt  # the certificate\n"
HERE = "cat > web.yaml <<'EOF'\nkind: Pod\n  name: web\nEOF"


def make(tmp_path: Path) -> Lab:
    def step(name: str, **blocks: str) -> Step:
        return Step(name, name, "", blocks=tuple(Block(key, run) for key, run in blocks.items()))

    first = step("first", apply=APPLY, loop=LOOP, two=TWO, here=HERE, get="kubectl get pods -n ${NAMESPACE}")
    second = step("second", get2="kubectl get pods -n ${NAMESPACE}", only="kubectl get gateways -A | sort")
    watch = Block("watch", "kubectl logs -f deploy/web", background=True)
    first = dataclasses.replace(first, solution=(Block("solve", "kubectl apply -f solution.yaml"),))
    return lab_of(first, dataclasses.replace(second, blocks=(*second.blocks, watch)), directory=tmp_path)


@pytest.fixture
def known(tmp_path: Path) -> Recognition:
    return Recognition(make(tmp_path), {"NAMESPACE": "team-a"})


def block(known: Recognition, text: str, current: str = "first") -> tuple[str, str]:
    found = known.recognise(text, current)
    return found.step, found.block.id if found.block is not None else ""


@pytest.mark.parametrize(
    ("typed", "is_block"),
    [
        (APPLY, "apply"),
        ("kubectl   apply -n demo\t-f web.yaml --server-side  ", "apply"),
        ("kubectl apply -n 'demo' -f \"web.yaml\" --server-side # mine", "apply"),
        ("kubectl apply -n demo -f web.yaml --server-side;", "apply"),
        ("kubectl apply -n demo -f other.yaml --server-side", ""),
        ("kubectl apply -n demo -f web.yaml", ""),
        ("echo kubectl apply -n demo -f web.yaml --server-side", ""),
        ("for n in 1 2 3; do echo \"pod $n\"; done", "loop"),
        ("for n in 1 2 3\ndo echo \"pod $n\"\ndone", "loop"),
        ("for n in 1 2 3; do echo 'pod $n'; done", ""),
        ("mkdir -p certs; openssl req -x509 -subj \"/CN=Contoso Lab CA\" -out certs/ca.crt", "two"),
        ("mkdir -p certs && openssl req -x509 -subj '/CN=Contoso Lab CA' -out certs/ca.crt", ""),
        ("openssl req -x509 -subj /CN=Contoso\\ Lab\\ CA -out certs/ca.crt", ""),
        (HERE + "\n", "here"),
        (HERE.replace("web\n", "other\n"), ""),
        ("kubectl get pods -n $NAMESPACE", "get"),
        ("kubectl get pods -n team-a", "get"),
        ("kubectl get pods -n team-b", ""),
        ("kubectl apply -f solution.yaml", "solve"),
        ("", ""),
        ("echo 'open", ""),
        ("kubectl get pods -n \"team", ""),
    ],
)  # fmt: skip
def test_only_what_bash_reads_counts(known: Recognition, typed: str, is_block: str) -> None:
    assert block(known, typed) == ("first", is_block)


def test_lines_typed_one_by_one_are_the_block_with_the_last_of_them(known: Recognition) -> None:
    lines = [line.partition("#")[0] for line in TWO.splitlines()]
    assert block(known, lines[0]) == ("first", "")
    known.ended(lines[0], "made\n")
    found = known.recognise(lines[1], "first")
    assert found.block is not None and (found.block.id, found.earlier) == ("two", "made\n")


def test_something_else_in_between_breaks_the_block_off(known: Recognition) -> None:
    lines = TWO.splitlines()
    known.ended(lines[0], "")
    known.ended("ls", "")
    assert block(known, lines[1]) == ("first", "")
    known.ended(lines[0], "")
    known.forget()
    assert block(known, lines[1]) == ("first", "")


def test_a_command_of_one_other_step_is_that_steps_and_of_several_nobodys(known: Recognition) -> None:
    assert block(known, "kubectl get gateways -A|sort") == ("second", "only")
    assert block(known, "kubectl get pods -n team-a", "second") == ("second", "get2")


def test_a_block_that_keeps_running_is_typed_with_or_without_its_sign(known: Recognition) -> None:
    assert block(known, "kubectl logs -f deploy/web &", "second") == ("second", "watch")
    assert block(known, "kubectl logs -f deploy/web", "second") == ("second", "watch")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a 'b*'", "a b*"), ("a '$x'", 'a "$x"'), ("a ~", "a '~'"), ("a | b", "a || b"), ("a > b", "a >> b"),
        ("a 2>b", "a 2 >b"),
    ],
)  # fmt: skip
def test_quotes_and_operators_that_mean_something_are_told_apart(one: str, other: str) -> None:
    assert words(one) != words(other)


@given(st.text(alphabet="ab $'\"\\;|&<>()#\n*`", max_size=40))
def test_no_text_at_all_raises(text: str) -> None:
    words(text)
    words(f'x $({text}) "{text}"')
