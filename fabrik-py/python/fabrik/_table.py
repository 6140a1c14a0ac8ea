"""Results as plain text: what ``print`` shows of a comparison, a timeline, a heatmap and a list of snapshots.

Everything here takes the JSON documents that the command, the server and the engine share, so a result looks the same
wherever it came from. Nothing is coloured, and no value can act on a terminal.
"""

from __future__ import annotations

import heapq
import itertools
import shutil
from datetime import date, datetime
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from ._calendar import WEEKDAYS, Week, heat_of, hottest_of, month_labels, score_of, weeks_of
from ._cells import (
    ABSENT,
    GAP,
    align,
    count,
    counted,
    cut,
    cut_middle,
    instant,
    moment,
    pad,
    plain,
    shown_value,
    visible,
    width_of,
)

Document = Mapping[str, Any]

#: How many changes ``print(diff)`` shows.
TEXT_CHANGES = 40
#: Wide enough for most DNs where nobody says how wide the page is.
WIDTH_WITHOUT_TERMINAL = 140

SEVERITIES = ("critical", "high", "medium", "low", "info")
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_HEAT_SIGNS = {"none": " ", "still": ".", "little": ":", "some": "*", "much": "#"}
_HEAT_LEGEND = ". no change   : little   * some   # much   (blank: no snapshot)"
#: No DN is cut shorter than this, whatever else a line has to say.
_LEAST_NAME = 24


class FieldLike(Protocol):
    """One attribute of a changed row."""

    @property
    def before(self) -> Any: ...
    @property
    def after(self) -> Any: ...
    @property
    def missing(self) -> Optional[str]: ...


class ChangeLike(Protocol):
    """What a table needs to know of a change."""

    @property
    def kind(self) -> str: ...
    @property
    def key(self) -> Mapping[str, Any]: ...
    @property
    def dn(self) -> Optional[str]: ...
    @property
    def class_name(self) -> Optional[str]: ...
    @property
    def row(self) -> Mapping[str, Any]: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...
    @property
    def severity(self) -> Optional[str]: ...
    @property
    def reason(self) -> Optional[str]: ...


class Event(NamedTuple):
    """What happened to an object between one snapshot of a timeline and the one before."""

    at: datetime
    #: ``created``, ``recreated``, ``deleted``, ``changed``, ``unchanged``, ``absent`` or ``unknown``.
    what: str
    changes: List[Tuple[str, Any, Any]]


def diff_text(
    document: Document, changes: Iterable[ChangeLike], *, limit: int = TEXT_CHANGES, width: Optional[int] = None
) -> str:
    """Renders a comparison: the counts, then a line for each change, at most ``limit`` of them.

    ``document`` is the answer to a comparison; its lists of changes are not read. Changes come in key order, or the
    most severe first where they were judged; only then are all of ``changes`` read.
    """
    columns = width or terminal_width()
    lines = [_span(document), counts_line(document["summary"])]
    risk = risk_line(document["summary"])
    if risk:
        lines.append(risk)
    lines.extend(f"note: {visible(warning)}" for warning in document.get("warnings", ()))
    shown, more = choose(document["summary"], changes, limit)
    if shown:
        lines.append("")
        lines.extend(_change_lines(shown, columns))
    if more > 0:
        lines.append(f"… and {count(more)} more")
    return "\n".join(cut(line, columns) for line in lines)


def timeline_text(document: Document, *, width: Optional[int] = None) -> str:
    """Renders a timeline: a line for each snapshot in which something happened; quiet ones are counted."""
    columns = width or terminal_width()
    snapshots = counted(int(document["snapshot_count"]), "snapshot", "snapshots")
    lines = [f"{visible(document['dn'])}: {snapshots}"]
    for what, group in itertools.groupby(events(document), key=lambda event: event.what):
        run = list(group)
        if what in QUIET:
            lines.append(f"{EVENT_SIGNS[what]} {moment(run[0].at)}{GAP}{_quiet(run, is_first=len(lines) == 1)}")
            continue
        for event in run:
            head = f"{EVENT_SIGNS[what]} {moment(event.at)}"
            told = [] if what == "changed" else [_EVENT_WORDS.get(what, what)]
            names = max((width_of(visible(name)) for name, _, _ in event.changes), default=0)
            for name, before, after in event.changes:
                told.append(f"{pad(visible(name), names)}{GAP}{shown_value(before)} → {shown_value(after)}")
            lines.extend(f"{head if i == 0 else ' ' * len(head)}{GAP}{line}" for i, line in enumerate(told))
    return "\n".join(cut(line, columns) for line in lines)


def heatmap_text(document: Document, *, query: Optional[str] = None, width: Optional[int] = None) -> str:
    """Renders a heatmap as a calendar: a column for each week, a row for each weekday."""
    columns = width or terminal_width()
    days = document["days"]
    snapshots = counted(sum(day["snapshot_count"] for day in days), "snapshot", "snapshots")
    changed = count(sum(day["has_changes"] for day in days))
    name = f"{visible(query)}, " if query else ""
    lines = [f"{name}{document['window']} ({document['timezone']}): {snapshots}, {changed} with changes"]
    weeks = weeks_of(days)
    hottest = hottest_of(days)
    fitting = max((columns - 4) // 3, 1)
    # A year is wider than most terminals: what does not fit goes below.
    for start in range(0, len(weeks), fitting):
        lines.extend(["", *_calendar_block(weeks[start : start + fitting], hottest)])
    lines.extend(["", _HEAT_LEGEND])
    busiest = sorted((day for day in days if score_of(day) > 0), key=score_of, reverse=True)
    for day in busiest[:3]:
        lines.append(f"    {date.fromisoformat(day['date']):%a %Y-%m-%d}  {score_of(day) * 100:.2f} % of rows")
    return "\n".join(cut(line, columns) for line in lines)


def snapshots_text(documents: Sequence[Document], *, width: Optional[int] = None) -> str:
    """Renders snapshots, one a line, with what each changed and why it was captured."""
    if not documents:
        return "no snapshots"
    rows = [SNAPSHOT_HEADINGS, *(snapshot_cells(document) for document in documents)]
    return "\n".join(align(rows, width or terminal_width(), numbers=(3,)))


def choose(summary: Document, changes: Iterable[ChangeLike], limit: int) -> Tuple[List[ChangeLike], int]:
    """Picks the changes to show and counts the others."""
    total = int(summary["added"]) + int(summary["removed"]) + int(summary["changed"])
    if "by_severity" not in summary:
        # Whoever prints the first lines of a million changes does not wait for the last.
        shown = list(itertools.islice(changes, limit))
        return shown, total - len(shown)
    visible_changes = total - int(summary.get("below_min_severity", 0))
    shown = heapq.nsmallest(limit, changes, key=lambda change: rank(change.severity))
    return shown, visible_changes - len(shown)


def rank(severity: Optional[str]) -> int:
    """Orders severities, the worst first."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def counts_line(summary: Document) -> str:
    """Says the counts; those that are nearly always zero only when they are not."""
    parts = [f"{count(summary[name])} {name}" for name in ("added", "removed", "changed", "unchanged")]
    for name, what in (
        ("hidden", "hidden"),
        ("unkeyed", "without a DN"),
        ("unknown", "unknown, as a side may just not show them"),
        ("noise_changes", "only noise"),
    ):
        if summary.get(name):
            parts.append(f"{count(summary[name])} {what}")
    if summary.get("duplicate_keys"):
        parts.append(counted(summary["duplicate_keys"], "key more than once", "keys more than once"))
    return ", ".join(parts)


def risk_line(summary: Document) -> Optional[str]:
    """Says how risky the changes are together; ``None`` when nobody judged them."""
    if "by_severity" not in summary:
        return None
    found = [f"{count(summary['by_severity'][name])} {name}" for name in SEVERITIES if summary["by_severity"].get(name)]
    line = f"risk {summary.get('risk_score') or 0} of 100: {', '.join(found) or 'nothing changed'}"
    below = summary.get("below_min_severity")
    return f"{line}; {count(below)} less severe than asked for not shown" if below else line


def name_of(change: ChangeLike) -> str:
    """Returns how people know a row: its DN, the columns it was paired by, or else its first columns."""
    if change.dn:
        return visible(change.dn)
    columns = change.key or dict(itertools.islice(change.row.items(), 3))
    return visible(", ".join(f"{name}={plain(value)}" for name, value in columns.items()))


def sides(fields: Mapping[str, FieldLike]) -> List[Tuple[str, Any, Any]]:
    """Takes changed attributes apart into name, before and after, with :data:`ABSENT` where there was none."""
    return [
        (
            name,
            ABSENT if field.missing == "before" else field.before,
            ABSENT if field.missing == "after" else field.after,
        )
        for name, field in fields.items()
    ]


def fields_line(fields: Sequence[Tuple[str, Any, Any]], columns: int) -> str:
    """Writes as many changed attributes as fit, and says how many do not."""
    parts = [f"{visible(name)} {shown_value(before)} → {shown_value(after)}" for name, before, after in fields]
    line = ", ".join(parts)
    if width_of(line) <= columns:
        return line
    for kept in range(len(parts) - 1, 0, -1):
        rest = f", … {len(parts) - kept} more"
        line = ", ".join(parts[:kept])
        if width_of(line) + width_of(rest) <= columns:
            return line + rest
    rest = f", … {len(parts) - 1} more" if len(parts) > 1 else ""
    return cut(parts[0], max(columns - width_of(rest), 1)) + rest


def _span(document: Document) -> str:
    before, after = document["snapshot_a"], document["snapshot_b"]
    same = before["query"] == after["query"]

    def side(head: Document) -> str:
        name = "" if same else f"{visible(head['query'])} "
        return f"{name}{moment(head['captured_at'])} ({counted(head['row_count'], 'row', 'rows')})"

    start = f"{visible(before['query'])}: " if same else ""
    return f"{start}{side(before)} → {side(after)}"


def _change_lines(changes: Sequence[ChangeLike], columns: int) -> Iterator[str]:
    judged = any(change.severity for change in changes)
    heads = [
        [SIGNS[change.kind], *([change.severity or ""] if judged else []), visible(change.class_name or "")]
        for change in changes
    ]
    names = [name_of(change) for change in changes]
    starts = align(heads, columns)
    whats = [sides(change.fields) for change in changes]
    start_width = max(width_of(start) for start in starts)
    left = columns - start_width - 2 * len(GAP)
    wanted = max(
        width_of(fields_line(what, 1 << 20) if what else visible(change.reason or ""))
        for what, change in zip(whats, changes)
    )
    # Names and attributes take what they need; where that is too much for both, each has half the page at least.
    name_width = min(max(width_of(name) for name in names), max(left - wanted, left // 2, _LEAST_NAME))
    for change, start, name, what in zip(changes, starts, names, whats):
        line = f"{pad(start, start_width)}{GAP}{pad(cut_middle(name, name_width), name_width)}"
        budget = max(left - name_width, 1)
        yield f"{line}{GAP}{fields_line(what, budget) if what else visible(change.reason or '')}".rstrip()


EVENT_SIGNS = {
    "created": "+",
    "recreated": "+",
    "deleted": "-",
    "changed": "~",
    "unchanged": "=",
    "absent": " ",
    "unknown": "?",
}
#: Of these only the number of snapshots is told.
QUIET = ("unchanged", "absent")
_EVENT_WORDS = {"unknown": "not known: the snapshot may just not show the object"}


def events(document: Document) -> List[Event]:
    """Lists what happened at each snapshot of a timeline, oldest first."""
    changes: Dict[str, List[Tuple[str, Any, Any]]] = {}
    for evolution in document["attribute_evolution"]:
        before: Any = ABSENT
        for point in evolution["values"]:
            if point["changed"]:
                changes.setdefault(point["snapshot_id"], []).append((evolution["attribute"], before, point["value"]))
            before = point["value"]
    lifecycle = {event["snapshot_id"]: event["event"] for event in document["lifecycle"]}
    found = []
    for point in document["points"]:
        fields = sorted(changes.get(point["snapshot_id"], ()), key=lambda field: field[0])
        if point.get("unknown"):
            what = "unknown"
        elif point["snapshot_id"] in lifecycle:
            what = lifecycle[point["snapshot_id"]]
        elif not point["present"]:
            what = "absent"
        else:
            what = "changed" if fields else "unchanged"
        found.append(Event(instant(point["executed_at"]), what, fields))
    return found


def _quiet(run: Sequence[Event], is_first: bool) -> str:
    if len(run) == 1:
        # Nobody knows what it was before the first snapshot.
        return "first seen" if is_first and run[0].what == "unchanged" else run[0].what
    return f"to {moment(run[-1].at)}, {run[0].what} in {len(run)} snapshots"


def _calendar_block(weeks: Sequence[Week], hottest: float) -> Iterator[str]:
    months = "    "
    for place, label in month_labels(weeks):
        column = 4 + 3 * place
        # A month whose name would run into the one before stays without.
        if len(months.rstrip()) < column:
            months = months.ljust(column) + label + " "
    yield months.rstrip()
    for weekday, name in enumerate(WEEKDAYS):
        signs = (_HEAT_SIGNS[heat_of(day, hottest)] if day else " " for day in (week[weekday] for week in weeks))
        yield f"{name} {'  '.join(signs)}".rstrip()


SNAPSHOT_HEADINGS = ["SNAPSHOT", "QUERY", "CAPTURED AT", "ROWS", "CHANGES", "KEPT", "NOTE"]


def snapshot_cells(document: Document) -> List[str]:
    """Returns the cells of a snapshot, one for each of :data:`SNAPSHOT_HEADINGS`."""
    changes = document.get("changes")
    if changes is None:
        changed = "first"
    else:
        parts = [(SIGNS[kind], changes[kind]) for kind in ("added", "removed", "changed")]
        changed = " ".join(f"{sign}{count(number)}" for sign, number in parts if number) or "none"
    notes = [note for note in (document.get("label"), document.get("annotation")) if note]
    status = document.get("verdict", {}).get("status", "complete")
    if status != "complete":
        notes.insert(0, status)
    kept = "pinned" if document.get("pinned") else document["retention_policy"]
    return [
        document["id"],
        visible(document["query_name"]),
        moment(document["captured_at"]),
        count(document["row_count"]),
        changed,
        kept,
        visible(": ".join(notes)),
    ]


def terminal_width() -> int:
    """Returns how many columns a line may take."""
    return shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
