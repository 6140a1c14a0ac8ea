"""One object through time, and change by day."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union, overload

from ._diff import Path
from ._records import Record, _aware
from ._tasks import frame

__all__ = ["Attribute", "AttributeValue", "Heatmap", "HeatmapDay", "LifecycleEvent", "Timeline", "TimelinePoint"]


def _plain(value: object) -> Union[int, float]:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _write(document: Mapping[str, Any], text: Optional[str], path: Optional[Path]) -> Optional[str]:
    # The text as it came has the digits of every number.
    written = json.dumps(document, default=_plain, ensure_ascii=False) if text is None else text
    if path is None:
        return written
    with open(path, "w", encoding="utf-8") as file:
        file.write(written)
    return None


@dataclass(frozen=True)
class TimelinePoint:
    """What an object was in one snapshot."""

    snapshot_id: uuid.UUID
    captured_at: datetime
    #: Whether the snapshot has the object.
    present: bool
    #: Whether it lacks the object and that says nothing: it may just not have captured it.
    unknown: bool
    #: The row; empty when the object is absent.
    attributes: Mapping[str, Any]
    #: How many rows have its DN; the first is shown.
    rows: int


@dataclass(frozen=True)
class AttributeValue:
    """The value of an attribute in one snapshot."""

    snapshot_id: uuid.UUID
    captured_at: datetime
    value: Any
    #: Whether it differs from the value before.
    changed: bool


@dataclass(frozen=True)
class Attribute:
    """How one attribute changed."""

    name: str
    #: How often its value differed from the one before.
    change_count: int
    is_stable: bool
    #: Its values in the order of first appearance.
    distinct_values: Tuple[Any, ...]
    #: Its value in each snapshot that has the object, oldest first.
    values: Tuple[AttributeValue, ...]


@dataclass(frozen=True)
class LifecycleEvent:
    """When an object came or went: ``created``, ``deleted`` or ``recreated``."""

    event: str
    snapshot_id: uuid.UUID
    at: datetime


@dataclass(frozen=True)
class Timeline(Record):
    """What one object was in each snapshot, oldest first, and how each of its attributes changed.

    Iterating gives a :class:`TimelinePoint` for each snapshot.
    """

    dn: str
    points: Tuple[TimelinePoint, ...]
    #: One for each attribute, those with the most changes first, then by name.
    attributes: Tuple[Attribute, ...]
    lifecycle: Tuple[LifecycleEvent, ...]
    _text: Optional[str] = field(default=None, repr=False, compare=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], text: Optional[str] = None) -> Timeline:
        """Makes the timeline of its JSON form; ``text`` is that form as it came."""
        points = tuple(
            TimelinePoint(
                uuid.UUID(str(point["snapshot_id"])),
                _aware(point["executed_at"]),
                point["present"],
                point.get("unknown", False),
                point["attributes"],
                point.get("rows", 1 if point["present"] else 0),
            )
            for point in document["points"]
        )
        attributes = tuple(
            Attribute(
                entry["attribute"],
                entry["change_count"],
                entry["is_stable"],
                tuple(entry["distinct_values"]),
                tuple(
                    AttributeValue(
                        uuid.UUID(str(value["snapshot_id"])),
                        _aware(value["executed_at"]),
                        value["value"],
                        value["changed"],
                    )
                    for value in entry["values"]
                ),
            )
            for entry in document["attribute_evolution"]
        )
        lifecycle = tuple(
            LifecycleEvent(event["event"], uuid.UUID(str(event["snapshot_id"])), _aware(event["executed_at"]))
            for event in document["lifecycle"]
        )
        return cls(document, document["dn"], points, attributes, lifecycle, text)

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[TimelinePoint]:
        return iter(self.points)

    def __getitem__(self, name: str) -> Attribute:
        """How the attribute of this name changed."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise KeyError(name)

    def _lines(self) -> List[Dict[str, Any]]:
        return [
            {
                "snapshot_id": str(point.snapshot_id),
                "captured_at": point.captured_at,
                "present": point.present,
                "unknown": point.unknown,
                **{name: value for name, value in point.attributes.items()},
            }
            for point in self.points
        ]

    @overload
    def to_json(self, path: None = None) -> str: ...

    @overload
    def to_json(self, path: Path) -> None: ...

    def to_json(self, path: Optional[Path] = None) -> Optional[str]:
        """Writes the JSON document, the same as the command and a server give: to a file, or as a text."""
        return _write(self.document, self._text, path)

    def to_polars(self) -> Any:
        """Makes a ``polars.DataFrame`` with a line for each snapshot and a column for each attribute."""
        return frame("polars", "polars").DataFrame(self._lines(), infer_schema_length=None, strict=False)

    def to_pandas(self) -> Any:
        """Makes a ``pandas.DataFrame`` with a line for each snapshot and a column for each attribute."""
        return frame("pandas", "pandas").DataFrame(self._lines())

    def plot(self, ax: Any = None, attributes: Optional[Sequence[str]] = None) -> Any:
        """Draws a lane for each attribute, by Matplotlib, and returns its axes.

        Without names those attributes are drawn that changed.
        """
        from ._plot import plot_timeline

        return plot_timeline(dict(self.document), ax, attributes)

    def __str__(self) -> str:
        from ._table import timeline_text

        return timeline_text(dict(self.document))

    def _repr_html_(self) -> str:
        from ._html import timeline_html

        return timeline_html(dict(self.document))


@dataclass(frozen=True)
class HeatmapDay:
    """What was captured on one day."""

    date: date
    snapshot_count: int
    #: The mean share of rows that changed, from 0 to 1.
    change_score: float
    #: How many of the snapshots differ from the one before them.
    has_changes: int


@dataclass(frozen=True)
class Heatmap(Record):
    """Change by day: every day of the window, ascending; the last is today. Iterating gives the days."""

    #: The window as it was asked for.
    window: str
    #: The time zone whose days these are.
    timezone: str
    days: Tuple[HeatmapDay, ...]
    #: The query, where it is one.
    query: Optional[str] = None
    _text: Optional[str] = field(default=None, repr=False, compare=False)

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any], query: Optional[str] = None, text: Optional[str] = None
    ) -> Heatmap:
        """Makes the heatmap of its JSON form; ``text`` is that form as it came."""
        days = tuple(
            HeatmapDay(
                date.fromisoformat(day["date"]), day["snapshot_count"], float(day["change_score"]), int(day["has_changes"])
            )
            for day in document["days"]
        )
        return cls(document, document["window"], document.get("timezone", "UTC"), days, query, text)

    def __len__(self) -> int:
        return len(self.days)

    def __iter__(self) -> Iterator[HeatmapDay]:
        return iter(self.days)

    def _lines(self) -> List[Dict[str, Any]]:
        return [dict(vars(day)) for day in self.days]

    @overload
    def to_json(self, path: None = None) -> str: ...

    @overload
    def to_json(self, path: Path) -> None: ...

    def to_json(self, path: Optional[Path] = None) -> Optional[str]:
        """Writes the JSON document, the same as the command and a server give: to a file, or as a text."""
        return _write(self.document, self._text, path)

    def to_polars(self) -> Any:
        """Makes a ``polars.DataFrame`` with a line for each day."""
        return frame("polars", "polars").DataFrame(self._lines())

    def to_pandas(self) -> Any:
        """Makes a ``pandas.DataFrame`` with a line for each day."""
        return frame("pandas", "pandas").DataFrame(self._lines())

    def plot(self, ax: Any = None) -> Any:
        """Draws a calendar, weeks by weekdays, by Matplotlib, and returns its axes."""
        from ._plot import plot_heatmap

        return plot_heatmap(dict(self.document), ax)

    def __str__(self) -> str:
        from ._table import heatmap_text

        return heatmap_text(dict(self.document), query=self.query)

    def _repr_html_(self) -> str:
        from ._html import heatmap_html

        return heatmap_html(dict(self.document), query=self.query)
