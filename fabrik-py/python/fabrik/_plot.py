"""Pictures of timelines and heatmaps, drawn by matplotlib, which is the extra ``plot`` of the package."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ._calendar import WEEKDAYS, hottest_of, month_labels, share_of, weeks_of
from ._cells import cut_middle, instant, shown_value, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.patches import Rectangle

Document = Mapping[str, Any]

#: Timelines without a choice of attributes show no more lanes than this.
MOST_LANES = 12
#: Longer values are cut where they are written into a lane.
_LABEL_CHARACTERS = 60
#: A character of a value takes about so many inches.
_CHARACTER_INCHES = 0.068
_COLOURS = (
    "#4c78a8",
    "#f58518",
    "#54a24b",
    "#b279a2",
    "#e45756",
    "#72b7b2",
    "#eeca3b",
    "#9d755d",
    "#bab0ac",
    "#ff9da6",
)
_ABSENT_GREY = "#999999"
#: Names that change with every write and say nothing about the object itself.
_BORING = ("modTs", "lastTransition")


def plot_timeline(document: Document, ax: Optional[Axes] = None, attributes: Optional[Sequence[str]] = None) -> Axes:
    """Draws a timeline: a lane for each attribute, a colour for each of its values, hatched where the object is absent.

    A value begins at the snapshot that first shows it; what happened between two snapshots nobody knows. The last
    stretch ends a little after the last snapshot, so that its value can be seen.

    :param document: the timeline's document.
    :param ax: where to draw; a new figure unless given.
    :param attributes: the lanes, top first. Unless given, those that changed, the ones with the most changes first, at
        most 12, time stamps of changes left out where others changed too.
    :raises ValueError: when the timeline has no snapshots, or an attribute is not one of the timeline's.
    :raises ImportError: without matplotlib.
    """
    points = document["points"]
    if not points:
        raise ValueError(f"the timeline of {document['dn']!r} has no snapshots to draw")
    lanes = _lanes(document, attributes)
    axes = ax if ax is not None else _new_axes(10, 1.1 + 0.42 * max(len(lanes), 1))
    # Only parts of matplotlib are typed.
    dates: Any = importlib.import_module("matplotlib.dates")

    times = [instant(point["executed_at"]) for point in points]
    span = (times[-1] - times[0]) or timedelta(days=1)
    edges = [*times, times[-1] + span * 0.03]
    starts: List[float] = [float(dates.date2num(time)) for time in edges]
    figure: Any = axes.get_figure()
    characters = axes.get_position().width * figure.get_figwidth() / _CHARACTER_INCHES / (starts[-1] - starts[0])

    for lane, name in enumerate(lanes):
        for first, last, value in _stretches(document, name):
            left, right = starts[first], starts[last + 1]
            if value is _GONE or value is _UNKNOWN:
                _draw_gap(axes, left, right - left, lane, "///" if value is _GONE else "...")
                continue
            colour = _colour_of(document, name, value)
            axes.barh(lane, right - left, left=left, height=0.8, color=colour, edgecolor="white", linewidth=0.8)
            room = min(int((right - left) * characters), _LABEL_CHARACTERS)
            text = cut_middle(shown_value(value), room) if room >= 3 else ""
            axes.text(
                left + (right - left) / 2,
                lane,
                _literal(text),
                ha="center",
                va="center",
                fontsize=8,
                color=_ink_on(colour),
            )
    if not lanes:
        middle = (starts[0] + starts[-1]) / 2
        axes.text(middle, 0, "in none of the snapshots", ha="center", va="center", fontsize=8)
    for time in starts[:-1]:
        axes.axvline(time, color="#88888855", linewidth=0.5, zorder=0)
    axes.set_yticks(range(len(lanes)), [_literal(visible(name)) for name in lanes])
    axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
    axes.set_xlim(starts[0], starts[-1])
    axes.xaxis_date(tz="UTC")
    locator = dates.AutoDateLocator(tz="UTC")
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz="UTC"))
    axes.set_title(_literal(visible(document["dn"])), fontsize=10, loc="left")
    _without_frame(axes)
    return axes


def plot_heatmap(document: Document, ax: Optional[Axes] = None, *, title: Optional[str] = None) -> Axes:
    """Draws a heatmap as a calendar: weeks from left to right, weekdays from top to bottom.

    The colour follows the root of the share of rows that changed on a day. A day without a snapshot is hatched, one
    on which nothing changed is grey.

    :param document: the heatmap's document.
    :param ax: where to draw; a new figure unless given.
    :param title: what to write above; the window unless given.
    :raises ImportError: without matplotlib.
    """
    days = document["days"]
    weeks = weeks_of(days)
    axes = ax if ax is not None else _new_axes(max(2.2 + 0.2 * len(weeks), 4.5), 2.1)
    import matplotlib

    hottest = hottest_of(days)
    # The palest tones of a map cannot be told from no change at all.
    heat = matplotlib.colormaps["YlOrRd"]
    for column, week in enumerate(weeks):
        for row, day in enumerate(week):
            if day is None:
                continue
            if not day["snapshot_count"]:
                axes.add_patch(_cell(column, row, facecolor="none", edgecolor="#99999988", hatch="/////"))
                continue
            share = share_of(day, hottest)
            axes.add_patch(_cell(column, row, facecolor=heat(0.2 + 0.8 * share) if share else "#88888833"))
    axes.set_xlim(-0.1, max(len(weeks), 1))
    axes.set_ylim(7, -0.1)
    axes.set_aspect("equal")
    axes.set_yticks([0.45 + row for row in range(7)], WEEKDAYS, fontsize=8)
    labels = month_labels(weeks)
    axes.set_xticks([place for place, _ in labels], [name for _, name in labels], fontsize=8, ha="left")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    above = title if title is not None else f"changes in {document['window']} ({document['timezone']})"
    axes.set_title(_literal(visible(above)), fontsize=10, loc="left")
    _legend(axes, heat, hottest)
    _without_frame(axes)
    return axes


#: Stand for the stretches in which there is no value.
_GONE = object()
_UNKNOWN = object()


def _lanes(document: Document, attributes: Optional[Sequence[str]]) -> List[str]:
    evolutions = {evolution["attribute"]: evolution for evolution in document["attribute_evolution"]}
    if attributes is not None:
        chosen = [attributes] if isinstance(attributes, str) else list(attributes)
        unknown = [name for name in chosen if name not in evolutions]
        if unknown:
            raise ValueError(
                f"attributes names {unknown[0]!r}, which no snapshot of {document['dn']!r} shows; "
                f"expected one of {', '.join(sorted(evolutions)) or 'none, as the object was never there'}"
            )
        return chosen
    changed = [name for name, evolution in evolutions.items() if evolution["change_count"] > 0]
    telling = [name for name in changed if name not in _BORING] or changed
    # What never changed is still worth a lane when it is all there is: it shows where the object was there at all.
    return telling[:MOST_LANES] or [name for name in ("dn", *evolutions) if name in evolutions][:1]


def _stretches(document: Document, attribute: str) -> Iterator[Tuple[int, int, Any]]:
    """Yields runs of equal values as the first and the last point of each, both inclusive."""
    evolution = next(item for item in document["attribute_evolution"] if item["attribute"] == attribute)
    values = {point["snapshot_id"]: point["value"] for point in evolution["values"]}

    def value_at(point: Mapping[str, Any]) -> Any:
        if point["present"]:
            return values.get(point["snapshot_id"], _UNKNOWN)
        return _UNKNOWN if point.get("unknown") else _GONE

    first = 0
    found = [value_at(point) for point in document["points"]]
    for place in range(1, len(found) + 1):
        if place == len(found) or not _is_same(found[place], found[first]):
            yield first, place - 1, found[first]
            first = place


def _is_same(one: Any, other: Any) -> bool:
    # In Python True equals 1, in a snapshot it does not.
    return one is other or (type(one) is type(other) and bool(one == other))


def _colour_of(document: Document, attribute: str, value: Any) -> str:
    evolution = next(item for item in document["attribute_evolution"] if item["attribute"] == attribute)
    known = evolution["distinct_values"]
    place = next((i for i, other in enumerate(known) if _is_same(value, other)), len(known))
    return _COLOURS[place % len(_COLOURS)]


def _draw_gap(axes: Axes, left: float, width: float, lane: int, hatch: str) -> None:
    axes.barh(lane, width, left=left, height=0.8, color="none", edgecolor=_ABSENT_GREY, linewidth=0, hatch=hatch)


def _cell(column: float, row: float, **style: Any) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((column, row), 0.9, 0.9, **{"linewidth": 0, **style})


def _legend(axes: Axes, heat: Colormap, hottest: float) -> None:
    """Explains the colours below the calendar, as wide as the shortest window lets it be."""
    text: Dict[str, Any] = {"va": "center", "fontsize": 8, "clip_on": False}
    axes.add_patch(_cell(0, 7.6, facecolor="#88888833", clip_on=False))
    axes.text(1.1, 8.05, "0", **text)
    if hottest <= 0:
        return
    for place in range(4):
        axes.add_patch(_cell(2 + place, 7.6, facecolor=heat(0.2 + 0.8 * place / 3), clip_on=False))
    axes.text(6.2, 8.05, f"{hottest * 100:.3g} % of rows", **text)


def _new_axes(width: float, height: float) -> Axes:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install fabrik-py[plot]", name="matplotlib") from error
    _, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    return axes


def _without_frame(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)


def _literal(text: str) -> str:
    """Keeps matplotlib from reading a formula between dollar signs."""
    return text.replace("$", r"\$")


def _ink_on(colour: str) -> str:
    """Returns black or white, whichever can be read on a colour."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "white"
