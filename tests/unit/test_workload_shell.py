"""The shell of pretended containers behaves as POSIX says, and as the shell it stands for words it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from labrunner.sandbox.workload.machine.container import ContainerMachine
from tests.unit.workload_world import World, run, sh


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.close()


@pytest.fixture
async def box(world: World) -> ContainerMachine:
    return world.pod("box", command=["sleep", "infinity"])


@pytest.fixture
async def debian(world: World) -> ContainerMachine:
    return world.pod("debian", "debian", command=["sleep", "infinity"])


CASES = {
    "pipes": ("echo b; echo a", "b\na\n"),
    "pipeline": ("printf 'b\\na\\n' | sort | head -n 1", "a\n"),
    "and or": ("false && echo no || echo yes; true && echo also", "yes\nalso\n"),
    "defaults": ("x=; echo ${x:-d} ${x-e} ${y-f} ${y:=g} $y ${y:+h}", "d f g g h\n"),
    "trimming": ("f=/a/b.tar.gz; echo ${f##*/} ${f%.*} ${f%%.*} ${f#*/} ${#f}",
                 "b.tar.gz /a/b.tar /a/b a/b.tar.gz 11\n"),
    "quotes": ("a='x  y'; echo $a \"$a\" '$a' \\$a", "x y x  y $a $a\n"),
    "substitution": ("echo $(echo $(echo deep)) `echo \\`echo back\\``", "deep back\n"),
    "substitution keeps status": ("x=$(exit 3); echo $?", "3\n"),
    "arithmetic": ("i=3; echo $((i*2+1)) $((7/2)) $((-7%3)) $((1<2&&2<1)) $((i++)) $i $((0x10)) $((010))",
                   "7 3 -1 0 3 4 16 8\n"),
    "splitting": ("x='1 2  3'; set -- $x; echo $# $2; IFS=,; y=a,b,,c; set -- $y; echo $# $4", "3 2\n4 c\n"),
    "positional": ("set -- 'a b' c; for i in \"$@\"; do echo \"<$i>\"; done; echo $* \"$*\" $#",
                   "<a b>\n<c>\na b c a b c 2\n"),
    "for": ("for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done", "1\n3\n"),
    "while read": ("printf '1 a\\n2 b\\n' | while read n x; do echo $x$n; done", "a1\nb2\n"),
    "until": ("i=0; until [ $i -ge 2 ]; do i=$((i+1)); done; echo $i", "2\n"),
    "case": ("case file.txt in *.md) echo md;; *.txt|*.log) echo text;; *) echo other;; esac", "text\n"),
    "functions": ("f() { local a=$1; echo $a; return 7; }; a=out; f in; echo $? $a", "in\n7 out\n"),
    "subshell": ("x=1; (x=2; echo $x); echo $x", "2\n1\n"),
    "group and redirect": ("{ echo a; echo b; } > /tmp/f; wc -l < /tmp/f; cat /tmp/f >> /tmp/f2; cat /tmp/f2",
                           "2\na\nb\n"),
    "stderr to stdout": ("ls /none 2>&1 | cat; ls /none 2>/dev/null; echo $?",
                         "ls: /none: No such file or directory\n1\n"),
    "order of redirections": ("(echo o; echo e >&2) 2>&1 >/dev/null", "e\n"),
    "here document": ("x=v; cat <<A; cat <<'B'\n$x $(echo s)\nA\n$x\nB\n", "v s\n$x\n"),
    "here document strips tabs": ("cat <<-E\n\t\ttabs\n\tE\necho after", "tabs\nafter\n"),
    "globs": ("cd /tmp; touch a1 a2 b1; echo a* [ab]1 ?2 z*", "a1 a2 a1 b1 a2 z*\n"),
    "tilde": ("HOME=/x; echo ~ ~/y '~'", "/x /x/y ~\n"),
    "test": ("[ -d /etc -a -f /etc/passwd ] && [ ! -e /none ] && [ 3 -gt 2 ] && [ a != b ] && [ -z '' ] && echo ok",
             "ok\n"),
    "exit in the middle": ("echo a; exit 0; echo b", "a\n"),
    "background and wait": ("(sleep 0.02; echo late) & echo early; wait; echo done", "early\nlate\ndone\n"),
    "status of a job": ("(exit 5) & wait $!; echo $?", "5\n"),
    "exit trap": ("trap 'echo bye' EXIT; echo hi", "hi\nbye\n"),
    "signal trap": ("trap 'echo got' TERM; kill -TERM $$; echo after", "got\nafter\n"),
    "errexit": ("set -e; false || echo kept; if false; then :; fi; ! true; echo here; false; echo never",
                "kept\nhere\n"),
    "eval": ("a=b; b=c; eval echo \\$$a", "c\n"),
    "read with a prompt variable": ("echo 'x:y:z' | { IFS=: read a b; echo $b; }", "y:z\n"),
    "getopts": ("set -- -a -b v rest; while getopts ab: o; do echo $o $OPTARG; done; shift $((OPTIND-1)); echo $1",
                "a\nb v\nrest\n"),
    "printf": ("printf '%s-%03d %x|%-4s|%5.2f\\n' a 7 255 x 3.14159", "a-007 ff|x   | 3.14\n"),
    "printf again": ("printf '%s,' a b c; echo", "a,b,c,\n"),
    "exported": ("A=1; export B=2; env | grep -c '^A='; env | grep '^B='; C=3 env | grep '^C='", "0\nB=2\nC=3\n"),
    "source": ("echo 'v=from' > /tmp/s; . /tmp/s; echo $v", "from\n"),
    "command -v": ("command -v sh cd nosuch", "/bin/sh\ncd\n"),
    "script": ("printf '#!/bin/sh\\necho \"$0 $1\"\\n' > /tmp/x.sh; chmod +x /tmp/x.sh; /tmp/x.sh arg",
               "/tmp/x.sh arg\n"),
    "exec": ("exec echo replaced; echo never", "replaced\n"),
    "descriptors": ("exec 3>/tmp/three; echo x >&3; exec 3>&-; cat /tmp/three", "x\n"),
    "cd": ("cd /etc; pwd; cd -; cd ..; pwd", "/etc\n/\n/\n"),
    "comments": ("echo a # not this\n# nor this\necho 'b # c'", "a\nb # c\n"),
    "continuation": ("echo a \\\n  b", "a b\n"),
    "unset": ("x=1; unset x; echo ${x-gone}", "gone\n"),
    "yes is cut off": ("yes | head -n 2; echo ${PIPESTATUS:-none}", "y\ny\nnone\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_posix(box: ContainerMachine, name: str) -> None:
    text, expected = CASES[name]
    assert (await sh(box, text)).out == expected


BASH = {
    "arrays": ("a=(x 'y z'); a+=(w); echo ${a[1]} ${#a[@]}; for i in \"${a[@]}\"; do echo \"<$i>\"; done",
               "y z 3\n<x>\n<y z>\n<w>\n"),
    "double brackets": ("x='a b'; [[ $x == a* && -n $x ]] && echo m; [[ v1.25 =~ ^v([0-9]+)\\.([0-9]+)$ ]] && echo "
                        "${BASH_REMATCH[2]}", "m\n25\n"),
    "braces": ("echo {a,b}{1..3} {01..03}", "a1 a2 a3 b1 b2 b3 01 02 03\n"),
    "here string": ("cat <<< \"$((6*7))\"", "42\n"),
    "arithmetic for": ("for ((i=0; i<3; i++)); do echo -n $i; done; ((i==3)) && echo .", "012.\n"),
    "substring and replace": ("s=hello; echo ${s:1:3} ${s: -2} ${s/l/L} ${s//l/L} ${s^^}",
                              "ell lo heLlo heLLo HELLO\n"),
    "ansi quotes": ("echo $'a\\tb'", "a\tb\n"),
    "pipefail": ("set -o pipefail; false | true; echo $?", "1\n"),
    "process substitution": ("cat <(echo one) <(echo two)", "one\ntwo\n"),
    "both streams": ("ls /none &> /tmp/both; cat /tmp/both", "ls: cannot access '/none': No such file or directory\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", BASH)
async def test_bash(debian: ContainerMachine, name: str) -> None:
    text, expected = BASH[name]
    assert (await sh(debian, text, shell="bash")).out == expected


@pytest.mark.parametrize(
    ("shell", "family", "text", "message", "code"),
    [
        ("sh", "box", "nosuch", "sh: nosuch: not found\n", 127),
        ("sh", "debian", "nosuch", "sh: 1: nosuch: not found\n", 127),
        ("bash", "debian", "nosuch", "bash: line 1: nosuch: command not found\n", 127),
        ("sh", "box", "/etc/passwd", "sh: /etc/passwd: Permission denied\n", 126),
        (
            "bash",
            "debian",
            "if then",
            "bash: -c: line 1: syntax error near unexpected token `then'\nbash: -c: line 1: `if then'\n",
            2,
        ),
        ("sh", "debian", "if then", 'sh: 1: Syntax error: "then" unexpected\n', 2),
        ("sh", "box", "if then", 'sh: syntax error: unexpected "then"\n', 2),
        ("sh", "box", "set -u; echo $nope", "sh: nope: parameter not set\n", 2),
        ("bash", "debian", "set -u; echo $nope", "bash: line 1: nope: unbound variable\n", 127),
        ("sh", "box", "cat < /none", "sh: can't open /none: no such file\n", 1),
        ("bash", "debian", "cat < /none", "bash: line 1: /none: No such file or directory\n", 1),
        ("sh", "box", "set -x; echo a", "+ echo a\n", 0),
        ("sh", "box", "exit 300", "", 44),
        ("sh", "box", "kill -9 $$", "", 137),
        ("sh", "box", "cd /none", "sh: cd: line 0: can't cd to /none: No such file or directory\n", 2),
    ],
)
async def test_words_and_statuses(
    box: ContainerMachine, debian: ContainerMachine, shell: str, family: str, text: str, message: str, code: int
) -> None:
    outcome = await sh(box if family == "box" else debian, text, shell=shell)
    assert (outcome.err, outcome.code) == (message, code)


async def test_commands_from_standard_input_run_one_by_one(box: ContainerMachine) -> None:
    outcome = await run(box, "sh", stdin=b"x=1\nif [ $x = 1 ]\nthen echo yes\nfi\nexit 9\necho never\n")
    assert (outcome.out, outcome.code) == ("yes\n", 9)


async def test_what_is_read_is_taken_from_the_script_itself(box: ContainerMachine) -> None:
    assert (await run(box, "sh", stdin=b"read line\nthis is data\necho got $line\n")).out == "got this is data\n"
