"""Syntax of names, labels and keys, with the sentences the server answers.

Source: k8s.io/apimachinery/pkg/util/validation and pkg/api/validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_ENV = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_HEADER = "[-A-Za-z0-9]+"

NameCheck = Callable[[str], list[str]]


def _matcher(pattern: str) -> Callable[[str], object]:
    return re.compile(f"(?:{pattern})\\Z").match


_is_label, _is_subdomain, _is_1035 = _matcher(_LABEL), _matcher(_SUBDOMAIN), _matcher(_DNS1035)
_is_qualified, _is_label_value, _is_env = _matcher(_QUALIFIED), _matcher(_LABEL_VALUE), _matcher(_ENV)
_is_c_identifier, _is_config_key = _matcher(_C_IDENTIFIER), _matcher(_CONFIG_KEY)
_is_percent, _is_wildcard, _is_header = _matcher(_PERCENT), _matcher(_WILDCARD), _matcher(_HEADER)


def regex_error(message: str, pattern: str, *examples: str) -> str:
    if not examples:
        return f"{message} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


def max_length(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def dns1123_label(value: str) -> list[str]:
    errors = [max_length(63)] if len(value) > 63 else []
    if not _is_label(value):
        if _is_subdomain(value):
            return [*errors, "must not contain dots"]
        errors.append(
            regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
                "and must start and end with an alphanumeric character",
                _LABEL,
                "my-name",
                "123-abc",
            )
        )
    return errors


def dns1123_subdomain(value: str) -> list[str]:
    errors = [max_length(253)] if len(value) > 253 else []
    if not _is_subdomain(value):
        errors.append(
            regex_error(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
                "and must start and end with an alphanumeric character",
                _SUBDOMAIN,
                "example.com",
            )
        )
    return errors


def wildcard_subdomain(value: str) -> list[str]:
    errors = [max_length(253)] if len(value) > 253 else []
    if not _is_wildcard(value):
        errors.append(
            regex_error(
                "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
                "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
                _WILDCARD,
                "*.example.com",
            )
        )
    return errors


def dns1035_label(value: str) -> list[str]:
    errors = [max_length(63)] if len(value) > 63 else []
    if not _is_1035(value):
        errors.append(
            regex_error(
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
                "start with an alphabetic character, and end with an alphanumeric character",
                _DNS1035,
                "my-name",
                "abc-123",
            )
        )
    return errors


_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)


def qualified_name(value: str) -> list[str]:
    """Keys of labels and annotations: `name` or `prefix/name`."""
    sentence = regex_error(_QUALIFIED_TEXT, _QUALIFIED, "MyName", "my.name", "123-abc")
    errors: list[str] = []
    parts = value.split("/")
    if len(parts) > 2:
        return [
            f"a qualified name {sentence} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    if len(parts) == 2:
        if not parts[0]:
            errors.append("prefix part must be non-empty")
        else:
            errors += [f"prefix part {message}" for message in dns1123_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append(f"name part {max_length(63)}")
    if not _is_qualified(name):
        errors.append(f"name part {sentence}")
    return errors


def label_value(value: str) -> list[str]:
    errors = [max_length(63)] if len(value) > 63 else []
    if not _is_label_value(value):
        errors.append(
            regex_error(
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
                "and must start and end with an alphanumeric character",
                _LABEL_VALUE,
                "MyValue",
                "my_value",
                "12345",
            )
        )
    return errors


def env_var_name(value: str) -> list[str]:
    """Since 1.34 any printable ASCII but `=` (RelaxedEnvironmentVariableValidation)."""
    errors = []
    if not value:
        return ["environment variable name must be non-empty"]
    if any(not 0x20 <= ord(c) <= 0x7E or c == "=" for c in value):
        errors.append(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
        )
    return errors


def config_map_key(value: str) -> list[str]:
    errors = [max_length(253)] if len(value) > 253 else []
    if not _is_config_key(value):
        errors.append(
            regex_error(
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                _CONFIG_KEY,
                "key.name",
                "KEY_NAME",
                "key-name",
            )
        )
    if value == ".":
        errors.append("must not be '.'")
    elif value == "..":
        errors.append("must not be '..'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def percent(value: str) -> list[str]:
    if _is_percent(value):
        return []
    return [
        regex_error("a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%")
    ]


def header_name(value: str) -> list[str]:
    if _is_header(value):
        return []
    return [regex_error("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")]


def port_name(value: str) -> list[str]:
    """IANA_SVC_NAME."""
    errors = []
    if len(value) > 15:
        errors.append(max_length(15))
    if not re.fullmatch(r"[-a-z0-9]*", value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value and (value.startswith("-") or value.endswith("-")):
        errors.append("must not begin or end with a hyphen")
    return errors


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def path_segment(value: str) -> list[str]:
    """Names of RBAC objects: anything that can stand in a URL path."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in value]


def masked(prefix: str) -> str:
    """A generateName as its check sees it: the trailing dash will be followed by something."""
    return prefix[:-2] + "a" if len(prefix) > 1 and prefix.endswith("-") else prefix
