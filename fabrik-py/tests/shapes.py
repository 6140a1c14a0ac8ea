"""Documents in the shapes that the engine writes, made by hand for the tests of tables and plots."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence

START = datetime(2026, 3, 2, 6, 0, tzinfo=timezone.utc)


@dataclass
class Field:
    """An attribute that differs."""

    before: Any
    after: Any
    missing: Optional[str] = None


@dataclass
class Change:
    """A change without an engine behind it."""

    kind: str
    dn: Optional[str]
    row: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Field] = field(default_factory=dict)
    severity: Optional[str] = None
    reason: Optional[str] = None
    class_name: Optional[str] = "fvBD"

    @property
    def key(self) -> Mapping[str, Any]:
        """Returns the columns that the row is paired by."""
        return {"dn": self.dn} if self.dn else {}


def head(changes: Sequence[Change], **summary: Any) -> Dict[str, Any]:
    """Returns the document of a comparison that found these changes."""
    counts: Dict[str, Any] = {kind: sum(c.kind == kind for c in changes) for kind in ("added", "removed", "changed")}
    if any(change.severity for change in changes):
        counts["by_severity"] = {}
        for change in changes:
            name = change.severity or "info"
            counts["by_severity"][name] = counts["by_severity"].get(name, 0) + 1
        counts.update(risk_score=40, risk_level="high", below_min_severity=0)
    side = {"query": "bd-health", "captured_at": START.isoformat(), "row_count": 12}
    return {
        "snapshot_a": side,
        "snapshot_b": {**side, "captured_at": (START + timedelta(days=1)).isoformat()},
        "summary": {**counts, "unchanged": 9, **summary},
        "warnings": [],
    }


#: Stands in the steps of :func:`timeline` where the object is not there.
GONE = None


def timeline(steps: Sequence[Optional[Mapping[str, Any]]], dn: str = "uni/tn-prod/BD-web") -> Dict[str, Any]:
    """Returns the timeline of an object, a step a day."""
    points: List[Dict[str, Any]] = []
    lifecycle: List[Dict[str, Any]] = []
    seen = steps[0] is not GONE if steps else False
    for place, step in enumerate(steps):
        at = (START + timedelta(days=place)).isoformat()
        here: Dict[str, Any] = {"snapshot_id": f"s{place}", "executed_at": at}
        points.append({**here, "present": step is not GONE, "attributes": dict(step or {})})
        if place and (step is GONE) != (steps[place - 1] is GONE):
            event = "deleted" if step is GONE else "recreated" if seen else "created"
            lifecycle.append({**here, "event": event})
        seen = seen or step is not GONE
    names = sorted({name for step in steps for name in step or ()})
    evolutions = []
    for name in names:
        values: List[Dict[str, Any]] = []
        for point in points:
            if point["present"]:
                value = point["attributes"].get(name)
                changed = bool(values) and values[-1]["value"] != value
                values.append(
                    {**{k: point[k] for k in ("snapshot_id", "executed_at")}, "value": value, "changed": changed}
                )
        distinct: List[Any] = []
        for value in values:
            if value["value"] not in distinct:
                distinct.append(value["value"])
        changes = sum(value["changed"] for value in values)
        evolutions.append(
            {
                "attribute": name,
                "change_count": changes,
                "is_stable": changes == 0,
                "distinct_values": distinct,
                "values": values,
            }
        )
    evolutions.sort(key=lambda evolution: -evolution["change_count"])
    return {
        "dn": dn,
        "snapshot_count": len(points),
        "points": points,
        "attribute_evolution": evolutions,
        "tracked_attributes": names,
        "lifecycle": lifecycle,
    }


def heatmap(scores: Sequence[Optional[float]], first: date = date(2026, 1, 1)) -> Dict[str, Any]:
    """Returns a heatmap, a score a day; ``None`` is a day without a snapshot."""
    days = [
        {
            "date": (first + timedelta(days=place)).isoformat(),
            "snapshot_count": 0 if score is None else 1,
            "change_score": score or 0.0,
            "has_changes": int(bool(score)),
        }
        for place, score in enumerate(scores)
    ]
    return {"window": f"{len(days)}d", "timezone": "UTC", "days": days}
