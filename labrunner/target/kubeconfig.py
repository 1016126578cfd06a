"""The learner's kubeconfig, read the way kubectl reads it, and cut down to one context.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ (merging, relative paths).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from labrunner.errors import EnvironmentFault, UsageError

_FILE_FIELDS: Final = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}
"""Fields that name files, relative to the kubeconfig they stand in."""


def kubeconfig_paths(environment: Mapping[str, str] | None = None) -> list[Path]:
    """The files that count: $KUBECONFIG (several joined by `:`), else ~/.kube/config."""
    env = os.environ if environment is None else environment
    named = [part for part in env.get("KUBECONFIG", "").split(os.pathsep) if part]
    if named:
        return [Path(part) for part in named]
    return [Path(env.get("HOME") or Path.home()) / ".kube" / "config"]


def read_kubeconfig(paths: Iterable[Path]) -> dict[str, Any]:
    """The merged configuration; the first file that names something wins, files that do not exist are skipped.

    Raises EnvironmentFault for a file that cannot be read or is no kubeconfig.
    """
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    merged["current-context"] = ""
    for path in paths:
        config = _read(path)
        for section in ("clusters", "users", "contexts"):
            names = {entry["name"] for entry in merged[section]}
            for entry in _entries(config, section, path):
                if entry["name"] not in names:
                    merged[section].append(_with_absolute_paths(entry, section, path.parent))
        merged["current-context"] = merged["current-context"] or config.get("current-context") or ""
    return merged


def context_names(config: Mapping[str, Any]) -> list[str]:
    return [entry["name"] for entry in config["contexts"]]


def only_context(config: Mapping[str, Any], context: str, namespace: str = "") -> dict[str, Any]:
    """A configuration of this one context and what it refers to; `namespace` replaces the context's own.

    Raises UsageError when there is no such context, EnvironmentFault when its cluster or user is not there.
    """
    entry = _named(config, "contexts", context)
    if entry is None:
        names = context_names(config)
        near = difflib.get_close_matches(context, names, n=1)
        none = "It has no contexts at all: does KUBECONFIG name the right file?"
        hint = f"Did you mean {near[0]}?" if near else f"There is: {', '.join(names)}." if names else none
        raise UsageError(f"There is no context {context} in the kubeconfig.", hint=hint)
    chosen = dict(entry.get("context") or {})
    if namespace:
        chosen["namespace"] = namespace
    parts: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": context}
    parts["contexts"] = [{"name": context, "context": chosen}]
    for section, field in (("clusters", "cluster"), ("users", "user")):
        name = chosen.get(field, "")
        found = _named(config, section, name)
        if found is None and (section == "clusters" or name):
            hint = "Look at it with `kubectl config view`."
            raise EnvironmentFault(f"The context {context} names the {field} {name!r}, which is not there.", hint=hint)
        parts[section] = [found] if found else []
    return parts


def require_context(context: str) -> None:
    """Raises what `only_context` and `read_kubeconfig` raise for a context that a command line names."""
    only_context(read_kubeconfig(kubeconfig_paths()), context)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise EnvironmentFault(
            f"The kubeconfig {path} cannot be read: {error.strerror}.", hint=f"Look at its rights: ls -l {path}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise EnvironmentFault(f"The kubeconfig {place} is no YAML.", hint="Fetch it again.") from error
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise EnvironmentFault(f"The kubeconfig {path} is no kubeconfig.", hint="Fetch it again.")
    return config


def _entries(config: Mapping[str, Any], section: str, path: Path) -> list[dict[str, Any]]:
    entries = config.get(section) or []
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "name" in e for e in entries):
        hint = "Fetch it again."
        raise EnvironmentFault(f"The kubeconfig {path} is no kubeconfig: {section} is not a list of names.", hint=hint)
    return entries


def _named(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any] | None:
    return next((entry for entry in config[section] if entry["name"] == name), None)


def _with_absolute_paths(entry: dict[str, Any], section: str, directory: Path) -> dict[str, Any]:
    if section not in _FILE_FIELDS:
        return entry
    key, fields = _FILE_FIELDS[section]
    body = dict(entry.get(key) or {})
    base = directory.absolute()
    for field in fields:
        if body.get(field):
            body[field] = str(base / str(body[field]))
    plugin = body.get("exec")
    if isinstance(plugin, dict) and "/" in str(plugin.get("command", "")):
        body["exec"] = {**plugin, "command": str(base / str(plugin["command"]))}
    return {**entry, key: body}
