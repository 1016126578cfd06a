"""Struct types of a Go program, with their field tags, read out of its ELF file (Go 1.18 to 1.26, 64 bit, not PIE).

The Go linker keeps every type that reflection may reach; `moduledata` in section .go.module says where. Layouts:
Go's internal/abi/type.go and runtime/symtab.go.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_KINDS = {
    1: "bool", 2: "int", 3: "int8", 4: "int16", 5: "int32", 6: "int64", 7: "uint", 8: "uint8", 9: "uint16",
    10: "uint32", 11: "uint64", 13: "float32", 14: "float64", 17: "array", 20: "interface", 21: "map", 22: "pointer",
    23: "slice", 24: "string", 25: "struct",
}  # fmt: skip
_TYPE_SIZE = 48
_OF_OTHER_SIZE = ("map", "array", "interface", "other")
_UNCOMMON, _EXTRA_STAR, _NAMED = 1, 2, 4


@dataclass(frozen=True)
class GoType:
    """`name` is empty for unnamed types; `elem` is what a pointer, slice or map holds; `address` is its identity."""

    address: int
    kind: str
    package: str
    name: str
    elem: int = 0
    key: int = 0


@dataclass(frozen=True)
class GoField:
    name: str
    type: int
    tag: str
    embedded: bool


class GoProgram:
    """Types by address. Raises ValueError for a file of another shape."""

    def __init__(self, image: bytes) -> None:
        if image[:5] != b"\x7fELF\x02":
            raise ValueError("not a 64 bit ELF file")
        self._image = image
        self._sections = self._read_sections()
        _, offset, size = self._sections[".go.module"]
        words = struct.unpack_from(f"<{size // 8}Q", image, offset)
        link_address, _, link_size = self._sections[".typelink"]
        at = words.index(link_address)
        if words[at + 1] * 4 != link_size:
            raise ValueError("moduledata is not where it should be")
        self._types = self._sections[".rodata"][0]
        count = words[at + 1]
        self._links = struct.unpack_from(f"<{count}i", image, self._sections[".typelink"][1])
        self.type = cache(self._type)

    def _read_sections(self) -> dict[str, tuple[int, int, int]]:
        image = self._image
        (table,) = struct.unpack_from("<Q", image, 0x28)
        count, names_index = struct.unpack_from("<HH", image, 0x3C)
        headers = [struct.unpack_from("<IIQQQQ", image, table + 64 * index) for index in range(count)]
        names = headers[names_index][4]
        return {image[names + h[0] : image.index(b"\0", names + h[0])].decode(): (h[3], h[4], h[5]) for h in headers}

    def _offset(self, address: int) -> int:
        for start, offset, size in self._sections.values():
            if start and start <= address < start + size:
                return offset + address - start
        raise ValueError(f"no section holds {address:#x}")

    def _name(self, offset: int) -> tuple[str, str, int]:
        """Name, tag and flags."""
        image = self._image
        flags = image[offset]
        length, at = self._varint(offset + 1)
        name = image[at : at + length].decode()
        tag = ""
        if flags & 2:
            tag_length, tag_at = self._varint(at + length)
            tag = image[tag_at : tag_at + tag_length].decode()
        return name, tag, flags

    def _varint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = self._image[at]
            value |= (byte & 0x7F) << shift
            at += 1
            shift += 7
            if byte < 0x80:
                return value, at

    def _type(self, address: int) -> GoType:
        image, offset = self._image, self._offset(address)
        flags, kind_code = image[offset + 20], image[offset + 23] & 31
        kind = _KINDS.get(kind_code, "other")
        (name_offset,) = struct.unpack_from("<i", image, offset + 40)
        name = self._name(self._offset(self._types + name_offset))[0]
        if flags & _EXTRA_STAR:
            name = name[1:]
        size = {"struct": 80, "pointer": 56, "slice": 56, **dict.fromkeys(_OF_OTHER_SIZE, 0)}.get(kind, _TYPE_SIZE)
        package = ""
        if flags & _NAMED and flags & _UNCOMMON and size:
            (path_offset,) = struct.unpack_from("<i", image, offset + size)
            package = self._name(self._offset(self._types + path_offset))[0] if path_offset else ""
        elem = key = 0
        if kind in ("pointer", "slice"):
            (elem,) = struct.unpack_from("<Q", image, offset + _TYPE_SIZE)
        elif kind == "map":
            key, elem = struct.unpack_from("<QQ", image, offset + _TYPE_SIZE)
        return GoType(address, kind, package, name.rpartition(".")[2] if flags & _NAMED else "", elem, key)

    def fields(self, address: int) -> list[GoField]:
        """Of a struct type."""
        array, count = struct.unpack_from("<QQ", self._image, self._offset(address) + _TYPE_SIZE + 8)
        found = []
        for index in range(count):
            name, type_, _ = struct.unpack_from("<QQQ", self._image, self._offset(array) + 24 * index)
            text, tag, flags = self._name(self._offset(name))
            found.append(GoField(text, type_, tag, bool(flags & 8)))
        return found

    def structs(self) -> Iterator[GoType]:
        """Every named struct type that can be reached from the linked types."""
        seen: set[int] = set()
        stack = [self._types + link for link in self._links]
        while stack:
            address = stack.pop()
            if address in seen:
                continue
            seen.add(address)
            type_ = self.type(address)
            stack += [inner for inner in (type_.elem, type_.key) if inner]
            if type_.kind == "struct":
                stack += [field.type for field in self.fields(address)]
                if type_.name:
                    yield type_
