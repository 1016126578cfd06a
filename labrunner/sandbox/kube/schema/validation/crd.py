"""CustomResourceDefinitions themselves: names, versions, structural schemas, rules that compile.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go and pkg/apiserver/schema/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import cel, names, openapi
from labrunner.sandbox.kube.schema.validation.common_fields import Obj, immutable, named

_TYPES = ["array", "boolean", "integer", "number", "object", "string"]
_SCOPES = ["Cluster", "Namespaced"]
_COLUMN_TYPES = ["boolean", "date", "integer", "number", "string"]
_APPROVAL = "api-approved.kubernetes.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")


def custom_resource_definition(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    meta = obj.get("metadata") or {}
    given, group = spec.get("names") or {}, spec.get("group", "")
    errors: list[FieldError] = []
    if meta.get("name") != f"{given.get('plural', '')}.{group}":
        errors.append(field.invalid("metadata.name", meta.get("name"), 'must be spec.names.plural+"."+spec.group'))
    errors += _group(group)
    scope = spec.get("scope", "")
    if not scope:
        errors.append(field.required("spec.scope"))
    elif scope not in _SCOPES:
        errors.append(field.unsupported("spec.scope", scope, _SCOPES))
    errors += _versions(spec.get("versions") or [], "spec.versions")
    errors += _names(given, "spec.names")
    if not any(version.get("storage") for version in spec.get("versions") or []):
        errors.append(field.invalid("status.storedVersions", [], "must have at least one stored version"))
    if group.endswith(_PROTECTED) and not (meta.get("annotations") or {}).get(_APPROVAL):
        text = (
            f'protected groups must have approval annotation "{_APPROVAL}", '
            "see https://github.com/kubernetes/enhancements/pull/1111"
        )
        errors.append(field.required(f"metadata.annotations[{_APPROVAL}]", text))
    if old is not None:
        before = old.get("spec") or {}
        errors += immutable("spec.group", group, before.get("group"))
        if _established(old):
            errors += immutable("spec.scope", scope, before.get("scope"))
            errors += immutable("spec.names.kind", given.get("kind"), (before.get("names") or {}).get("kind"))
        errors += immutable("spec.names.plural", given.get("plural"), (before.get("names") or {}).get("plural"))
        stored = (old.get("status") or {}).get("storedVersions") or []
        have = {v.get("name") for v in spec.get("versions") or []}
        for index, version in enumerate(stored):
            if version not in have:
                text = "missing from spec.versions; "
                text += f"{version} was previously a storage version, and must remain in spec.versions "
                text += "until a storage migration ensures no data remains persisted in "
                text += f"{version} and removes {version} from status.storedVersions"
                errors.append(field.invalid(f"status.storedVersions[{index}]", version, text))
    return errors


def _established(crd: Obj) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)


def _group(group: str) -> list[FieldError]:
    if not group:
        return [field.required("spec.group")]
    errors = named("spec.group", group, names.dns1123_subdomain)
    if not errors and "." not in group:
        errors.append(field.invalid("spec.group", group, "should be a domain with at least one dot"))
    return errors


def _names(given: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key in ("plural", "singular", "kind", "listKind"):
        value = given.get(key, "")
        if not value:
            errors.append(field.required(f"{path}.{key}"))
            continue
        checked = value.lower() if key in ("kind", "listKind") else value
        if messages := names.dns1035_label(checked):
            if key in ("kind", "listKind"):
                text = "may have mixed case, but should otherwise match: " + ",".join(messages)
            else:
                text = ",".join(messages)
            errors.append(field.invalid(f"{path}.{key}", value, text))
    for index, short in enumerate(given.get("shortNames") or []):
        if messages := names.dns1035_label(short):
            errors.append(field.invalid(f"{path}.shortNames[{index}]", short, ",".join(messages)))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        text = "kind and listKind may not be the same"
        errors.append(field.invalid(f"{path}.listKind", given["listKind"], text))
    for index, category in enumerate(given.get("categories") or []):
        if messages := names.dns1035_label(category):
            errors.append(field.invalid(f"{path}.categories[{index}]", category, ",".join(messages)))
    return errors


def _versions(versions: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, version in enumerate(versions):
        where = f"{path}[{index}]"
        if messages := names.dns1035_label(version.get("name", "")):
            errors.append(field.invalid(f"{where}.name", version.get("name", ""), ",".join(messages)))
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        below = f"{where}.schema.openAPIV3Schema"
        if schema is None:
            errors.append(field.required(below, "schemas are required"))
        else:
            errors += structural(schema, below, root=True)
        for position, column in enumerate(version.get("additionalPrinterColumns") or []):
            errors += _column(column, f"{where}.additionalPrinterColumns[{position}]")
    found = [v.get("name") for v in versions]
    if len(set(found)) != len(found):
        errors.append(field.invalid(path, versions, "must contain unique version names"))
    if sum(bool(v.get("storage")) for v in versions) != 1:
        text = "must have exactly one version marked as storage version"
        errors.append(field.invalid(path, versions, text))
    return errors


def _column(column: Obj, path: str) -> list[FieldError]:
    errors = [field.required(f"{path}.{k}") for k in ("name", "type", "jsonPath") if not column.get(k)]
    kind = column.get("type")
    if kind and kind not in _COLUMN_TYPES:
        errors.append(field.unsupported(f"{path}.type", kind, _COLUMN_TYPES))
    return errors


def structural(schema: Mapping[str, Any], path: str, *, root: bool = False, place: str = "") -> list[FieldError]:
    """What a structural schema must fulfil. `place` says what this is a schema of, for the missing type's sentence."""
    errors: list[FieldError] = []
    kind = schema.get("type", "")
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind:
        if root:
            errors.append(field.required(f"{path}.type", "must not be empty at the root"))
        elif not free:
            errors.append(field.required(f"{path}.type", f"must not be empty for {place}"))
    elif kind not in _TYPES:
        errors.append(field.unsupported(f"{path}.type", kind, _TYPES))
    elif root and kind != "object":
        errors.append(field.invalid(f"{path}.type", kind, "must be object at the root"))
    if "$ref" in schema:
        errors.append(field.forbidden(f"{path}.$ref", "$ref is not supported"))
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(field.forbidden(f"{path}.uniqueItems", text))
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    if properties and isinstance(additional, Mapping):
        text = "additionalProperties and properties are mutual exclusive"
        errors.append(field.forbidden(f"{path}.additionalProperties", text))
    if kind == "array" and not isinstance(schema.get("items"), Mapping):
        errors.append(field.required(f"{path}.items", "must be specified"))
    errors += _list_type(schema, kind, path)
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or []):
        errors += _rule(rule, f"{path}.x-kubernetes-validations[{index}]")
    if "default" in schema and not root:
        for error in openapi.check(schema, schema["default"]):
            below = f"{path}.default" + (f".{error.field}" if error.field else "")
            errors.append(FieldError(error.type, below, error.value, error.detail))
    for name, child in properties.items():
        if root and name == "metadata":
            continue
        errors += structural(child, f"{path}.properties[{name}]", place="specified object fields")
    if isinstance(schema.get("items"), Mapping):
        errors += structural(schema["items"], f"{path}.items", place="specified array items")
    if isinstance(additional, Mapping):
        errors += structural(additional, f"{path}.additionalProperties", place="specified object fields")
    return errors


def _list_type(schema: Mapping[str, Any], kind: str, path: str) -> list[FieldError]:
    list_type, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or []
    errors: list[FieldError] = []
    if list_type is None:
        return errors
    where = f"{path}.x-kubernetes-list-type"
    if list_type not in ("atomic", "map", "set"):
        errors.append(field.unsupported(where, list_type, ["atomic", "map", "set"]))
    elif kind != "array":
        text = "must be array if x-kubernetes-list-type is specified"
        errors.append(field.invalid(f"{path}.type", kind, text))
    elif list_type == "map" and not keys:
        text = "must not be empty if x-kubernetes-list-type is map"
        errors.append(field.required(f"{path}.x-kubernetes-list-map-keys", text))
    return errors


def _rule(rule: Mapping[str, Any], path: str) -> list[FieldError]:
    text = str(rule.get("rule", ""))
    if not text.strip():
        return [field.required(f"{path}.rule", "rule is not specified")]
    try:
        cel.compile_rule(text)
    except cel.RuleError as error:
        return [field.invalid(f"{path}.rule", text, f"compilation failed: ERROR: {error}")]
    return []
