"""Where labs, reusable checks and assets are: bundled ones, and folders of one's own.

Bundled content is `labs/`, `checks/` and `assets/` at the top of a source checkout, and `labrunner/_content/` in an
installed wheel. `LABRUNNER_LABS` names more folders, separated like PATH: each holds labs (`<lab-id>/lab.yaml`), or
has the same layout as a checkout (`labs/<lab-id>/lab.yaml`).
"""

from __future__ import annotations

import os
from pathlib import Path

from labrunner.errors import UsageError
from labrunner.lab.problem import did_you_mean

VARIABLE = "LABRUNNER_LABS"


def bundled_root() -> Path:
    """The folder that holds the bundled `labs/`, `checks/` and `assets/`."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_content"
    return installed if os.path.isdir(installed) else package.parent


def lab_folders() -> list[Path]:
    """Folders that hold labs, in order of precedence: one's own before the bundled ones."""
    own = [Path(entry).expanduser() for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry.strip()]
    folders = [folder / "labs" if os.path.isdir(folder / "labs") else folder for folder in own]
    return [*dict.fromkeys((*folders, bundled_root() / "labs"))]


def lab_directories() -> dict[str, Path]:
    """Every lab's folder by id, sorted by id. Raises `UsageError` for a folder in LABRUNNER_LABS that is none."""
    found: dict[str, Path] = {}
    bundled = bundled_root() / "labs"
    for folder in lab_folders():
        if not os.path.isdir(folder):
            if folder == bundled:
                continue
            raise UsageError(f"'{folder}' in {VARIABLE} is not a folder", hint=f"Correct {VARIABLE}, or unset it.")
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise UsageError(f"'{folder}' in {VARIABLE} cannot be read: {error.strerror}") from error
        for entry in entries:
            if os.path.exists(entry / "lab.yaml"):
                found.setdefault(entry.name, entry)
    return dict(sorted(found.items()))


def find_lab(name: str) -> Path:
    """The folder of the lab with this id, or at this path. Raises `UsageError` with the nearest id."""
    path = Path(name).expanduser()
    looks_like_path = os.sep in name or name.endswith((".yaml", ".yml")) or name in (".", "..")
    known = lab_directories()
    if not looks_like_path and name in known:
        return known[name]
    try:
        if os.path.isfile(path) and path.suffix in (".yaml", ".yml"):
            return Path.cwd() / path.parent
        if os.path.isdir(path) and os.path.exists(path / "lab.yaml"):
            return Path.cwd() / path
    except (OSError, ValueError):
        pass
    if looks_like_path:
        raise UsageError(f"there is no lab at '{name}'", hint="A lab is a folder with a lab.yaml in it.")
    suggestion = did_you_mean(name, known)
    hint = suggestion[:1].upper() + suggestion[1:] if suggestion else "`labrunner list` shows all labs."
    raise UsageError(f"there is no lab '{name}'", hint=hint)


def is_bundled(directory: Path) -> bool:
    """Whether a lab comes with labrunner."""
    return directory.resolve().is_relative_to((bundled_root() / "labs").resolve())


def content_root(directory: Path) -> Path | None:
    """The folder whose `labs/` a lab's folder is in, if it is laid out like that."""
    return directory.parent.parent if directory.parent.name == "labs" else None


def check_roots(directory: Path) -> tuple[Path, ...]:
    """Where a lab's reusable checks are looked for: its own, its neighbours', the bundled ones."""
    root = content_root(directory)
    roots = [directory / "checks", *([root / "checks"] if root else []), bundled_root() / "checks"]
    return tuple(dict.fromkeys(roots))


def assets_of(directory: Path, lab_id: str) -> Path | None:
    """The folder of a lab's assets: `assets/` in its own folder, or `assets/<lab-id>` beside `labs/`."""
    root = content_root(directory)
    candidates = [directory / "assets", *([root / "assets" / lab_id] if root else [])]
    return next((c for c in candidates if os.path.isdir(c)), None)


def neighbours(directory: Path) -> set[str]:
    """Ids of the labs that are found from here: beside this one, and in the folders of labs."""
    folders = [directory.parent, *lab_folders()]
    return {entry.parent.name for folder in folders if os.path.isdir(folder) for entry in folder.glob("*/lab.yaml")}


def is_file_below(folder: Path | None, name: str) -> bool:
    """Whether a relative name is a file in the folder, and does not lead out of it."""
    if folder is None or ".." in Path(name).parts:
        return False
    try:
        return os.path.isfile(folder / name)
    except (OSError, ValueError):
        return False
