"""The user's settings: what holds, what is left out and where it stands, and what the screens make of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripted_lab import make_lab
from stage import running

from labrunner.cli import run
from labrunner.errors import ExitCode
from labrunner.tui import memory
from labrunner.tui.actions import actions, is_text, parse_key, show_key
from labrunner.tui.settings import theme_colours
from labrunner.tui.settings.loader import config_file, load_settings
from labrunner.tui.settings.model import HelpAfter, Settings
from labrunner.tui.themes import THEMES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
DUSK = {
    "background": "#1b1b2f", "foreground": "#e4e4f0", "accent": "#7fdbca", "primary": "#82aaff",
    "success": "#addb67", "warning": "#ffcb8b", "error": "#ff8f8f",
}  # fmt: skip


def write(text: str, name: str = "config.yaml") -> Path:
    file = config_file().parent / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def theme_file(name: str = "dusk", **changed: str) -> Path:
    lines = [f'  {key}: "{value}"' for key, value in {**DUSK, **changed}.items()]
    return write("dark: true\ncolours:\n" + "\n".join(lines) + "\n", f"themes/{name}.yaml")


def said() -> list[str]:
    return [str(problem) for problem in load_settings().problems]


# -- the files


def test_without_a_file_the_defaults_hold() -> None:
    assert load_settings() == Settings(file=config_file())


@pytest.mark.parametrize("text", ["# nothing set yet\n", "", "---\n"])
def test_a_file_that_sets_nothing_is_no_mistake(text: str) -> None:
    write(text)
    assert load_settings() == Settings(file=config_file())


def test_what_is_set_holds() -> None:
    write("theme: day\nsymbols: ascii\nmouse: false\nhelpAfter: {attempts: 2, minutes: 0.5}\nkeymap: {lab.check: F9}\n")
    settings = load_settings()
    assert (settings.theme, settings.symbols, settings.mouse) == ("day", "ascii", False)
    assert settings.help_after == HelpAfter(2, 0.5)
    assert settings.keymap == {"lab.check": ("f9",)}
    assert not settings.problems


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("theem: day\n", 1, 1, "did you mean 'theme'?"),
        ("mouse: maybe\n", 1, 8, "true or false"),
        ("theme: nigth\n", 1, 8, "did you mean 'night'?"),
        ("\nhelpAfter:\n  minuts: 3\n", 3, 3, "did you mean 'minutes'?"),
        ("helpAfter:\n  attempts: -1\n", 2, 13, "at least 0"),
        ("keymap:\n  lab.chek: F9\n", 2, 3, "did you mean 'lab.check'?"),
        ("keymap:\n  lab.check: pgupp\n", 2, 14, "did you mean 'pageup'?"),
        ("keymap:\n  lab.check: h\n", 2, 14, "already the key of lab.hint"),
        ("keymap:\n  lab.check: [F9, n]\n", 2, 14, "already the key of lab.next"),
        ("keymap:\n  lab.check: ctrl+q\n", 2, 14, "already the key of app.quit"),
        ("keymap:\n  lab.check: F9\n  lab.hint: F9\n", 3, 13, "already the key of lab.check"),
        ("keymap:\n  shell.leave: q\n", 2, 16, "there it is typed"),
        ("keymap:\n  lab.check: 5\n", 2, 14, 'quote it: "5"'),
        ("theme: day\n\tmouse: true\n", 2, 1, "use spaces"),
        ("- theme\n", 1, 1, "must be a mapping"),
    ],
)
def test_every_mistake_has_its_place_and_the_way_out(text: str, line: int, column: int, says: str) -> None:
    write(text)
    (problem,) = load_settings().problems
    assert (problem.position.line, problem.position.column) == (line, column)
    assert says in str(problem)


def test_beside_a_mistake_the_rest_holds() -> None:
    write("theme: nigth\nsymbols: ascii\nmouse: maybe\nkeymap:\n  lab.check: F9\n  lab.hint: n\n")
    settings = load_settings()
    assert (settings.theme, settings.symbols, settings.mouse) == ("", "ascii", True)
    assert settings.keymap == {"lab.check": ("f9",)}
    assert len(settings.problems) == 3


def test_two_actions_may_swap_their_keys() -> None:
    write("keymap: {lab.next: p, lab.previous: n}\n")
    assert load_settings().keymap == {"lab.next": ("p",), "lab.previous": ("n",)}
    assert not said()


def test_no_built_in_key_means_two_things_in_one_place() -> None:
    from labrunner.tui.settings.keymap import _clashes

    assert list(_clashes({action.id: action.keys for action in actions().values()}, actions())) == []


def test_a_folder_for_a_file_and_bytes_that_are_no_text_are_mistakes_too() -> None:
    config_file().mkdir(parents=True)
    assert "is a directory" in said()[0]
    config_file().rmdir()
    config_file().write_bytes(b"theme: \xff\n")
    assert "not UTF-8" in said()[0]


@pytest.mark.parametrize(
    ("written", "key", "shown", "text"),
    [
        ("?", "question_mark", "?", True),
        ("Ctrl+P", "ctrl+p", "Ctrl+P", False),
        ("PgUp", "pageup", "PgUp", False),
        ("shift+F6", "shift+f6", "Shift+F6", False),
        ("ctrl+]", "ctrl+right_square_bracket", "Ctrl+]", False),
        ("R", "R", "R", True),
        ("Esc", "escape", "Esc", True),
        ("hyper+x", None, "", False),
        ("F25", None, "", False),
    ],
)
def test_keys_are_written_as_people_do(written: str, key: str | None, shown: str, text: bool) -> None:
    assert parse_key(written) == key
    if key:
        assert (show_key(key), is_text(key)) == (shown, text)


# -- themes


def test_a_theme_of_ones_own_is_found_and_can_be_chosen() -> None:
    theme_file()
    write("theme: dusk\n")
    settings = load_settings()
    assert [theme.name for theme in settings.themes] == ["labrunner-dusk"]
    assert settings.theme == "dusk" and not settings.problems


def test_text_that_cannot_be_read_is_warned_of_with_its_contrast() -> None:
    theme_file(muted="#404060")
    (first, *_) = load_settings().problems
    assert not first.is_error
    assert "'muted' on 'background' has a contrast of" in first.message and "4.5:1" in first.suggestion
    assert load_settings().themes


def test_a_theme_file_that_is_wrong_is_left_out() -> None:
    theme_file(accent="teal")
    settings = load_settings()
    assert not settings.themes
    assert "six hexadecimal digits" in str(settings.problems[0])
    theme_file("night")
    assert any("labrunner's own" in line for line in said())


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_the_built_in_themes_keep_the_contrast_they_promise(theme: object) -> None:
    variables = theme.variables  # type: ignore[attr-defined]
    colours = {name: getattr(theme, name, None) or variables.get(name) for name in DUSK | {"muted": "", "panel": ""}}
    colours |= {"surface": theme.surface, "shell": variables["shell-background"]}  # type: ignore[attr-defined]
    colours["selection"] = colours["background"]  # the chosen line has a text colour of its own
    assert list(theme_colours.unreadable(colours)) == []
    cursor = theme_colours.contrast(variables["block-cursor-foreground"], variables["block-cursor-background"])
    assert cursor >= theme_colours.READABLE
    if theme.name == "labrunner-contrast":  # type: ignore[attr-defined]
        for text in theme_colours.TEXT:
            assert all(theme_colours.contrast(colours[text], colours[b]) >= 7 for b in theme_colours.BEHIND)


def test_contrast_is_that_of_the_standard() -> None:
    assert theme_colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme_colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


# -- the screens


async def test_a_bad_file_is_a_notice_and_the_lab_opens() -> None:
    write("theem: day\n")
    async with running(lab=make_lab(), settings=load_settings()) as stage:
        await stage.shows("config.yaml:1: unknown key 'theem'")
        assert stage.app.theme == "labrunner-night"


async def test_the_users_key_works_and_every_text_names_it() -> None:
    write("keymap: {lab.check: [F9, c], lab.hint: F2, lab.next: p, lab.previous: n}\n")
    async with running(lab=make_lab(), settings=load_settings(), size=(160, 48)) as stage:
        await stage.shows("F9 checks your work")
        assert "F9 Check" in stage.text().splitlines()[-1]
        await stage.press("h")
        assert ("hint", "ca") not in stage.engine.calls
        await stage.press("f2")
        await stage.until(lambda: ("hint", "ca") in stage.engine.calls)
        await stage.press("f9")
        await stage.shows("p next:")
        await stage.press("p")
        await stage.until(lambda: stage.lab.shown == "gateway")
        await stage.press("n")
        await stage.until(lambda: stage.lab.shown == "ca")
        await stage.press("ctrl+p")
        await stage.press(*"hint")
        await stage.shows("Hint (F2)")


async def test_the_users_key_leaves_the_shell_and_f6_then_belongs_to_it() -> None:
    write("keymap: {lab.shell: ctrl+t, shell.leave: ctrl+t}\n")
    async with running(lab=make_lab(), settings=load_settings()) as stage:
        await stage.press("ctrl+t")
        await stage.until(lambda: stage.lab.pane == "shell" and stage.lab.shell.has_focus)
        await stage.press("f6")
        await stage.until(lambda: stage.engine.typed == "\x1b[17~")
        await stage.press("ctrl+t")
        await stage.until(lambda: stage.lab.pane == "lab")
        await stage.press("ctrl+t", "ctrl+right_square_bracket")
        await stage.until(lambda: stage.lab.pane == "lab")


async def test_the_users_theme_colours_the_screen_and_its_shell() -> None:
    file = theme_file()
    terminal = ", ".join(f'"#0000{index:02x}"' for index in range(16))
    file.write_text(file.read_text() + f"terminal: [{terminal}]\n")
    write("theme: dusk\n")
    async with running(lab=make_lab(), settings=load_settings()) as stage:
        assert stage.app.theme == "labrunner-dusk"
        assert stage.lab.styles.background.hex.lower() == "#1b1b2f"
        assert stage.lab.shell._painter.palette[15] == "#00000f"


async def test_a_theme_chosen_in_the_palette_is_remembered() -> None:
    async with running(lab=make_lab(), settings=Settings()) as stage:
        await stage.press("ctrl+p", *"theme day")
        await stage.shows("Theme: day")
        await stage.press("enter")
        await stage.until(lambda: stage.app.theme == "labrunner-day")
    async with running(lab=make_lab(), settings=Settings()) as stage:
        assert stage.app.theme == "labrunner-day"
    async with running(lab=make_lab(), settings=Settings(theme="contrast")) as stage:
        assert stage.app.theme == "labrunner-contrast"


def test_what_cannot_be_remembered_is_no_failure() -> None:
    memory.remember("theme", "day")
    memory.memory_file().write_text("{broken")
    assert memory.recall("theme") == ""
    memory.remember("theme", "night")
    assert memory.recall("theme") == "night"


async def test_help_after_so_many_attempts_or_never() -> None:
    from labrunner.check.result import Finding

    for after, offered in ((HelpAfter(1, 0), True), (HelpAfter(0, 0), False)):
        async with running(lab=make_lab(), settings=Settings(help_after=after)) as stage:
            stage.engine.failing["ca-key"] = Finding("different", "No.", "a", "b", "c")
            await stage.press("c")
            await stage.until(lambda stage=stage: stage.engine._attempts)
            await stage.until(lambda stage=stage: not stage.lab.view.steps["ca"].checking)
            assert ("Stuck?" in stage.text()) is offered


# -- the command


def test_config_check_says_every_mistake_and_exits_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    write("theem: day\nmouse: maybe\n")
    assert run(["config", "check"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert re.search(r"config\.yaml:1:1: error: .*did you mean 'theme'", out)
    assert "config.yaml:2:8: error:" in out and "2 errors" in err


def test_config_check_of_a_right_file_and_of_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check"]) == ExitCode.OK
    assert "does not exist: the defaults hold" in capsys.readouterr().err
    write("theme: day\n")
    assert run(["config", "check"]) == ExitCode.OK
    assert "no problems" in capsys.readouterr().err


def test_config_show_is_a_config_that_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    write("theme: day\nkeymap: {lab.check: F9, app.help: '?'}\nhelpAfter: {minutes: 2}\n")
    before = load_settings()
    assert run(["config", "show"]) == ExitCode.OK
    write(capsys.readouterr().out)
    assert load_settings() == before


def test_config_path_keys_and_schema(capsys: pytest.CaptureFixture[str]) -> None:
    write("keymap: {lab.check: F9}\n")
    assert run(["config", "path"]) == ExitCode.OK
    assert capsys.readouterr().out.strip() == str(config_file())
    assert run(["config", "keys"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert any(re.match(r"lab\.check\s+F9\s+\S", line) for line in lines)
    assert len(lines) == len(actions())
    import json

    assert run(["config", "schema"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["properties"]["theme"]
    assert run(["config"]) == ExitCode.USAGE


def test_the_documentation_shows_settings_that_hold() -> None:
    config, theme = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    write(config)
    write(theme, "themes/dusk.yaml")
    settings = load_settings()
    assert not settings.problems and settings.themes and settings.keymap


def test_the_schemas_use_only_what_the_validator_honours() -> None:
    from labrunner.lab.shape import unsupported_keywords
    from labrunner.tui.settings.schema import CONFIG, THEME

    assert unsupported_keywords(CONFIG) == unsupported_keywords(THEME) == []
