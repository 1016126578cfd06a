"""A very small SQL: enough for the statements of labs (select of constants, create, insert, select, delete, drop)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

MAX_ROWS = 10_000


class SqlFault(Exception):
    """PostgreSQL's sentence; `code` is its SQLSTATE."""

    def __init__(self, text: str, code: str = "42601") -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class Result:
    """`columns` None: no rows are described."""

    tag: str
    columns: list[str] | None = None
    rows: list[list[str | None]] = field(default_factory=list)


@dataclass(slots=True)
class Table:
    columns: list[str]
    rows: list[list[str | None]] = field(default_factory=list)
    serial: int = 0
    serial_column: str = ""


class Database:
    """All databases share their tables: nobody looks that closely."""

    def __init__(self, user: str, name: str) -> None:
        self.user, self.name = user, name
        self.names = {"postgres", name, "template1"}
        self.tables: dict[str, Table] = {}

    @staticmethod
    def statements(text: str) -> list[str]:
        """Split at `;` outside quotes."""
        pieces = re.findall(r"(?:'(?:[^']|'')*'|\"[^\"]*\"|[^;'\"])+", text)
        return [piece.strip() for piece in pieces if piece.strip()]

    def execute(self, statement: str) -> Result:
        """Raises SqlFault."""
        text = re.sub(r"--[^\n]*", "", statement).strip()
        word = (re.match(r"\w+", text) or [""])[0].lower()
        match word:
            case "select" | "table":
                return self._select(text)
            case "create":
                return self._create(text)
            case "insert":
                return self._insert(text)
            case "delete" | "truncate":
                return self._delete(text)
            case "drop":
                return self._drop(text)
            case "show":
                return self._show(text)
            case "begin" | "commit" | "rollback" | "set" | "alter" | "grant" | "analyze" | "vacuum":
                return Result(word.upper())
        raise SqlFault(f'syntax error at or near "{(re.match(r"[^ ]+", text) or [""])[0]}"')

    def _show(self, text: str) -> Result:
        name = text.split()[-1].lower()
        values = {
            "server_version": "16.10",
            "max_connections": "100",
            "ssl": "off",
            "port": "5432",
            "timezone": "Etc/UTC",
        }
        if name not in values:
            raise SqlFault(f'unrecognized configuration parameter "{name}"', "42704")
        return Result("SHOW", [name], [[values[name]]])

    def _create(self, text: str) -> Result:
        if found := re.match(r"create\s+database\s+(\w+)", text, re.I):
            self.names.add(found[1].lower())
            return Result("CREATE DATABASE")
        found = re.match(r"create\s+table\s+(if\s+not\s+exists\s+)?(\w+)\s*\((.*)\)", text, re.I | re.S)
        if not found:
            kind = (re.match(r"create\s+(?:or\s+replace\s+)?(\w+)", text, re.I) or ["", "table"])[1]
            return Result(f"CREATE {kind.upper()}")
        name = found[2].lower()
        if name in self.tables:
            if found[1]:
                return Result("CREATE TABLE")
            raise SqlFault(f'relation "{name}" already exists', "42P07")
        parts = re.split(r",(?![^(]*\))", found[3])
        table = Table([])
        for part in parts:
            words = part.split()
            if words and words[0].lower() not in ("primary", "unique", "foreign", "constraint", "check"):
                table.columns.append(words[0].strip('"').lower())
                if len(words) > 1 and words[1].lower() in ("serial", "bigserial"):
                    table.serial_column = table.columns[-1]
        self.tables[name] = table
        return Result("CREATE TABLE")

    def _table(self, name: str) -> Table:
        table = self.tables.get(name.lower().removeprefix("public."))
        if table is None:
            raise SqlFault(f'relation "{name}" does not exist', "42P01")
        return table

    def _insert(self, text: str) -> Result:
        found = re.match(r"insert\s+into\s+([\w.]+)\s*(?:\(([^)]*)\))?\s*values\s*(.*)", text, re.I | re.S)
        if not found:
            raise SqlFault("syntax error at end of input")
        table = self._table(found[1])
        given = [column for column in table.columns if column != table.serial_column]
        if found[2]:
            given = [c.strip().strip('"').lower() for c in found[2].split(",")]
        count = 0
        for group in re.findall(r"\(((?:'(?:[^']|'')*'|[^()'])*)\)", found[3]):
            values = [_literal(v) for v in re.findall(r"'(?:[^']|'')*'|[^,\s]+", group)]
            row: list[str | None] = [None] * len(table.columns)
            for column, value in zip(given, values, strict=False):
                if column not in table.columns:
                    raise SqlFault(f'column "{column}" of relation "{found[1]}" does not exist', "42703")
                row[table.columns.index(column)] = value
            if table.serial_column and row[table.columns.index(table.serial_column)] is None:
                table.serial += 1
                row[table.columns.index(table.serial_column)] = str(table.serial)
            if len(table.rows) >= MAX_ROWS:
                raise SqlFault("could not extend file: No space left on device", "53100")
            table.rows.append(row)
            count += 1
        return Result(f"INSERT 0 {count}")

    def _delete(self, text: str) -> Result:
        found = re.match(r"(?:delete\s+from|truncate(?:\s+table)?)\s+([\w.]+)(?:\s+where\s+(.*))?", text, re.I | re.S)
        if not found:
            raise SqlFault("syntax error at end of input")
        table = self._table(found[1])
        keep = [row for row in table.rows if found[2] and not _holds(found[2], table, row)]
        count = len(table.rows) - len(keep)
        table.rows = keep
        return Result("TRUNCATE TABLE" if text.lower().startswith("trunc") else f"DELETE {count}")

    def _drop(self, text: str) -> Result:
        found = re.match(r"drop\s+(table|database)\s+(if\s+exists\s+)?(\w+)", text, re.I)
        if not found:
            raise SqlFault("syntax error at end of input")
        if found[1].lower() == "database":
            self.names.discard(found[3].lower())
            return Result("DROP DATABASE")
        if self.tables.pop(found[3].lower(), None) is None and not found[2]:
            raise SqlFault(f'table "{found[3]}" does not exist', "42P01")
        return Result("DROP TABLE")

    def _select(self, text: str) -> Result:
        found = re.match(r"select\s+(.*?)\s+from\s+([\w.]+)(?:\s+where\s+(.*?))?"
                         r"(?:\s+order\s+by\s+(\w+)(?:\s+(desc|asc))?)?"
                         r"(?:\s+limit\s+(\d+))?\s*$", text, re.I | re.S)  # fmt: skip
        if text.lower().startswith("table "):
            text = f"select * from {text.split()[1]}"
            return self._select(text)
        if not found:
            return self._constants(text)
        name = found[2].lower()
        if name == "pg_database":
            return Result(f"SELECT {len(self.names)}", ["datname"], [[n] for n in sorted(self.names)])
        if name in ("pg_tables", "information_schema.tables"):
            return Result(f"SELECT {len(self.tables)}", ["tablename"], [[n] for n in sorted(self.tables)])
        table = self._table(found[2])
        rows = [row for row in table.rows if not found[3] or _holds(found[3], table, row)]
        if found[4]:
            index = _column(table, found[4])
            rows = sorted(rows, key=lambda r: _key(r[index]), reverse=(found[5] or "").lower() == "desc")
        if found[6]:
            rows = rows[: int(found[6])]
        wanted = [_AGGREGATE.fullmatch(part.strip()) for part in found[1].split(",")]
        if all(wanted):
            made = [_aggregated(table, rows, part) for part in wanted if part is not None]
            return Result("SELECT 1", [name for name, _ in made], [[value for _, value in made]])
        columns = (
            table.columns if found[1].strip() == "*" else [c.strip().strip('"').lower() for c in found[1].split(",")]
        )
        indexes = [_column(table, c) for c in columns]
        return Result(f"SELECT {len(rows)}", list(columns), [[row[i] for i in indexes] for row in rows])

    def _constants(self, text: str) -> Result:
        body = re.sub(r"^select\s*", "", text, flags=re.I)
        if re.search(r"\bfrom\b", body, re.I):
            raise SqlFault("this sandbox's PostgreSQL does not know this query", "0A000")
        names, row = [], []
        for part in re.split(r",(?![^(]*\))(?=(?:[^']*'[^']*')*[^']*$)", body):
            value, _, name = re.sub(r"\s+as\s+", "\0", part.strip(), flags=re.I).partition("\0")
            label, result = self._constant(value.strip())
            names.append(name.strip().strip('"') or label)
            row.append(result)
        return Result("SELECT 1", names, [row])

    def _constant(self, value: str) -> tuple[str, str | None]:
        lower = value.lower().rstrip("()")
        known = {"version": "PostgreSQL 16.10 (Debian 16.10-1.pgdg13+1) on x86_64-pc-linux-gnu, compiled by gcc "
                            "(Debian 14.2.0-19) "
                 "14.2.0, 64-bit", "current_user": self.user, "current_database": self.name, "user": self.user,
                 "now": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00"), "inet_server_addr": None,
                 "pg_is_in_recovery": "f",
                 "current_timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")}  # fmt: skip
        if lower in known:
            return lower, known[lower]
        if (
            re.fullmatch(r"-?\d+(\.\d+)?", value)
            or re.fullmatch(r"'(?:[^']|'')*'", value)
            or lower in ("null", "true", "false")
        ):
            return "?column?" if lower not in ("true", "false") else "bool", _literal(value)
        if found := re.fullmatch(r"(-?\d{1,15})\s*([-+*])\s*(-?\d{1,15})", value):
            a, b = int(found[1]), int(found[3])
            return "?column?", str(a + b if found[2] == "+" else a - b if found[2] == "-" else a * b)
        if re.fullmatch(r"\w+", value):
            raise SqlFault(f'column "{value}" does not exist', "42703")
        raise SqlFault("this sandbox's PostgreSQL does not know this expression", "0A000")


_AGGREGATE = re.compile(r"(count|sum|min|max|avg)\s*\(\s*(\*|\w+)\s*\)(?:\s+(?:as\s+)?(\w+))?", re.I)


def _aggregated(table: Table, rows: list[list[str | None]], asked: re.Match[str]) -> tuple[str, str | None]:
    """(name, value) of `count(*)`, `sum(column)` and their like."""
    kind = asked[1].lower()
    name = (asked[3] or kind).lower()
    if asked[2] == "*":
        if kind != "count":
            raise SqlFault(f"function {kind}() does not exist", "42883")
        return name, str(len(rows))
    index = _column(table, asked[2])
    values = [value for row in rows if (value := row[index]) is not None]
    if kind == "count":
        return name, str(len(values))
    if not values:
        return name, None
    if kind in ("min", "max"):
        return name, (min if kind == "min" else max)(values, key=_key)
    try:
        numbers = [Decimal(value) for value in values]
    except InvalidOperation:
        raise SqlFault(f"function {kind}(text) does not exist", "42883") from None
    total = sum(numbers, Decimal(0))
    return name, str(total) if kind == "sum" else f"{total / len(numbers):.16f}"


def _literal(text: str) -> str | None:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    lower = text.lower()
    if lower in ("true", "false"):
        return lower[0]
    if lower in ("now()", "current_timestamp"):
        return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return None if lower in ("null", "default") else text


def _column(table: Table, name: str) -> int:
    if name.lower() not in table.columns:
        raise SqlFault(f'column "{name}" does not exist', "42703")
    return table.columns.index(name.lower())


def _key(value: str | None) -> tuple[int, float, str]:
    if value is None:
        return 2, 0.0, ""
    return (0, float(value), "") if re.fullmatch(r"-?\d+(\.\d+)?", value) else (1, 0.0, value)


def _holds(condition: str, table: Table, row: list[str | None]) -> bool:
    for part in re.split(r"\s+and\s+", condition.strip(), flags=re.I):
        found = re.fullmatch(r"(\w+)\s*(=|<>|!=|<=|>=|<|>|like)\s*('(?:[^']|'')*'|\S+)", part.strip(), re.I)
        if not found:
            raise SqlFault("this sandbox's PostgreSQL does not know this condition", "0A000")
        left, right = row[_column(table, found[1])], _literal(found[3])
        op = found[2].lower()
        if left is None or right is None:
            return False
        if op == "like":
            pattern = re.escape(right).replace("%", ".*").replace("_", ".")
            if not re.fullmatch(pattern, left) or len(left) > 1000:
                return False
            continue
        a, b = _key(left), _key(right)
        if not {"=": a == b, "<>": a != b, "!=": a != b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[op]:
            return False
    return True
