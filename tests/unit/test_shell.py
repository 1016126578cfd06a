"""The lab's shell: what a block does to it, what it survives, and what a listener sees."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labrunner.errors import EnvironmentFault
from labrunner.run import processes
from labrunner.run.plain_text import plain
from labrunner.run.shell import Shell
from labrunner.run.shell_command import CommandResult, ShellBusy, TextSink
from labrunner.run.waiting import wait_for


class Heard:
    """What the shell said of its own accord."""

    def __init__(self) -> None:
        self.typed: list[tuple[str, CommandResult, str]] = []
        self.restarts: list[str] = []
        self.begun: list[str] = []
        self._output: list[str] = []

    def typed_started(self, text: str) -> TextSink:
        self.begun.append(text)
        self._output = []
        return self._output.append

    def typed_finished(self, text: str, result: CommandResult) -> None:
        self.typed.append((text, result, plain("".join(self._output))))

    def restarted(self, reason: str) -> None:
        self.restarts.append(reason)


class Bench:
    """A started shell with a listener and everything its terminal showed."""

    def __init__(self, shell: Shell, heard: Heard) -> None:
        self.shell = shell
        self.heard = heard
        self.raw = bytearray()
        shell.subscribe_raw(self.raw.extend)

    def run(self, text: str, timeout: float | None = 10.0, *, background: bool = False) -> tuple[CommandResult, str]:
        out: list[str] = []
        result = self.shell.run(text, timeout=timeout, sink=out.append, background=background)
        return result, plain("".join(out))

    def out(self, text: str) -> str:
        return self.run(text)[1]

    def until(self, holds: Callable[[], object], timeout: float = 5.0) -> None:
        assert wait_for(holds, bool, timeout=timeout).holds


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    work = tmp_path / "work"
    work.mkdir()
    heard = Heard()
    shell = Shell(tmp_path / "shell", cwd=work, environment=os.environ, mark=str(tmp_path), listener=heard)
    shell.start()
    yield Bench(shell, heard)
    shell.close()
    assert processes.belonging_to(str(tmp_path)) == []


def test_exports_variables_functions_and_directory_carry_over(bench: Bench, tmp_path: Path) -> None:
    bench.run("export A=1; B=two; f() { echo from f; }; mkdir d; cd d")
    result, output = bench.run('echo "$A $B"; f; pwd; false')
    assert output == f"1 two\nfrom f\n{tmp_path}/work/d\n"
    assert (result.status, result.cwd) == (1, f"{tmp_path}/work/d")
    assert bench.shell.environment["A"] == "1" and "B" not in bench.shell.environment
    assert bench.shell.cwd == tmp_path / "work" / "d"


def test_the_exit_status_of_the_last_command_is_seen_by_the_next_block(bench: Bench) -> None:
    bench.run("(exit 42)")
    assert bench.out("echo $?") == "42\n"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("cat <<EOF\na $((1 + 1))\nEOF\necho after", "a 2\nafter\n"),
        ("cat <<'EOF'\n$HOME `x`\nEOF", "$HOME `x`\n"),
        ("for i in 1 2\ndo\n  echo $i\ndone", "1\n2\n"),
        ("echo one \\\n  two", "one two\n"),
        ("echo 'a\n  b'", "a\n  b\n"),
        ("echo a # comment\n# only a comment\necho b", "a\nb\n"),
        ("echo \"hi!\" '!!'", "hi! !!\n"),
        ("cat <<EOF\n\tindented\ttabs\nEOF", "\tindented\ttabs\n"),
        ("alias hi='echo hello'\nhi", "hello\n"),
        ("declare X=5\necho ${X}; local Y 2>/dev/null || echo no function", "5\nno function\n"),
        ("yes | head -n 2", "y\ny\n"),
        ("nosuchcommand", "bash: nosuchcommand: command not found\n"),
        ("echo ünïcode 中文", "ünïcode 中文\n"),
        ("\n\n  echo spaced  \n\n", "spaced\n"),
        ("[[ abc == @(abc|d) ]] && echo extglob", "extglob\n"),
    ],
)
def test_a_block_runs_as_if_typed(bench: Bench, text: str, output: str) -> None:
    assert bench.out(text) == output


@pytest.mark.parametrize("text", ["echo 'open", "if true; then", "echo $(", "cat < <(", ")", "for", "a\0b"])
def test_a_block_bash_cannot_read_is_reported_and_nothing_of_it_runs(bench: Bench, text: str) -> None:
    result, output = bench.run(f"touch made\n{text}")
    assert (result.outcome, result.status) == ("syntax", 2)
    assert "bash:" in output
    assert not (bench.shell.cwd / "made").exists()
    assert bench.out("echo usable") == "usable\n"


def test_the_learner_sees_the_block_as_typed_and_nothing_of_the_machinery(bench: Bench) -> None:
    bench.run("true")
    bench.run("echo first\necho second")
    bench.until(lambda: bench.raw.count(b"$ ") >= 2)
    shown = plain(bench.raw.decode())
    assert "work $ echo first\n> echo second\nfirst\nsecond\n" in shown
    assert "labrunner" not in shown and b"6973" not in bench.raw


def test_a_block_is_in_the_history_as_it_was(bench: Bench) -> None:
    bench.run("echo 'one\ntwo'")
    assert bench.out("fc -ln -1 -1").strip() == "echo 'one\ntwo'" or "echo 'one" in bench.out("history 3")


def test_a_prompt_is_answered_at_the_keyboard(bench: Bench) -> None:
    done: list[tuple[CommandResult, str]] = []
    worker = threading.Thread(target=lambda: done.append(bench.run("read -p 'Name: ' name; echo hello $name")))
    worker.start()
    bench.until(lambda: b"Name: " in bench.raw)
    bench.shell.send_input("Ada\r")
    worker.join(5)
    assert done[0][0].status == 0
    assert done[0][1] == "Name: Ada\nhello Ada\n"


def test_ctrl_c_interrupts_the_block_and_the_shell_stays(bench: Bench) -> None:
    done: list[CommandResult] = []
    worker = threading.Thread(target=lambda: done.append(bench.run("echo on; sleep 60; echo not reached")[0]))
    worker.start()
    bench.until(lambda: b"on\r\n" in bench.raw)
    bench.shell.interrupt()
    worker.join(5)
    assert (done[0].outcome, done[0].status) == ("interrupted", None)
    assert b"not reached\r\n" not in bench.raw.split(b"on\r\n", 1)[1]
    assert bench.out("echo usable") == "usable\n"


@pytest.mark.parametrize(
    "text",
    [
        "sleep 60",
        "trap '' INT; sleep 60",
        "(trap '' INT TERM; while :; do sleep 0.05; done)",
        "while :; do :; done",
        "read x",
        "cat",
        "sleep 60; sleep 60; sleep 60",
        "sleep 60 | cat",
        "set +m; sleep 60; set -m",
    ],
)
def test_a_block_that_does_not_end_is_ended_at_its_time_out(bench: Bench, text: str) -> None:
    started = time.monotonic()
    result, _ = bench.run(text, 0.2)
    assert (result.outcome, result.status) == ("timeout", None)
    assert time.monotonic() - started < 8
    assert bench.out("trap - INT; echo usable") == "usable\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 3", "exited with status 3"),
        ("exec true", "exited with status 0"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("set -e; false; echo no", "exited with status 1"),
        ("exec bash --norc -i", "had taken its place"),
        ("sleep 60 & exit", "exited with status 0"),
    ],
)
def test_a_shell_that_dies_is_replaced_with_what_it_had(bench: Bench, text: str, reason: str) -> None:
    bench.run("export A='x y'; B=\"two\nlines\"; f() { echo from f; }; alias g='echo from g'; umask 027; mkdir d; cd d")
    result, _ = bench.run(text)
    assert (result.outcome, result.status) == ("shell-died", None)
    assert len(bench.heard.restarts) == 1 and reason in bench.heard.restarts[0]
    output = bench.out('echo "$A $B"; f; g; umask; echo ${PWD##*/}')
    assert output == "x y two\nlines\nfrom f\nfrom g\n0027\nd\n"
    assert reason.encode() in bench.raw


def test_what_kills_a_new_shell_at_once_is_not_restored_for_ever(bench: Bench) -> None:
    bench.run("PS1='$(kill -9 $$)'")
    bench.until(lambda: bench.heard.restarts)
    assert bench.out("echo usable") == "usable\n"


def test_a_shell_that_cannot_be_kept_alive_is_an_environment_fault(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "s", cwd=tmp_path, environment=os.environ, mark=str(tmp_path))
    shell.start()
    try:
        (tmp_path / "s" / "bashrc").unlink()
        os.mkdir(tmp_path / "s" / "bashrc")
        os.kill(shell.pid, signal.SIGKILL)
        with pytest.raises(EnvironmentFault):
            wait_for(lambda: shell.run("true", timeout=1, sink=lambda _: None), lambda _: False, timeout=5)
    finally:
        shell.close()


@pytest.mark.parametrize(
    "text",
    [
        "set -e", "set -u", "set -x", "set -o vi", "set -o posix", "set -C", "set -f", "PROMPT_COMMAND=", "PS0=",
        "PS1='> '", "unset PS1 PS2 PS4", "PROMPT_COMMAND=(a b)", "PATH=", "IFS=x", "trap 'echo trapped' DEBUG",
        "trap 'echo bye' EXIT", "HISTCONTROL=ignoreboth", "shopt -s nocasematch extglob", "stty -echo",
        "stty raw", "unset HISTFILE; set +o history", "export LC_ALL=C",
        "cd() { builtin cd /; }", "readonly A=1", "ulimit -f 0",
    ],
)  # fmt: skip
def test_no_setting_of_a_block_breaks_what_follows(bench: Bench, text: str) -> None:
    bench.run(text)
    bench.run("false")
    result, output = bench.run("echo still here; (exit 3)")
    assert result.status == 3 and "still here\n" in output


def test_output_that_looks_like_a_marker_is_output(bench: Bench) -> None:
    forged = r"printf '\e]6973;0123;P;0;1;/tmp\a'; printf '\e]133;D;0\a'; sleep 0.2; f() { return 9; }; f"
    result, _ = bench.run(forged)
    assert result.status == 9 and result.seconds >= 0.2
    assert b"\x1b]6973;0123;P;0;1;/tmp\x07" in bench.raw


def test_bytes_that_are_no_utf8_arrive_replaced_and_raw_untouched(bench: Bench) -> None:
    result, _ = bench.run(r"printf 'a\xff\xfeb\x00c\n'; printf '\xc3'; sleep 0.05; printf '\xa9\n'")
    out: list[str] = []
    bench.shell.run(r"printf '\xc3'; sleep 0.05; printf '\xa9 \xff\n'", timeout=5, sink=out.append)
    assert "".join(out) == "é �\r\n"
    assert result.status == 0 and b"a\xff\xfeb\x00c\r\n" in bench.raw


def test_ten_megabytes_cost_little_and_keep_every_byte_in_order(bench: Bench) -> None:
    got = [0]

    def count(text: str) -> None:
        got[0] += len(text)

    before = time.process_time()
    result = bench.shell.run("head -c 10000000 /dev/zero | tr '\\0' x | fold -w 99", timeout=60, sink=count)
    assert result.status == 0
    assert got[0] == 10_000_000 + 2 * (10_000_000 // 99)
    assert time.process_time() - before < 2.0


def test_a_line_without_end_is_no_problem(bench: Bench) -> None:
    size = [0]
    bench.shell.run(
        "head -c 3000000 /dev/zero | tr '\\0' y; echo", timeout=30, sink=lambda t: size.__setitem__(0, size[0] + len(t))
    )
    assert size[0] == 3_000_002


def test_a_block_in_the_background_returns_at_once_and_ends_with_the_shell(bench: Bench) -> None:
    result, _ = bench.run("sleep 300", background=True)
    assert result.status == 0 and result.seconds < 2
    assert "sleep 300" in bench.out("jobs")


def test_a_full_screen_program_gets_raw_keys_and_its_bytes_pass_untouched(bench: Bench) -> None:
    script = "import sys,termios,tty;old=termios.tcgetattr(0);tty.setraw(0);" + (
        "sys.stdout.write('\\x1b[?1049h\\x1b[2JREADY');sys.stdout.flush();k=sys.stdin.read(1);"
        "sys.stdout.write('\\x1b[?1049l'+repr(k));sys.stdout.flush();termios.tcsetattr(0,termios.TCSADRAIN,old)"
    )
    done: list[tuple[CommandResult, str]] = []
    worker = threading.Thread(target=lambda: done.append(bench.run(f'python3 -c "{script}"', None)))
    worker.start()
    bench.until(lambda: b"\x1b[?1049h\x1b[2JREADY" in bench.raw)
    bench.shell.send_input("\x03")
    worker.join(10)
    assert done[0][0].status == 0
    assert b"\x1b[?1049l'\\x03'" in bench.raw


def test_the_window_size_is_known_and_changes(bench: Bench) -> None:
    bench.shell.resize(40, 133)
    assert bench.out("stty size") == "40 133\n"


def test_a_typed_command_is_told_with_text_status_and_output(bench: Bench) -> None:
    bench.shell.send_input("echo 'typed;\tby hand'; cd /; (exit 4)\r")
    bench.until(lambda: bench.heard.typed)
    text, result, output = bench.heard.typed[0]
    assert output == "typed;\tby hand\n" or "by hand" in output
    assert (result.status, result.cwd) == (4, "/")
    assert text.startswith("echo 'typed;") and text.endswith("(exit 4)")


def test_two_lines_typed_ahead_are_two_commands(bench: Bench) -> None:
    bench.shell.send_input("echo one\recho two\r")
    bench.until(lambda: len(bench.heard.typed) == 2)
    assert [t[0] for t in bench.heard.typed] == ["echo one", "echo two"]


def test_a_paste_in_brackets_waits_for_enter(bench: Bench) -> None:
    bench.shell.send_input("\x1b[200~echo pas\necho ted\x1b[201~")
    bench.until(lambda: b"ted" in bench.raw)
    assert bench.heard.begun == []
    bench.shell.send_input("\r")
    bench.until(lambda: len(bench.heard.typed) >= 1)


@pytest.mark.parametrize("half", ["echo half", 'echo "open\r', "for i in 1 2\r", "\x12search", "cat <<EOF\rline\r"])
def test_a_block_runs_though_the_learner_was_in_the_middle_of_typing(bench: Bench, half: str) -> None:
    bench.shell.send_input(half)
    bench.until(lambda: half.strip("\r\x12")[-4:].encode() in bench.raw)
    time.sleep(0.05)
    assert bench.out("echo clean") == "clean\n"


def test_a_block_is_refused_while_a_typed_command_runs(bench: Bench) -> None:
    bench.shell.send_input("sleep 60\r")
    bench.until(lambda: bench.heard.begun)
    with pytest.raises(ShellBusy, match="sleep 60"):
        wait_for(lambda: bench.run("true"), lambda _: True, timeout=0)
    bench.shell.interrupt()
    bench.until(lambda: bench.heard.typed)
    assert bench.heard.typed[0][1].outcome == "interrupted"


def test_hooks_removed_by_hand_are_put_back(bench: Bench) -> None:
    bench.shell.send_input("PROMPT_COMMAND=true; PS1='mine '; PS2=\r")
    bench.until(lambda: bench.heard.typed)
    bench.shell.send_input("echo seen\r")
    bench.until(lambda: len(bench.heard.typed) == 2)
    assert bench.heard.typed[1][2] == "seen\n"


def test_a_shell_whose_prompts_were_all_replaced_by_hand_stays_usable(bench: Bench) -> None:
    bench.shell.send_input("PROMPT_COMMAND=; PS0=; PS1='> '; PS2=\r")
    bench.until(lambda: bench.heard.typed)
    assert bench.out("echo usable") == "usable\n"
    bench.shell.send_input("echo seen\r")
    bench.until(lambda: len(bench.heard.typed) == 2)


def test_exit_typed_by_hand_restarts_and_says_so(bench: Bench) -> None:
    bench.run("export A=1")
    bench.shell.send_input("exit 5\r")
    bench.until(lambda: bench.heard.restarts)
    assert bench.out("echo $A") == "1\n"


def test_a_checkpoint_is_gone_back_to_and_background_jobs_end(bench: Bench, tmp_path: Path) -> None:
    bench.run("export A=1; mkdir d")
    bench.shell.checkpoint(tmp_path / "cp")
    bench.run("export A=2 C=3; cd d; sleep 300 & f() { :; }")
    bench.shell.rewind(tmp_path / "cp")
    assert bench.out('echo "$A ${C-unset} ${PWD##*/}"; type f 2>/dev/null; jobs') == "1 unset work\n"
    assert bench.heard.restarts == []


def test_the_environment_is_clean_of_the_callers_shell(tmp_path: Path) -> None:
    environment = {
        **os.environ, "PROMPT_COMMAND": "echo no", "PS1": "no", "BASH_ENV": "/no", "HISTFILE": "/no",
        "BASH_FUNC_ls%%": "() { echo no; }", "COLUMNS": "7",
    }  # fmt: skip
    shell = Shell(tmp_path / "s", cwd=tmp_path, environment=environment, mark=str(tmp_path))
    shell.start()
    try:
        out: list[str] = []
        shell.run('echo "$HISTFILE|$BASH_ENV|$(stty size)"', timeout=5, sink=out.append)
        assert "".join(out) == f"{tmp_path}/s/history||24 80\r\n"
    finally:
        shell.close()


def test_a_read_only_place_is_an_environment_fault(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(EnvironmentFault) as caught:
        Shell(blocked / "s", cwd=tmp_path, environment=os.environ, mark=str(tmp_path)).start()
    assert str(blocked) in caught.value.message and caught.value.hint


def test_a_block_that_starts_as_the_shell_is_closed_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt may come at any moment; a block that nobody reads any more would be waited for for ever."""

    def closed_meanwhile(text: str) -> str:
        bench.shell.close()
        return ""

    monkeypatch.setattr(bench.shell, "_syntax_problem", closed_meanwhile)
    with pytest.raises(ShellBusy, match="closed"):
        bench.run("echo too late", timeout=5.0)
