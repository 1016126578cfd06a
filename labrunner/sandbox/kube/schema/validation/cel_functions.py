"""The functions Kubernetes adds to CEL: URLs, addresses, quantities, regular expressions, lists, named formats.

URLs, addresses and quantities travel through the evaluator as maps with one marker key.
Source: k8s.io/apiserver/pkg/cel/library.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

from labrunner.sandbox.kube.schema import quantity
from labrunner.sandbox.kube.schema.validation import names

_URL, _QUANTITY, _IP, _CIDR, _FORMAT = "url()", "quantity()", "ip()", "cidr()", "format()"


def opt_select(value: Any, key: Any) -> Any:
    """`.?key` and `[?key]`, which the evaluator's grammar lacks."""
    from cel import OptionalValue

    if isinstance(value, OptionalValue):
        if not value.has_value():
            return value
        value = value.value()
    if isinstance(value, dict) and key in value:
        return OptionalValue.of(value[key])
    if isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
        return OptionalValue.of(value[key])
    return OptionalValue.none()


def _split(text: str) -> Any:
    parts = urlsplit(text)
    _ = parts.port
    if not (parts.scheme or text.startswith("/")) or any(c in text for c in " \t\n\x7f"):
        raise ValueError("URL parse error during conversion from string")
    return parts


def is_url(text: str) -> bool:
    try:
        _split(text)
    except ValueError:
        return False
    return True


def url(text: str) -> dict[str, str]:
    _split(text)
    return {_URL: text}


def _host(value: dict[str, str]) -> str:
    netloc: str = _split(value[_URL]).netloc
    return netloc.rpartition("@")[2]


def _hostname(value: dict[str, str]) -> str:
    host, port = _host(value), _port(value)
    if port:
        host = host[: -len(port) - 1]
    return host.strip("[]")


def _port(value: dict[str, str]) -> str:
    port = _split(value[_URL]).port
    return str(port) if port is not None else ""


def _query(value: dict[str, str]) -> dict[str, list[str]]:
    return parse_qs(_split(value[_URL]).query, keep_blank_values=True)


def _accepts(function: Callable[[str], object]) -> Callable[[str], bool]:
    def accepts(text: str) -> bool:
        try:
            function(text)
        except ValueError:
            return False
        return True

    return accepts


def _address(value: Any) -> IPv4Address | IPv6Address:
    return ip_address(value[_IP] if isinstance(value, dict) else value)


def _network(value: Any) -> IPv4Network | IPv6Network:
    text = value[_CIDR] if isinstance(value, dict) else value
    if "/" not in text:
        raise ValueError("network address parse error during conversion from string")
    return ip_network(text, strict=False)


def ip(value: Any) -> dict[str, str]:
    """Of a string, or of a CIDR: its address."""
    if isinstance(value, dict):
        return {_IP: value[_CIDR].partition("/")[0]}
    return {_IP: str(ip_address(value))}


def cidr(text: str) -> dict[str, str]:
    _network(text)
    return {_CIDR: text}


def _contains_ip(network: dict[str, str], address: Any) -> bool:
    return _address(address) in _network(network)


def _contains_cidr(network: dict[str, str], other: Any) -> bool:
    outer, inner = _network(network), _network(other)
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _amount(value: Any) -> Decimal:
    return quantity.parse(value[_QUANTITY]).value if isinstance(value, dict) else Decimal(value)


def make_quantity(text: str) -> dict[str, str]:
    quantity.parse(text)
    return {_QUANTITY: text}


def _combined(a: Any, b: Any, sign: int) -> dict[str, str]:
    form = quantity.parse(a[_QUANTITY]).format
    return {_QUANTITY: str(quantity.Quantity(_amount(a) + sign * _amount(b), form))}


def _compare(a: Any, b: Any) -> int:
    if isinstance(a, dict) and _QUANTITY in a:
        left, right = _amount(a), _amount(b)
        return (left > right) - (left < right)
    raise ValueError("no such overload: compareTo")


def _sign(value: Any) -> int:
    return (_amount(value) > 0) - (_amount(value) < 0)


def _as_integer(value: Any) -> int:
    amount = _amount(value)
    if amount != int(amount):
        raise ValueError("cannot convert value to integer")
    return int(amount)


def _is_sorted(items: list[Any]) -> bool:
    return all(not items[i + 1] < items[i] for i in range(len(items) - 1))


def _index_of(value: Any, wanted: Any, offset: int = 0) -> int:
    """Of lists and of strings."""
    if isinstance(value, str):
        return value.find(wanted, offset)
    return value.index(wanted) if wanted in value else -1


def _last_index_of(value: Any, wanted: Any) -> int:
    if isinstance(value, str):
        return value.rfind(wanted)
    return len(value) - 1 - value[::-1].index(wanted) if wanted in value else -1


def _sum(items: list[Any]) -> Any:
    return sum(items[1:], items[0]) if items else 0


def _find(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match[0] if match else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [m[0] for m in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _sprintf(template: str, arguments: list[Any]) -> str:
    values = iter(arguments)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        value = next(values)
        if match[3] == "s":
            return _cel_string(value)
        return str(f"%{match[1]}{match[2]}{match[3]}" % value)

    return re.sub(r"%([-+0 #]*)((?:\d+)?(?:\.\d+)?)([sdfeboxX%])", one, template)


def _cel_string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_cel_string(v) for v in value) + "]"
    return str(value)


_FORMATS: dict[str, names.NameCheck] = {
    "dns1123Label": names.dns1123_label,
    "dns1123Subdomain": names.dns1123_subdomain,
    "dns1035Label": names.dns1035_label,
    "qualifiedName": names.qualified_name,
    "labelValue": names.label_value,
    "dns1123LabelPrefix": lambda text: names.dns1123_label(names.masked(text)),
    "dns1123SubdomainPrefix": lambda text: names.dns1123_subdomain(names.masked(text)),
    "dns1035LabelPrefix": lambda text: names.dns1035_label(names.masked(text)),
}


def _validate(form: dict[str, str], text: str) -> Any:
    from cel import OptionalValue

    errors = _FORMATS[form[_FORMAT]](text)
    return OptionalValue.of(errors) if errors else OptionalValue.none()


def _named(name: str) -> Callable[..., dict[str, str]]:
    return lambda *_: {_FORMAT: name}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "optSelect": opt_select,
    "isURL": is_url,
    "url": url,
    "getScheme": lambda u: _split(u[_URL]).scheme,
    "getHost": _host,
    "getHostname": _hostname,
    "getPort": _port,
    "getEscapedPath": lambda u: _split(u[_URL]).path,
    "getQuery": _query,
    "isIP": _accepts(ip_address),
    "ip": ip,
    "isCIDR": _accepts(_network),
    "cidr": cidr,
    "family": lambda a: _address(a).version,
    "isUnspecified": lambda a: _address(a).is_unspecified,
    "isLoopback": lambda a: _address(a).is_loopback,
    "isGlobalUnicast": lambda a: (
        not (_address(a).is_multicast or _address(a).is_unspecified or _address(a).is_loopback)
    ),
    "isLinkLocalUnicast": lambda a: _address(a).is_link_local,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "prefixLength": lambda n: _network(n).prefixlen,
    "masked": lambda n: {_CIDR: str(_network(n))},
    "isQuantity": _accepts(quantity.parse),
    "quantity": make_quantity,
    "isInteger": lambda q: _amount(q) == int(_amount(q)),
    "asInteger": _as_integer,
    "asApproximateFloat": lambda q: float(_amount(q)),
    "isGreaterThan": lambda a, b: _amount(a) > _amount(b),
    "isLessThan": lambda a, b: _amount(a) < _amount(b),
    "compareTo": _compare,
    "sign": _sign,
    "add": lambda a, b: _combined(a, b, 1),
    "sub": lambda a, b: _combined(a, b, -1),
    "isSorted": _is_sorted,
    "sum": _sum,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "find": _find,
    "findAll": _find_all,
    "format": _sprintf,
    "validate": _validate,
    **{name: _named(name) for name in _FORMATS},
}
