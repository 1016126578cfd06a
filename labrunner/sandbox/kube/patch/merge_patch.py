"""JSON merge patch (RFC 7386) as the API server applies it.

Source: gopkg.in/evanphx/json-patch.v4 `MergePatch`: nulls inside new values are dropped, also within lists.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.patch.json_value import copied


def apply(document: Any, patch: Any) -> Any:
    """The patched document; neither argument is changed."""
    if not isinstance(patch, dict):
        return copied(patch)
    if not isinstance(document, dict):
        return _without_nulls(patch)
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif key in result and result[key] is not None:
            result[key] = apply(result[key], value) if isinstance(value, dict) else _without_nulls(value)
        else:
            result[key] = _without_nulls(value)
    return result


def create(old: Any, new: Any) -> Any:
    """The smallest merge patch that turns `old` into `new`, where `new` holds no nulls."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch: dict[str, Any] = dict.fromkeys(key for key in old if key not in new)
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif old[key] != value or isinstance(old[key], bool) != isinstance(value, bool):
            patch[key] = create(old[key], value)
    return patch


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
