"""Results as HTML for notebooks.

Text keeps the colour of the page, and colours are thin layers over its ground, so the same markup reads well on light
and on dark. Every value is escaped. There is no script: rows fold by ``<details>``.
"""

from __future__ import annotations

from datetime import date
from html import escape
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ._calendar import WEEKDAYS, Day, hottest_of, month_labels, score_of, share_of, weeks_of
from ._cells import ABSENT, count, counted, cut, moment, plain, shown_value, visible
from ._table import (
    EVENT_SIGNS,
    QUIET,
    SIGNS,
    SNAPSHOT_HEADINGS,
    ChangeLike,
    Document,
    choose,
    counts_line,
    events,
    name_of,
    risk_line,
    sides,
    snapshot_cells,
)

#: How many changes a notebook shows; each holds its row, so that a thousand would make the notebook slow.
HTML_CHANGES = 100
#: Longer values are cut.
_VALUE_CHARACTERS = 300
#: Rows show no more attributes than this.
_ROW_ATTRIBUTES = 80

# Middle tones, so that they stand out on white as well as on black.
_COLOURS = {
    "added": "46,160,67",
    "removed": "218,54,51",
    "changed": "210,153,34",
    "unknown": "128,128,128",
    "unchanged": "128,128,128",
}
_KINDS = {
    "created": "added",
    "recreated": "added",
    "deleted": "removed",
    "changed": "changed",
    "unchanged": "unchanged",
    "absent": "unchanged",
    "unknown": "unknown",
}
_STRENGTHS = {"unchanged": 0.4, "absent": 0.0}
_SEVERITY_COLOURS = {
    "critical": "218,54,51",
    "high": "219,109,40",
    "medium": "210,153,34",
    "low": "56,139,253",
    "info": "128,128,128",
}
_HEAT = "219,109,40"

_STYLE = """<style>
.fabrik{font-size:13px;line-height:1.45;overflow-x:auto}
.fabrik code,.fabrik td.v,.fabrik summary{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px}
.fabrik code{background:none;color:inherit;padding:0}
.fabrik .dim{opacity:.65}
.fabrik .bar{display:flex;height:8px;max-width:480px;margin:4px 0;border-radius:4px;overflow:hidden;
background:rgba(128,128,128,.15)}
.fabrik .tag{display:inline-block;padding:0 6px;border-radius:8px;margin-right:4px}
.fabrik details{margin:1px 0}
.fabrik details details{margin-left:16px}
.fabrik summary{cursor:pointer}
.fabrik table{border-collapse:collapse;margin:2px 0 6px 16px;font-size:12px}
.fabrik table td,.fabrik table th{text-align:left;padding:1px 8px;vertical-align:top;white-space:pre-wrap;
overflow-wrap:anywhere;border:0;background:none;color:inherit}
.fabrik table th{font-weight:600}
.fabrik table.list{margin-left:0}
.fabrik table.list td:not(:last-child),.fabrik table.list th{white-space:nowrap}
.fabrik table.cal{border-collapse:separate;border-spacing:2px;margin-left:0}
.fabrik table.cal td{width:12px;min-width:12px;height:12px;padding:0;border-radius:2px}
.fabrik table.cal th{padding:0 4px 0 0;font-weight:400;font-size:11px;white-space:nowrap}
</style>"""


def diff_html(document: Document, changes: Iterable[ChangeLike], *, limit: int = HTML_CHANGES) -> str:
    """Renders a comparison: a bar with the counts, then the changes by kind, folded, at most ``limit`` of them.

    ``document`` and ``changes`` are as in :func:`fabrik._table.diff_text`.
    """
    summary = document["summary"]
    parts = [_span(document), _bar(summary), f"<div>{_text(counts_line(summary))}</div>"]
    risk = risk_line(summary)
    if risk:
        level = summary.get("risk_level") or "info"
        parts.append(f"<div>{_tag(level, _SEVERITY_COLOURS.get(level, _SEVERITY_COLOURS['info']))}{_text(risk)}</div>")
    parts.extend(f'<div style="{_ground("changed")}">note: {_text(w)}</div>' for w in document.get("warnings", ()))
    shown, more = choose(summary, changes, limit)
    for kind in ("changed", "added", "removed"):
        of_kind = [change for change in shown if change.kind == kind]
        if of_kind:
            rest = f", {count(len(of_kind))} of them here" if len(of_kind) < summary[kind] else ""
            title = f"{count(summary[kind])} {kind}{rest}"
            lines = "".join(_change(change) for change in of_kind)
            # The kind that people look for first is open, unless it would push everything else off the page.
            state = " open" if kind == "changed" and len(of_kind) <= 20 else ""
            parts.append(f'<details{state}><summary><b style="{_ink(kind)}">{title}</b></summary>{lines}</details>')
    if more > 0:
        parts.append(f'<div class="dim">… and {count(more)} more</div>')
    return _page(parts)


def timeline_html(document: Document) -> str:
    """Renders a timeline: what happened in which snapshot, and below, folded, what the object is now."""
    found = events(document)
    happened = [event for event in found if event.what not in QUIET]
    snapshots = counted(int(document["snapshot_count"]), "snapshot", "snapshots")
    told = counted(len(happened), "event", "events")
    parts = [f"<div><code><b>{_text(document['dn'])}</b></code> in {snapshots}, {told}</div>"]
    if found:
        width = 100 / len(found)
        cells = "".join(
            f'<span title="{_text(moment(event.at))} {_text(event.what)}" '
            f'style="width:{width:.3f}%;{_ground(_KINDS[event.what], _STRENGTHS.get(event.what, 0.9))}"></span>'
            for event in found
        )
        parts.append(f'<div class="bar">{cells}</div>')
    rows = []
    for event in happened:
        changes = event.changes or [("", ABSENT, ABSENT)]
        for place, (name, before, after) in enumerate(changes):
            head = f"{EVENT_SIGNS[event.what]} {moment(event.at)} {event.what}" if place == 0 else ""
            what = _sides_cells(name, before, after) if event.changes else '<td colspan="3"></td>'
            rows.append(f'<tr><td class="v" style="{_ink(_KINDS[event.what])}">{_text(head)}</td>{what}</tr>')
    if rows:
        parts.append(f"<table>{''.join(rows)}</table>")
    last = next((point for point in reversed(document["points"]) if point["present"]), None)
    if last is not None:
        at = _text(moment(last["executed_at"]))
        parts.append(f"<details><summary>all attributes at {at}</summary>{_row(last['attributes'])}</details>")
    return _page(parts)


def heatmap_html(document: Document, *, query: Optional[str] = None) -> str:
    """Renders a heatmap as a calendar: a column for each week, a row for each weekday, figures as tool tips."""
    days = document["days"]
    hottest = hottest_of(days)
    weeks = weeks_of(days)
    labels: Dict[int, str] = dict(month_labels(weeks))
    snapshots = counted(sum(day["snapshot_count"] for day in days), "snapshot", "snapshots")
    changed = count(sum(day["has_changes"] for day in days))
    name = f"<b>{_text(query)}</b>, " if query else ""
    window = _text(f"{document['window']} ({document['timezone']})")
    heads, place = [], 0
    while place < len(weeks):
        # A name is wider than a week: it has the columns up to the next one.
        end = next((other for other in range(place + 1, len(weeks)) if other in labels), len(weeks))
        heads.append(f'<th colspan="{end - place}">{labels.get(place, "")}</th>')
        place = end
    lines = [f"<tr><th></th>{''.join(heads)}</tr>"]
    for weekday, title in enumerate(WEEKDAYS):
        cells = "".join(_day(week[weekday], hottest) for week in weeks)
        lines.append(f"<tr><th>{title}</th>{cells}</tr>")
    head = f"<div>{name}{window}: {snapshots}, {changed} with changes</div>"
    return _page([head, f'<table class="cal">{"".join(lines)}</table>'])


def snapshots_html(documents: Sequence[Document]) -> str:
    """Renders snapshots as a table."""
    if not documents:
        return _page(["<div>no snapshots</div>"])
    heads = "".join(f"<th>{heading.lower()}</th>" for heading in SNAPSHOT_HEADINGS)
    rows = "".join(
        "<tr>" + "".join(f'<td class="v">{_text(cell)}</td>' for cell in snapshot_cells(document)) + "</tr>"
        for document in documents
    )
    return _page([f'<table class="list"><tr>{heads}</tr>{rows}</table>'])


def _page(parts: Iterable[str]) -> str:
    return f'{_STYLE}<div class="fabrik">{"".join(parts)}</div>'


def _span(document: Document) -> str:
    before, after = document["snapshot_a"], document["snapshot_b"]

    def side(head: Document) -> str:
        rows = counted(head["row_count"], "row", "rows")
        return f'<b>{_text(head["query"])}</b> {moment(head["captured_at"])} <span class="dim">({rows})</span>'

    return f"<div>{side(before)} → {side(after)}</div>"


def _bar(summary: Document) -> str:
    total = sum(summary[kind] for kind in SIGNS)
    if total == 0:
        return ""
    cells = "".join(
        f'<span title="{count(summary[kind])} {kind}" '
        f'style="width:{summary[kind] / total * 100:.2f}%;{_ground(kind, 0.9)}"></span>'
        for kind in SIGNS
    )
    return f'<div class="bar">{cells}</div>'


def _change(change: ChangeLike) -> str:
    severity = _tag(change.severity, _SEVERITY_COLOURS[change.severity]) if change.severity else ""
    class_name = f' <span class="dim">{_text(change.class_name)}</span>' if change.class_name else ""
    fields = sides(change.fields)
    names = cut(", ".join(name for name, _, _ in fields), 80)
    names = f' <span class="dim">· {_text(names)}</span>' if names else ""
    sign = f'<b style="{_ink(change.kind)}">{SIGNS[change.kind]}</b>'
    head = f"{sign} {severity}{escape(name_of(change))}{class_name}{names}"
    reason = f'<div class="dim" style="margin-left:16px">{_text(change.reason)}</div>' if change.reason else ""
    if change.kind == "changed":
        body = "<table>" + "".join(f"<tr>{_sides_cells(*field)}</tr>" for field in fields) + "</table>"
    else:
        body = _row(change.row)
    return f"<details><summary>{head}</summary>{reason}{body}</details>"


def _sides_cells(name: str, before: Any, after: Any) -> str:
    return (
        f'<td class="v">{_text(name)}</td>'
        f'<td class="v" style="{_ground("removed")}">{_value(before)}</td>'
        f'<td class="v" style="{_ground("added")}">{_value(after)}</td>'
    )


def _row(row: Mapping[str, Any]) -> str:
    """Shows a row: what has a value as a table, the names of the rest in one line."""
    filled: List[Tuple[str, Any]] = [(name, value) for name, value in row.items() if value not in ("", None)]
    empty = [name for name, value in row.items() if value in ("", None)]
    shown = filled[:_ROW_ATTRIBUTES]
    lines = "".join(f'<tr><td class="v">{_text(n)}</td><td class="v">{_value(v)}</td></tr>' for n, v in shown)
    notes = []
    if len(filled) > len(shown):
        notes.append(f"… and {count(len(filled) - len(shown))} more attributes")
    if empty:
        notes.append(f"empty: {_text(cut(', '.join(empty), _VALUE_CHARACTERS))}")
    rest = "".join(f'<div class="dim" style="margin-left:24px">{note}</div>' for note in notes)
    return f"<table>{lines}</table>{rest}"


def _day(day: Optional[Day], hottest: float) -> str:
    if day is None:
        return "<td></td>"
    at = f"{date.fromisoformat(day['date']):%a %Y-%m-%d}"
    if not day["snapshot_count"]:
        return f'<td title="{at}: no snapshot" style="border:1px dotted rgba(128,128,128,.5)"></td>'
    tip = f"{at}: {score_of(day) * 100:.2f} % of rows, {counted(day['snapshot_count'], 'snapshot', 'snapshots')}"
    share = share_of(day, hottest)
    ground = f"rgba({_HEAT},{0.2 + 0.8 * share:.2f})" if share else "rgba(128,128,128,.18)"
    return f'<td title="{tip}" style="background:{ground}"></td>'


def _tag(text: str, colour: str) -> str:
    return f'<span class="tag" style="background:rgba({colour},.3)">{_text(text)}</span>'


def _ground(kind: str, strength: float = 0.15) -> str:
    return f"background:rgba({_COLOURS[kind]},{strength})"


def _ink(kind: str) -> str:
    return f"color:rgb({_COLOURS[kind]})"


def _text(text: object) -> str:
    return escape(visible(text))


def _value(value: Any) -> str:
    if value is ABSENT:
        return '<span class="dim">absent</span>'
    if isinstance(value, str) and not value.strip():
        return '<span class="dim">empty</span>' if not value else escape(shown_value(value))
    return escape(cut(visible(plain(value)), _VALUE_CHARACTERS))
