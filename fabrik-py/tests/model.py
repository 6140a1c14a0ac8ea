"""The engine's semantics once more, as simply as can be: rows are dicts, snapshots are lists of them."""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

Row = Dict[str, Any]
Pair = Tuple[Optional[Row], Optional[Row]]

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def at(hours: float) -> datetime:
    """Returns a moment so many hours after a fixed one."""
    return NOON + timedelta(hours=hours)


def text(value: Any) -> str:
    """Returns a value as canonical JSON, in which `1`, `1.0`, `True` and `"1"` differ."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=digits)


def digits(number: Any) -> Any:
    assert isinstance(number, Decimal), f"{number!r} is no JSON value"
    return {"a number": str(number)}


def multiset(rows: Iterable[Row]) -> "Counter[str]":
    """Returns rows so that two lists of them compare whatever their order."""
    return Counter(text(row) for row in rows)


def dn(row: Row) -> Optional[str]:
    value = row.get("dn")
    return value if isinstance(value, str) and value else None


def class_name(row: Row) -> Optional[str]:
    for column in ("className", "class"):
        if isinstance(row.get(column), str):
            return str(row[column])
    return None


def ranked(value: Any) -> Tuple[int, str]:
    """Returns the rank of a value's kind among others, and its text: what key columns are ordered by."""
    if value is None or value is ABSENT:
        return 0, ""
    if isinstance(value, bool):
        return 1, text(value)
    if isinstance(value, (int, float)):
        return 2, text(value)
    if isinstance(value, str):
        return 3, value
    return 4, text(value)


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number % 128 + 128)
        number //= 128
    out.append(number)
    return bytes(out)


def content(row: Row) -> bytes:
    """Returns what rows of one key are ordered by: the stored bytes of their names and then of their values."""
    names = sorted(row, key=str.encode)
    out = bytearray(varint(len(names)))
    for name in names:
        out += varint(len(name.encode())) + name.encode()
    for name in names:
        rank, value = ranked(row[name])
        tag = {0: 0, 2: 3, 3: 4, 4: 5}.get(rank, 2 if value == "true" else 1)
        value = "" if rank < 2 else value
        out += varint(len(value.encode()) * 8 + tag) + value.encode()
    return bytes(out)


ABSENT = object()


def column(row: Row, path: str) -> Any:
    """Returns a column, or what a dotted path leads to, or `ABSENT`."""
    if path in row:
        return row[path]
    for dot in re.finditer(r"\.", path):
        below = row.get(path[: dot.start()])
        found = column(below, path[dot.end() :]) if isinstance(below, dict) else ABSENT
        if found is not ABSENT:
            return found
    return ABSENT


Key = Tuple[Any, ...]


def key(row: Row, spec: str) -> Key:
    """Returns what a row is paired by; those without a DN stand in an order of their own, which the model ignores."""
    by_content = (3, content(row))
    if spec in ("auto", "dn"):
        name = dn(row)
        return by_content if name is None else (1, name.encode())
    if spec == "hash":
        return by_content
    return (2, tuple(ranked(column(row, path)) for path in spec.split(",")))


@dataclass
class Counts:
    added: int = 0
    removed: int = 0
    changed: int = 0
    unchanged: int = 0
    hidden: int = 0
    unkeyed: int = 0
    duplicate_keys: int = 0


@dataclass
class Outcome:
    counts: Counts = field(default_factory=Counts)
    pairs: List[Tuple[Key, Pair]] = field(default_factory=list)


def hides(patterns: Iterable[str]) -> Tuple[Callable[[Row, str], bool], Callable[[Optional[str]], bool]]:
    """Returns what tells whether patterns hide an attribute of a row, and whether they hide all of a DN."""
    of_dns = [p[3:] if p.startswith("dn:") else p for p in patterns if "/" in p or p.startswith("dn:")]
    others = [p for p in patterns if "/" not in p and not p.startswith("dn:")]

    def matches(pattern: str, name: str) -> bool:
        return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))

    def attribute(row: Row, name: str) -> bool:
        for pattern in others:
            wanted, _, of_name = pattern.rpartition(".")
            if matches(of_name, name) and (not wanted or matches(wanted, class_name(row) or "")):
                return True
        return False

    return attribute, lambda name: name is not None and any(matches(pattern, name) for pattern in of_dns)


def differences(before: Row, after: Row) -> List[str]:
    """Names the attributes that differ, ascending."""

    def side(row: Row, name: str) -> Optional[str]:
        return text(row[name]) if name in row else None

    return [name for name in sorted({*before, *after}, key=str.encode) if side(before, name) != side(after, name)]


def compare(before: List[Row], after: List[Row], spec: str = "auto", ignore: Iterable[str] = ()) -> Outcome:
    """Compares two lists of rows: equal rows cancel, the rest pair up by key, what has no partner came or went."""
    hides_attribute, hides_dn = hides(tuple(ignore))
    outcome = Outcome()
    counts = outcome.counts
    older, newer = multiset(before), multiset(after)
    common = older & newer
    counts.unchanged = sum(common.values())

    def visible(row: Row) -> Row:
        return {name: value for name, value in row.items() if not hides_attribute(row, name)}

    def group_key(row: Row) -> Key:
        found = key(row, spec)
        return key(visible(row), "hash") if found[0] == 3 and spec != "dn" else found

    met: Dict[Key, List[int]] = {}
    groups: Dict[Key, Tuple[List[Row], List[Row]]] = {}
    for side, rows in enumerate((before, after)):
        left = Counter(common)
        for row in rows:
            met.setdefault(key(row, spec), [0, 0])[side] += 1
            if left[text(row)]:
                left[text(row)] -= 1
            else:
                groups.setdefault(group_key(row), ([], []))[side].append(row)
    counts.duplicate_keys = sum(1 for numbers in met.values() if max(numbers) > 1)

    for group in sorted(groups):
        gone, come = (sorted(rows, key=content) for rows in groups[group])
        if spec == "dn" and group[0] == 3:
            counts.unkeyed += len(gone) + len(come)
            continue
        for place in range(max(len(gone), len(come))):
            old = gone[place] if place < len(gone) else None
            new = come[place] if place < len(come) else None
            row = come[place] if new is not None else gone[place]
            pair = (old, new)
            differing = [] if old is None or new is None else differences(old, new)
            if hides_dn(dn(row)) or (differing and all(hides_attribute(row, name) for name in differing)):
                counts.hidden += 1
                continue
            kind = "added" if old is None else "removed" if new is None else "changed"
            setattr(counts, kind, getattr(counts, kind) + 1)
            outcome.pairs.append((group, pair))
    return outcome


def apply(before: List[Row], changes: Iterable[Pair]) -> "Counter[str]":
    """Applies changes to rows: takes out what was, puts in what is."""
    rows = multiset(before)
    for old, new in changes:
        if old is not None:
            assert rows[text(old)] > 0, f"{old} cannot be removed, it is not there"
            rows[text(old)] -= 1
        if new is not None:
            rows[text(new)] += 1
    return +rows
