"""Make the pictures of README and docs from the real program: docs/images/*.svg, and *.png where a renderer is found.

The first lab is walked on a sandbox of its own up to a mistake that people really make; nothing is staged but keys.
Usage: tools/make_screenshots.py [NAME ...]     (names as in `PICTURES`; all without)
PNG: resvg_py (pip install resvg-py), or chromium, or rsvg-convert; without any of them only the SVG is written.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT))

FONTS = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"


@dataclass(frozen=True)
class Picture:
    size: tuple[int, int]
    walk: str = "lab"  # lab | catalogue | tour, or keys pressed in the lab: summary, help, mesh
    theme: str = "night"
    lab: str = "apim-istio"
    step: str = "server-certificate"
    mistake: str = "encipherment-only"

    @property
    def keys(self) -> tuple[str, ...]:
        """Pressed at the end of the walk."""
        return {"summary": ("u",), "help": ("question_mark",), "mesh": ("m",)}.get(self.walk, ())


PICTURES = {
    "catalogue-120x36": Picture((120, 36), "catalogue"),
    "lab-160x48": Picture((160, 48)),
    "lab-120x36": Picture((120, 36)),
    "lab-80x24": Picture((80, 24)),
    "lab-day-160x48": Picture((160, 48), theme="day"),
    "lab-contrast-120x36": Picture((120, 36), theme="contrast"),
    "summary-120x36": Picture((120, 36), "summary"),
    "help-120x36": Picture((120, 36), "help"),
    "tour-80x24": Picture((80, 24), "tour"),
    "mesh-120x36": Picture((120, 36), "mesh", lab="mesh-mtls", step="allow", mistake=""),
}


async def until(holds: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen within {seconds:.0f} s")
        await asyncio.sleep(0.05)


async def take(name: str, picture: Picture) -> None:
    from textual.widgets import OptionList

    from labrunner.check.registry import kinds
    from labrunner.lab.content import find_lab
    from labrunner.lab.loader import load_lab
    from labrunner.tui.app import LabrunnerApp
    from labrunner.tui.installed_library import InstalledLibrary
    from labrunner.tui.library import Options
    from labrunner.tui.screens.lab import LabScreen

    lab = load_lab(find_lab(picture.lab), kinds())
    tour = picture.walk == "tour"
    opened = None if picture.walk in ("catalogue", "tour") else lab
    options = None if tour else Options(at=picture.step)
    app = LabrunnerApp(InstalledLibrary(), lab=opened, options=options, frozen=True, tour=tour)
    app.theme = f"labrunner-{picture.theme}"
    async with app.run_test(size=picture.size) as pilot:
        if tour:
            await until(lambda: app.lab_screen is not None, "the tour's start")
        screen = app.lab_screen
        if isinstance(screen, LabScreen):
            await until(lambda: screen.phase in ("ready", "failed"), "the sandbox's start")
            engine = screen.engine
            if screen.phase == "failed" or engine is None:
                raise SystemExit("the lab did not start")
            if not tour:
                await asyncio.to_thread(walk, engine, lab, picture)
            await pilot.pause()
            await pilot.press(*picture.keys)
            if screen.narrow and not tour:
                await pilot.press("3")
            await pilot.pause(3 if picture.walk == "mesh" else 0.5)
        else:
            await until(lambda: app.screen.query_one("#labs", OptionList).option_count, "the list of labs")
        await pilot.pause(0.3)
        save(name, app.export_screenshot(title="labrunner"))
        if isinstance(screen, LabScreen):
            await asyncio.to_thread(screen.close_engine, "quit")


def walk(engine: object, lab: object, picture: Picture) -> None:
    """The steps before the picture's done, then the mistake, the check that catches it, and the hint that fits.

    Without a mistake the step's own blocks are run, and its solution: what the mesh then shows.
    """
    from labrunner.lab.model import Lab
    from labrunner.run.engine import Engine

    assert isinstance(engine, Engine) and isinstance(lab, Lab)
    for step in lab.steps:
        if step.id == picture.step:
            break
        engine.enter(step)
        for check in step.checks:
            if check.kind == "quiz":
                answer = check.params["answer"]
                engine.answer(step, check.id, str(answer[0] if isinstance(answer, list) else answer))
        deadline = time.monotonic() + 180
        engine.solve(step)
        while not engine.check(step).passed and time.monotonic() < deadline:
            engine.solve(step)  # the cluster was not ready yet: what a load balancer gets takes a moment
    step = lab.step(picture.step)
    assert step is not None
    engine.enter(step)
    if not picture.mistake:
        engine.solve(step)
        for block in step.blocks:
            engine.run_block(step, block)
        engine.check(step)
        return
    for block in step.blocks[:1]:
        engine.run_block(step, block)
    mistake = next(m for m in step.mistakes if m.id == picture.mistake)
    for block in mistake.blocks:
        engine.run_block(step, block, role="mistake")
    engine.check(step, wait=False)
    engine.hint(step)


def save(name: str, svg: str) -> None:
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)  # no web fonts
    svg = re.sub(r"font-family: Fira Code, monospace", f"font-family: {FONTS}", svg).replace("Fira Code", "monospace")
    IMAGES.mkdir(parents=True, exist_ok=True)
    target = IMAGES / f"{name}.svg"
    target.write_text(svg, encoding="utf-8")
    how = rasterise(target)
    print(f"{target.relative_to(ROOT)}{f', .png by {how}' if how else ''}")


def rasterise(svg: Path) -> str:
    """Write the PNG beside it; the name of the renderer, or nothing."""
    png = svg.with_suffix(".png")
    try:
        import resvg_py
    except ImportError:
        pass
    else:
        text = svg.read_text(encoding="utf-8").replace(FONTS, "DejaVu Sans Mono")
        png.write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=text, width=1600)))
        return "resvg"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium:
        match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text(encoding="utf-8"))
        width, height = (round(float(side)) for side in match.groups()) if match else (1600, 1000)
        command = [chromium, "--headless", "--no-sandbox", f"--screenshot={png}", f"--window-size={width},{height}"]
        subprocess.run([*command, svg.as_uri()], check=True, capture_output=True, timeout=60)
        return "chromium"
    if shutil.which("rsvg-convert"):
        subprocess.run(["rsvg-convert", svg, "-w", "1600", "-o", png], check=True, timeout=60)
        return "rsvg-convert"
    return ""


async def main() -> None:
    names = sys.argv[1:] or list(PICTURES)
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        raise SystemExit(f"no picture {unknown[0]!r}; there are: {', '.join(PICTURES)}")
    os.environ.update(LC_ALL="C.UTF-8", COLORTERM="truecolor", TERM="xterm-256color")
    for name in names:
        with tempfile.TemporaryDirectory(prefix="labrunner-pictures-") as home:
            os.environ["LABRUNNER_HOME"] = home
            await take(name, PICTURES[name])


if __name__ == "__main__":
    asyncio.run(main())
