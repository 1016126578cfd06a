"""Is a file there, with the right content and mode?

`path` is relative to the shell's directory; with `glob` instead, every file found must hold (`newest: true`: only the
most recently changed). `content`, `json` and `yaml` are patterns for the text and for what it says; `documents` is a
pattern for the list of all YAML documents in it. `mode` is the permission bits as `stat` prints them, `modeAtMost`
allows fewer. Files that are no regular files are never opened.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labrunner.check import cel_expression
from labrunner.check.kind import CheckContext
from labrunner.check.local_file import FileProblem, locate, missing_file, read_bytes, type_of
from labrunner.check.match import compare, describe
from labrunner.check.match_operators import lint_pattern
from labrunner.check.object_findings import bounded, value_findings
from labrunner.check.phrase import listed
from labrunner.check.result import Finding

EXAMPLES: Final = """
- title: The request configuration asks for the right key usage
  params:
    path: certs/csr.conf
    content: {$matches: "^keyUsage *=.*digitalSignature"}
  passes:
    files: {certs/csr.conf: "[v3_ext]\\nkeyUsage = critical, digitalSignature, keyEncipherment\\n"}
  fails:
    - why: digitalSignature is missing
      reasons: [different]
      files: {certs/csr.conf: "[v3_ext]\\nkeyUsage=keyEncipherment\\n"}
    - why: There is no such file
      reasons: [missing]
- title: The key is for its owner only
  params: {path: certs/server.key, modeAtMost: "0600"}
  passes:
    files: {certs/server.key: "key"}
    prepare: chmod 600 certs/server.key
  fails:
    - why: Everybody can read it
      reasons: [mode]
      files: {certs/server.key: "key"}
      prepare: chmod 644 certs/server.key
- title: The manifest asks for two replicas
  params: {path: deploy.yaml, yaml: {kind: Deployment, spec: {replicas: {$gte: 2}}}}
  passes: {files: {deploy.yaml: "kind: Deployment\\nspec: {replicas: 3}\\n"}}
  fails:
    - why: It asks for one
      reasons: [different]
      files: {deploy.yaml: "kind: Deployment\\nspec: {replicas: 1}\\n"}
    - why: It is no YAML
      reasons: [not-yaml]
      files: {deploy.yaml: "kind: [Deployment\\n"}
- title: The old token is gone
  params: {path: token.txt, absent: true}
  passes: {}
  fails:
    - why: It is still there
      reasons: [unexpected]
      files: {token.txt: "x"}
"""

REASONS: Final = {
    "missing": "There is no such file, or a field or item is not in it.",
    "unexpected": "It is there and should not be, or holds what it should not.",
    "not-a-file": "It is a directory or a device.",
    "unreadable": "It may not be read.",
    "too-large": "It is too large to be read.",
    "mode": "It has other permissions.",
    "size": "It has another size.",
    "count": "The glob finds too few or too many files, or a list is of another length.",
    "different": "Its content, or a field of it, is another.",
    "not-json": "It is no JSON; the finding names the line.",
    "not-yaml": "It is no YAML; the finding names the line.",
    "cel": "A CEL expression is not true.",
    "more": "There are further findings.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_OCTAL = {
    "type": "string",
    "pattern": "^0?[0-7]{3,4}$",
    "patternErrorMessage": "permission bits are octal digits, e.g. '0600'",
}


class FileKind:
    """See the module's docstring."""

    name = "file"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "oneOf": [{"required": ["path"]}, {"required": ["glob"]}],
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": "The file; relative to the shell's directory."},
            "glob": {"type": "string", "minLength": 1, "description": "Files by pattern: certs/*.crt, **/*.yaml."},
            "newest": {"type": "boolean", "description": "With glob: only the most recently changed file counts."},
            "count": {"description": "With glob: a pattern for the number of files; default: at least 1."},
            "absent": {"type": "boolean", "description": "true: there must be no such file."},
            "type": {"enum": ["file", "directory", "symlink"], "description": "Default: a file."},
            "mode": {**_OCTAL, "description": 'The permission bits exactly: "0600".'},
            "modeAtMost": {**_OCTAL, "description": 'No permission beyond these: "0600".'},
            "size": {"description": "A pattern for its size in bytes: {$gt: 0}."},
            "content": {
                "description": "A pattern for its text: {$contains: ...}, {$matches: ...}, {$notMatches: ...}."
            },
            "json": {"description": "A pattern for its JSON."},
            "yaml": {"description": "A pattern for its (first) YAML document."},
            "documents": {"description": "A pattern for the list of its YAML documents."},
            "cel": cel_expression.SCHEMA,
            "sha256": {"type": "string", "description": "The SHA-256 of its content, in hex."},
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        if "path" in params:
            names = [params["path"]]
        else:
            names, problems = _globbed(params, context)
            if problems:
                return problems
        return bounded([finding for name in names for finding in _judge(name, params, context)])

    def describe(self, params: Mapping[str, Any]) -> str:
        name = params.get("path") or params.get("glob")
        if params.get("absent"):
            return f"There is no file {name}"
        asks = any(k in params for k in ("content", "json", "yaml", "documents", "cel", "sha256", "mode", "modeAtMost"))
        return f"{name} is as asked" if asks else f"{name} exists"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems: list[str] = []
        for field in ("content", "json", "yaml", "documents", "size", "count"):
            if field in params:
                problems += lint_pattern(params[field], field)
        if params.get("absent"):
            others = set(params) - {"path", "glob", "absent"}
            problems += [f"{field}: cannot be combined with absent" for field in sorted(others)]
        if "path" in params:
            problems += [f"{field}: is for glob, not for path" for field in ("newest", "count") if field in params]
        return problems + cel_expression.lint(params.get("cel", []), ("content", "json", "yaml", "documents"))


def _globbed(params: Mapping[str, Any], context: CheckContext) -> tuple[list[str], list[Finding]]:
    """The files a glob finds, or why they are not right in number."""
    pattern = params["glob"]
    base = locate("~", context) if pattern.startswith("~/") else Path("/") if pattern.startswith("/") else context.cwd
    try:
        found = sorted(base.glob(pattern.removeprefix("~/").lstrip("/")))
    except (OSError, ValueError, NotImplementedError) as error:
        return [], [Finding("unreadable", f"{pattern} cannot be looked for: {error}.", pattern, str(error), str(base))]
    names = [str(path) for path in found]
    if params.get("absent"):
        return names, []
    wanted = params.get("count", {"$gte": 1})
    if compare(wanted, len(found)):
        seen = listed([path.name for path in found]) if found else "none"
        expected = f"{describe(wanted)} files {pattern}"
        message = f"There should be {expected}; there are {len(found)}."
        return [], [Finding("count" if found else "missing", message, expected, seen, str(base))]
    if params.get("newest") and found:
        names = [str(max(found, key=_changed))]
    return names, []


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _judge(name: str, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
    path = locate(name, context)
    wanted = params.get("type", "file")
    try:
        status = path.lstat() if wanted == "symlink" or params.get("absent") else path.stat()
    except FileNotFoundError:
        return [] if params.get("absent") else [missing_file(name, path)]
    except (OSError, ValueError) as error:
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return [Finding("unreadable", f"{name} cannot be looked at: {text}.", name, text, str(path))]
    kind = type_of(status.st_mode)
    if params.get("absent"):
        return [Finding("unexpected", f"{name} is still there.", "absent", f"a {kind}", str(path))]
    if kind != wanted:
        return [Finding("not-a-file" if wanted == "file" else "different", f"{name} is a {kind}, not a {wanted}.",
                        f"a {wanted}", f"a {kind}", str(path))]  # fmt: skip
    found = _judge_mode(name, params, status.st_mode, path)
    if "size" in params and compare(params["size"], status.st_size):
        expected = f"{describe(params['size'])} bytes"
        message = f"{name} has {status.st_size} bytes; it should have {expected}."
        found.append(Finding("size", message, expected, f"{status.st_size} bytes", str(path)))
    if any(field in params for field in ("content", "json", "yaml", "documents", "cel", "sha256")):
        try:
            found += _judge_content(name, params, read_bytes(name, context), path)
        except FileProblem as problem:
            found.append(problem.finding)
    return found


def _judge_mode(name: str, params: Mapping[str, Any], mode: int, path: Path) -> list[Finding]:
    bits = stat.S_IMODE(mode)
    if "mode" in params and bits != int(params["mode"], 8):
        expected = f"{int(params['mode'], 8):04o}"
    elif "modeAtMost" in params and bits & ~int(params["modeAtMost"], 8):
        expected = f"at most {int(params['modeAtMost'], 8):04o}"
    else:
        return []
    message = f"{name} has mode {bits:04o}; it should have {expected} (chmod)."
    return [Finding("mode", message, expected, f"{bits:04o}", str(path))]


def _judge_content(name: str, params: Mapping[str, Any], raw: bytes, path: Path) -> list[Finding]:
    text = raw.decode("utf-8", errors="replace")
    found: list[Finding] = []
    variables: dict[str, Any] = {"content": text, "json": None, "yaml": None, "documents": []}
    if "sha256" in params and hashlib.sha256(raw).hexdigest() != params["sha256"].lower():
        message = f"{name} is not the file that is meant: its SHA-256 differs."
        found.append(Finding("different", message, params["sha256"], hashlib.sha256(raw).hexdigest(), str(path)))
    if "content" in params:
        found += value_findings(compare(params["content"], text), str(path))
    cel = params.get("cel", [])
    if "json" in params or any(cel_expression.reads(r["expression"], "json") for r in cel):
        try:
            variables["json"] = json.loads(text)
        except ValueError as error:
            return [*found, _unparsed(name, "JSON", str(error), path, getattr(error, "lineno", 0))]
        found += value_findings(compare(params["json"], variables["json"]), str(path)) if "json" in params else []
    if {"yaml", "documents"} & set(params) or any(
        cel_expression.reads(r["expression"], v) for r in cel for v in ("yaml", "documents")
    ):
        documents = parse_yaml(name, text, path)
        if isinstance(documents, Finding):
            return [*found, documents]
        variables |= {"yaml": documents[0] if documents else None, "documents": documents}
        if "yaml" in params:
            found += value_findings(compare(params["yaml"], variables["yaml"]), str(path))
        if "documents" in params:
            found += value_findings(compare(params["documents"], documents), str(path))
    return found + cel_expression.findings(cel, variables, str(path))


def parse_yaml(name: str, text: str, path: Path) -> list[Any] | Finding:
    """All documents, or the finding that says where it is no YAML."""
    import yaml

    try:
        return [d for d in yaml.safe_load_all(text) if d is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return _unparsed(name, "YAML", error.problem or "it does not parse", path, line)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return _unparsed(name, "YAML", str(error).splitlines()[0], path, 0)


def _unparsed(name: str, language: str, problem: str, path: Path, line: int) -> Finding:
    where = f"{path}:{line}" if line else str(path)
    message = f"{name} is no {language}: {problem}."
    return Finding(f"not-{language.lower()}", message, language, problem, where)
