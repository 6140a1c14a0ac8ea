"""Values, numbers and times as the text of a cell."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, List, Sequence

from ._records import _aware

#: Between two cells of a line.
GAP = "  "


class _Absent:
    """Stands where a row lacks an attribute, which is not the same as null."""

    def __str__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


def plain(value: Any) -> str:
    """Writes a value as people read it: text as it is, everything else as JSON."""
    if isinstance(value, (str, Decimal, _Absent)):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def shown_value(value: Any) -> str:
    """Writes a value so that empty, absent and blank can be told apart."""
    text = visible(plain(value))
    return text if text.strip() else f'"{text}"'


def visible(text: object) -> str:
    """Replaces what would act on a terminal or be invisible: control characters, line ends, direction marks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def width_of(text: str) -> int:
    """Counts the columns that text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """Shortens text to so many columns, the last of them an ellipsis where something was cut."""
    if width_of(text) <= columns:
        return text
    return _fit(text, columns - 1) + "…"


def cut_middle(text: str, columns: int) -> str:
    """Shortens text in the middle: DNs begin with where they are and end with what they are."""
    if width_of(text) <= columns:
        return text
    end = (columns - 1) // 2
    return _fit(text, columns - 1 - end) + "…" + _fit(text[::-1], end)[::-1]


def _fit(text: str, columns: int) -> str:
    used = 0
    for place, c in enumerate(text):
        used += width_of(c)
        if used > columns:
            return text[:place]
    return text


def pad(text: str, columns: int) -> str:
    """Fills text up to so many columns."""
    return text + " " * (columns - width_of(text))


def align(rows: Sequence[Sequence[str]], columns: int, numbers: Sequence[int] = ()) -> List[str]:
    """Lines up cells; those of the columns in ``numbers`` end at the same place."""
    widths = [max(width_of(cell) for cell in column) for column in zip(*rows)]

    def cell(place: int, text: str) -> str:
        space = " " * (widths[place] - width_of(text))
        return space + text if place in numbers else text + space

    return [cut(GAP.join(cell(i, text) for i, text in enumerate(row)).rstrip(), columns) for row in rows]


def count(number: int) -> str:
    """Writes a number with its thousands set apart."""
    return f"{number:,}".replace(",", " ")


def counted(number: int, singular: str, plural: str) -> str:
    """Writes a number of things."""
    return f"{count(number)} {singular if number == 1 else plural}"


def instant(at: object) -> datetime:
    """Reads a time as documents write it."""
    return at if isinstance(at, datetime) else _aware(str(at))


def moment(at: object) -> str:
    """Writes a time in UTC, to the second where it is not a whole minute."""
    time = instant(at).astimezone(timezone.utc)
    return f"{time:%Y-%m-%d %H:%M}Z" if time.second == 0 else f"{time:%Y-%m-%d %H:%M:%S}Z"
