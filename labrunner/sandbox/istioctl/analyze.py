"""`istioctl analyze` and `istioctl validate`."""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from labrunner.sandbox.istioctl import documents
from labrunner.sandbox.istioctl.analysis import gateways, injection, policies, routes, schema, services
from labrunner.sandbox.istioctl.analysis.cluster import KINDS, Cluster, Object
from labrunner.sandbox.istioctl.analysis.message import DOCUMENTATION, LEVELS, REFERENCE, Message, message
from labrunner.sandbox.istioctl.kube import CommandError, Kube
from labrunner.sandbox.istioctl.options import parse

ANALYZERS: dict[str, Callable[[Cluster], Iterator[Message]]] = {
    "annotations.K8sAnalyzer": injection.known_annotations,
    "destinationrule.CaCertificateAnalyzer": policies.analyze,
    "gateway.GatewayAnalyzer": gateways.analyze,
    "injection.Analyzer": injection.analyze,
    "service.PortNameAnalyzer": services.analyze,
    "serviceentry.Analyzer": services.service_entries,
    "virtualservice.Analyzer": routes.analyze,
}
ISSUES_FOUND = 79
_VALUED = {"output": "o", "failure-threshold": "", "output-threshold": "", "suppress": "S", "meshConfigFile": ""}
_SWITCHES = {
    "all-namespaces": "A", "use-kube": "k", "recursive": "R", "list-analyzers": "L", "color": "", "verbose": "v",
    "ignore-unknown": "",
}  # fmt: skip


def analyze(kube: Kube, arguments: list[str], version: str) -> int:
    """Prints messages; 79 when one is at the failure threshold or above."""
    options = parse(arguments, _VALUED, _SWITCHES)
    if options.given("list-analyzers"):
        sys.stdout.write("".join(f"* {name}\n" for name in sorted(ANALYZERS)))
        return 0
    form = options.value("output", "log")
    if form not in ("log", "json", "yaml"):
        raise CommandError(f"{form} not a valid option for format. See istioctl analyze --help")
    shown, failing = (_level(options.value(f"{n}-threshold", d)) for n, d in (("output", "Info"), ("failure", "Error")))
    every = options.given("all-namespaces")
    scope = None if every else kube.default_namespace()
    use_kube = options.value("use-kube", "true") != "false"
    objects, invalid = _objects(kube, options.words, use_kube, scope or "default", options.given("recursive"))
    cluster = Cluster(tuple(objects), scope)
    found = list(_in_scope([*invalid, *_run(cluster)], cluster))
    found = [m for m in found if not _suppressed(m, options.values("suppress"), cluster)]
    found.sort(key=lambda m: (-LEVELS.index(m.level), m.code, m.origin, m.text))
    target = "all namespaces" if every else f"namespace: {scope}"
    _print([m for m in found if LEVELS.index(m.level) >= shown], form, target, version, bool(options.words))
    if form == "log" and any(LEVELS.index(m.level) >= failing for m in found):
        see = DOCUMENTATION.format(version=version)
        raise CommandError(
            f"Analyzers found issues when analyzing {target}.\n"
            f"See {see} for more information about causes and resolutions.",
            ISSUES_FOUND,
        )
    return 0


def _level(text: str) -> int:
    for index, level in enumerate(LEVELS):
        if level.lower() == text.lower():
            return index
    raise CommandError(f'"{text}" not a valid option, please choose from: [Info Warning Error]')


def _objects(
    kube: Kube, files: list[str], use_kube: bool, namespace: str, recursive: bool
) -> tuple[list[Object], list[Message]]:
    """The cluster's objects with the files' laid over them, and what is wrong with the files' own."""
    objects: dict[tuple[str, str, str], Object] = {}
    if use_kube:
        if not kube.served("networking.istio.io"):
            raise CommandError("Istio is not installed in this cluster: it has no networking.istio.io API")
        for item in kube.get(KINDS):
            objects[_key(item)] = item
    invalid = []
    for path, line, document in documents.read(files, recursive=recursive):
        meta = document.setdefault("metadata", {})
        if not isinstance(meta, dict) or not meta.get("name") or not document.get("kind"):
            raise CommandError(f"{path}:{line}: not a Kubernetes object: it needs kind and metadata.name")
        if document["kind"] != "Namespace":
            meta.setdefault("namespace", namespace)
        meta["annotations"] = {**(meta.get("annotations") or {}), REFERENCE: f"{path}:{line}"}
        wrong = list(schema.problems(document))
        invalid += [message("IST0106", document, problem) for problem in wrong]
        if not wrong:
            document.setdefault("spec", {})
            objects[_key(document)] = document
    return list(objects.values()), invalid


def _key(item: Object) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _run(cluster: Cluster) -> Iterator[Message]:
    for analyzer in ANALYZERS.values():
        yield from analyzer(cluster)


def _in_scope(found: list[Message], cluster: Cluster) -> Iterator[Message]:
    for each in found:
        where = each.name if each.kind == "Namespace" else each.namespace
        if cluster.scope in (None, where):
            yield each


def _suppressed(found: Message, patterns: list[str], cluster: Cluster) -> bool:
    where = f"{found.kind} {found.namespace}/{found.name}" if found.namespace else f"{found.kind} {found.name}"
    dotted = f"{found.kind} {found.name}.{found.namespace}" if found.namespace else where
    for pattern in patterns:
        code, _, resource = pattern.partition("=")
        if code == found.code and any(fnmatch.fnmatchcase(text, resource) for text in (where, dotted)):
            return True
    owner = cluster.get(found.kind, found.namespace, found.name) if found.namespace else None
    own = ((owner or {}).get("metadata", {}).get("annotations") or {}).get("galley.istio.io/analyze-suppress", "")
    return "*" in own.split(",") or found.code in own.split(",")


def _print(found: list[Message], form: str, target: str, version: str, from_files: bool) -> None:
    if form == "json":
        sys.stdout.write(json.dumps([m.document(version) for m in found], indent="\t") + "\n")
    elif form == "yaml":
        import yaml

        sys.stdout.write(yaml.safe_dump([m.document(version) for m in found], sort_keys=True))
    elif found:
        sys.stdout.write("".join(m.line() + "\n" for m in found))
    else:
        what = "files" if from_files else target
        sys.stderr.write(f"\n✔ No validation issues found when analyzing {what}.\n")


def validate(arguments: list[str]) -> int:
    """Checks Istio objects in files against their schemas, without a cluster."""
    options = parse(arguments, {"filename": "f"}, {"referential": "x"})
    files = options.values("filename") or options.words
    if not files:
        raise CommandError("must specify at least one resource file or directory")
    names = {name: [] for name in files}  # type: dict[str, list[str]]
    for name, problems in names.items():
        for path, line, document in documents.read([name], recursive=True):
            meta: Any = document.get("metadata") or {}
            group = str(document.get("apiVersion", "")).partition("/")[0]
            if not group.endswith("istio.io"):
                continue
            who = f"{document.get('kind')}/{meta.get('namespace', '')}/{meta.get('name', '')}"
            problems += [f"{who} ({path}:{line}): {problem}" for problem in schema.problems(document)]
    wrong = [p for problems in names.values() for p in problems]
    if wrong:
        listed = "".join(f"\t* {problem}\n" for problem in wrong)
        count = f"{len(wrong)} error{'s' if len(wrong) > 1 else ''} occurred:\n"
        raise CommandError(f"{count}{listed}")
    for name in names:
        sys.stdout.write(f'"{name}" is valid\n')
    return 0
