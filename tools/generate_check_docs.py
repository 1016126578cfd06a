"""Writes docs/checks.md from the kinds' own docstrings, parameters and tested examples.

python tools/generate_check_docs.py            write it
python tools/generate_check_docs.py --check    exit 1 when it is not up to date
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from labrunner.check import match  # noqa: E402
from labrunner.check.match_operators import OPERATORS  # noqa: E402
from labrunner.check.registry import kinds  # noqa: E402

TARGET = ROOT / "docs" / "checks.md"
HEAD = """\
# Checks

<!-- Made by tools/generate_check_docs.py from the modules in labrunner/check; every example is tested. -->

A check puts one question to the world. It never changes anything, and it never says only "failed": each finding has a
reason code (hints and mistakes refer to it), a sentence, what was expected, what was observed, and where.

In a lab a check is written as its `id`, an optional `title`, and one kind with its parameters:

```yaml
checks:
  - id: gateway
    title: The Gateway terminates TLS
    wait: 10s
    resource:
      apiVersion: networking.istio.io/v1
      kind: Gateway
      name: shop
      match: {spec: {servers: [{tls: {mode: SIMPLE}}]}}
```

A cluster that cannot be reached or a tool that is not installed is an error of the environment, never a failed check.
Values of Secrets, and of variables whose names say that they are secret, are not shown in findings.
"""


def document() -> str:
    parts = [HEAD, *contents(), *patterns()]
    for name, kind in kinds().items():
        parts += section(name, kind.params_schema, importlib.import_module(f"labrunner.check.{name}"))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def contents() -> Iterator[str]:
    links = [f"- [{name}](#{name}): {first_line(name)}" for name in kinds()]
    yield "\n".join(["- [Patterns](#patterns): how values are compared", *links])


def first_line(name: str) -> str:
    return (importlib.import_module(f"labrunner.check.{name}").__doc__ or "").splitlines()[0]


def patterns() -> Iterator[str]:
    text = inspect.getdoc(match) or ""
    yield "## Patterns"
    yield "\n\n".join(text.split("\n\n")[1:-1])
    yield "| operator | holds for |\n|---|---|"
    yield "\n".join(f"| `{operator.name}` | {operator.doc} |" for operator in OPERATORS.values())


def section(name: str, schema: Mapping[str, Any], module: Any) -> Iterator[str]:
    doc = inspect.getdoc(module) or ""
    yield f"## {name}"
    yield doc
    yield "| parameter | meaning |\n|---|---|"
    required = set(schema.get("required", ()))
    yield "\n".join(row(key, value, key in required) for key, value in schema["properties"].items())
    yield "| reason | when |\n|---|---|"
    yield "\n".join(f"| `{reason}` | {meaning} |" for reason, meaning in module.REASONS.items())
    for example in yaml.safe_load(module.EXAMPLES):
        yield f"**{example['title']}**"
        yield fenced({name: example["params"]})
        yield "Fails, for example, when:"
        for counter in example["fails"]:
            yield f"- {counter['why']}: " + ", ".join(f"`{reason}`" for reason in counter["reasons"])


def row(key: str, schema: Mapping[str, Any], required: bool) -> str:
    text = schema["description"].replace("|", "\\|")
    if "enum" in schema:
        text += " One of " + ", ".join(f"`{v}`" for v in schema["enum"]) + "."
    inner = schema.get("properties") or schema.get("items", {}).get("properties") or {}
    if inner:
        text += " Has " + ", ".join(f"`{k}`" for k in inner) + "."
    return f"| `{key}`{' (required)' if required else ''} | {text} |"


def fenced(value: Any) -> str:
    return "```yaml\n" + yaml.safe_dump(value, sort_keys=False, width=110, allow_unicode=True) + "```"


def main() -> int:
    text = joined(document())
    if "--check" in sys.argv[1:]:
        if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET.relative_to(ROOT)} is not up to date: run python tools/generate_check_docs.py", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    return 0


def joined(text: str) -> str:
    """Tables and lists without blank lines inside them."""
    lines: list[str] = []
    for line in text.split("\n"):
        continues = line.startswith(("|", "- ")) and not line.startswith("| reason |")
        if continues and len(lines) > 1 and lines[-1] == "" and lines[-2][:1] == line[:1]:
            lines.pop()
        lines.append(line)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
