"""`/openapi/v2` as JSON: the v3 documents of all group-versions put into one Swagger 2.0 document.

Source: k8s.io/kube-openapi/pkg/openapiconv and builder3, read backwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_V3, _V2 = "#/components/schemas/", "#/definitions/"
_ANSWERS = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
_METHODS = ("get", "put", "post", "patch", "delete")


def converted(documents: Iterable[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """One v2 document of these v3 documents. `version`: the server's."""
    definitions: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for document in documents:
        for name, schema in document["components"]["schemas"].items():
            if name not in definitions:
                definitions[name] = _schema(schema)
        for path, item in document["paths"].items():
            paths[path] = _item(item)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "type": "apiKey",
                "name": "authorization",
                "in": "header",
            }
        },
        "security": [{"BearerToken": []}],
    }


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {method: _operation(item[method]) for method in _METHODS if method in item}
    if item.get("parameters"):
        found["parameters"] = [_parameter(parameter) for parameter in item["parameters"]]
    return found


def _operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in operation.items() if key not in ("parameters", "requestBody", "responses")}
    parameters = [_parameter(parameter) for parameter in operation.get("parameters", ())]
    body = operation.get("requestBody")
    if body:
        content = body["content"]
        schema = _schema(next(iter(content.values()))["schema"])
        parameters.insert(0, {"name": "body", "in": "body", "required": bool(body.get("required")), "schema": schema})
        found["consumes"] = list(content) if len(content) > 1 else ["*/*"]
    else:
        found["consumes"] = ["*/*"]
    found["produces"] = _ANSWERS
    found["schemes"] = ["https"]
    if parameters:
        found["parameters"] = parameters
    found["responses"] = {code: _response(response) for code, response in operation["responses"].items()}
    return found


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    content = response.get("content") or {}
    schema = next((entry["schema"] for entry in content.values() if "schema" in entry), None)
    return {"description": response["description"], **({"schema": _schema(schema)} if schema else {})}


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in parameter.items() if key != "schema"}
    return {**plain, **_schema(parameter.get("schema") or {})}


def _schema(schema: Any) -> Any:
    """A schema in v2's terms: references stand alone, and what v2 has no word for is left open."""
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(_V3, _V2)}
    if len(schema.get("allOf", ())) == 1 and "$ref" in schema["allOf"][0]:
        kept = {key: value for key, value in schema.items() if key not in ("allOf", "default")}
        return {**kept, **_schema(schema["allOf"][0])}
    found = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf", "not", "nullable", "allOf")}
    if schema.get("format") == "int-or-string" or "x-quantity" in schema or _only_scalars(schema.get("oneOf")):
        found["type"] = "string"
    if isinstance(found.get("properties"), Mapping):
        found["properties"] = {name: _schema(child) for name, child in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _schema(found[key])
    return found


def _only_scalars(alternatives: Any) -> bool:
    return bool(alternatives) and all(set(entry) == {"type"} for entry in alternatives)
