"""The days of a heatmap as weeks, for everything that draws one."""

from __future__ import annotations

from datetime import date
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Day = Mapping[str, Any]
#: Seven days from Monday to Sunday; ``None`` outside the window.
Week = List[Optional[Day]]


def weeks_of(days: Iterable[Day]) -> List[Week]:
    """Puts days, one after the other and none left out, into weeks from Monday to Sunday."""
    weeks: List[Week] = []
    for day in days:
        at = date.fromisoformat(day["date"])
        if not weeks or at.weekday() == 0:
            weeks.append([None] * 7)
        weeks[-1][at.weekday()] = day
    return weeks


def month_labels(weeks: Sequence[Week]) -> List[Tuple[int, str]]:
    """Returns the weeks in which months begin, with their names; the first week counts unless the next is too near."""
    labels: List[Tuple[int, str]] = []
    month: Optional[Tuple[int, int]] = None
    for place, week in enumerate(weeks):
        inside = [day for day in week if day is not None]
        if not inside:
            continue
        last = date.fromisoformat(inside[-1]["date"])
        if (last.year, last.month) == month:
            continue
        month = (last.year, last.month)
        if labels and place - labels[-1][0] < 2:
            labels.pop()
        name = _MONTHS[last.month - 1]
        labels.append((place, f"{name} {last.year}" if last.month == 1 and place else name))
    return labels


def share_of(day: Day, hottest: float) -> float:
    """Returns how hot a day is, from 0 to 1, against the hottest.

    It is the root of the ratio, since most days have a small part of what a change window has.
    """
    score = score_of(day)
    return float((score / hottest) ** 0.5) if hottest > 0 and score > 0 else 0.0


def score_of(day: Day) -> float:
    """Returns the share of rows that changed on a day."""
    # Documents keep the digits of their numbers, by a decimal where a float cannot.
    return float(day["change_score"])


def hottest_of(days: Iterable[Day]) -> float:
    """Returns the greatest share of rows that changed on any day."""
    return max((score_of(day) for day in days), default=0.0)


def heat_of(day: Day, hottest: float) -> str:
    """Judges a day: ``none`` (no snapshot), ``still``, ``little``, ``some`` or ``much``."""
    if not day["snapshot_count"]:
        return "none"
    share = share_of(day, hottest)
    if share == 0:
        return "still"
    return "little" if share <= 1 / 3 else "some" if share <= 2 / 3 else "much"
