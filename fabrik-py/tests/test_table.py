"""What ``print`` and notebooks show."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Iterator, List

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import GONE, Change, Field, head, heatmap, timeline

from fabrik import _cells, _html, _table

nasty = st.text(alphabet=st.sampled_from("ab\n\r\x1b\x00\u202e\u2028<>&\"'$|漢é\u0301 "), max_size=60)
values = st.one_of(nasty, st.none(), st.booleans(), st.integers(), st.lists(nasty, max_size=3))


@st.composite
def changes(draw: st.DrawFn) -> Change:
    kind = draw(st.sampled_from(["added", "removed", "changed"]))
    fields = {}
    if kind == "changed":
        names = draw(st.lists(nasty, min_size=1, max_size=6, unique=True))
        fields = {name: Field(draw(values), draw(values), draw(st.sampled_from([None, "before"]))) for name in names}
    row = draw(st.dictionaries(nasty, values, max_size=5))
    severity = draw(st.sampled_from([None, *_table.SEVERITIES]))
    return Change(kind, draw(st.one_of(nasty, st.none())), row, fields, severity, draw(nasty), draw(nasty))


class Elements(HTMLParser):
    """Collects the elements of a page and checks that they close as they open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: List[str] = []
        self.names: List[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.names.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def parse(html: str) -> Elements:
    elements = Elements()
    elements.feed(html)
    elements.close()
    assert elements.open == []
    return elements


OURS = {"style", "div", "span", "b", "code", "details", "summary", "table", "tr", "td", "th"}


def test_counts_come_first_then_a_line_for_each_change() -> None:
    found = [
        Change("changed", "uni/tn-prod/BD-web", fields={"arpFlood": Field("no", "yes"), "descr": Field("", "web")}),
        Change("removed", "uni/tn-prod/BD-old", {"dn": "uni/tn-prod/BD-old"}),
    ]

    lines = _table.diff_text(head(found), found, width=100).splitlines()

    assert lines == [
        "bd-health: 2026-03-02 06:00Z (12 rows) → 2026-03-03 06:00Z (12 rows)",
        "0 added, 1 removed, 1 changed, 9 unchanged",
        "",
        '~  fvBD  uni/tn-prod/BD-web  arpFlood no → yes, descr "" → web',
        "-  fvBD  uni/tn-prod/BD-old",
    ]


def test_absent_null_and_empty_are_told_apart() -> None:
    fields = {
        "a": Field(None, "x", "before"),
        "b": Field(None, "x"),
        "c": Field("", "x"),
        "d": Field("x", None, "after"),
    }
    found = [Change("changed", "uni", fields=fields)]

    text = _table.diff_text(head(found), found, width=120)

    assert 'a (absent) → x, b null → x, c "" → x, d x → (absent)' in text


@given(st.lists(changes(), max_size=8), st.integers(min_value=30, max_value=200))
def test_no_line_is_wider_than_the_terminal_and_no_value_acts_on_it(found: List[Change], width: int) -> None:
    text = _table.diff_text(head(found), found, width=width)

    for line in text.split("\n"):
        assert _cells.width_of(line) <= width
        assert line.isprintable()


@given(st.lists(changes(), max_size=8))
def test_html_holds_no_element_but_ours(found: List[Change]) -> None:
    elements = parse(_html.diff_html(head(found), found))

    assert set(elements.names) <= OURS


def test_html_shows_what_it_escapes() -> None:
    found = [Change("changed", "<script>alert(1)</script>", fields={"a&b": Field("<b>", "x")})]

    elements = parse(_html.diff_html(head(found), found))

    assert "script" not in elements.names
    assert "<script>alert(1)</script>" in elements.text
    assert "a&b" in elements.text
    assert "<b>" in elements.text


def endless() -> Iterator[Change]:
    place = 0
    while True:
        place += 1
        yield Change("added", f"uni/tn-{place}")


def test_the_rest_is_counted_and_not_read() -> None:
    document = head([], added=1_000_000)

    assert _table.diff_text(document, endless(), limit=3).endswith("\n… and 999 997 more")
    assert "… and 999 997 more" in _html.diff_html(document, endless(), limit=3)


def test_the_most_severe_come_first_and_equals_keep_their_order() -> None:
    order = ["info", "high", "low", "high", "critical"]
    found = [Change("added", f"uni/{place}", severity=severity) for place, severity in enumerate(order)]

    lines = _table.diff_text(head(found), found, limit=4, width=100).splitlines()

    assert [line.split()[2:] for line in lines[-5:-1]] == [["fvBD", f"uni/{place}"] for place in (4, 1, 3, 2)]
    assert lines[-1] == "… and 1 more"


def test_what_is_below_the_wanted_severity_is_not_counted_as_more() -> None:
    found = [Change("added", "uni/1", severity="high")]
    document = head(found, added=4, below_min_severity=3)

    text = _table.diff_text(document, found)

    assert "3 less severe than asked for not shown" in text
    assert "more" not in text.splitlines()[-1]


def test_a_row_without_a_dn_is_known_by_its_first_columns() -> None:
    change = Change("added", None, {"mac": "00:50", "vlan": 12, "port": None, "more": "x"}, class_name=None)

    assert _table.name_of(change) == "mac=00:50, vlan=12, port=null"


@given(nasty, st.integers(min_value=1, max_value=40))
def test_what_is_cut_fits(text: str, columns: int) -> None:
    shown = _cells.visible(text)

    for cut in (_cells.cut(shown, columns), _cells.cut_middle(shown, columns)):
        assert _cells.width_of(cut) <= columns
        assert cut == shown or "…" in cut


def test_width_is_that_of_a_terminal() -> None:
    assert [_cells.width_of(text) for text in ("ab", "漢字", "e\u0301", "ﬁ→")] == [2, 4, 1, 2]


def test_quiet_snapshots_are_counted_and_events_shown() -> None:
    document = timeline([GONE, {"mtu": "1500"}, {"mtu": "1500"}, {"mtu": "1500"}, {"mtu": "9000"}, GONE])

    assert _table.timeline_text(document, width=100).splitlines() == [
        "uni/tn-prod/BD-web: 6 snapshots",
        "  2026-03-02 06:00Z  absent",
        "+ 2026-03-03 06:00Z  created",
        "= 2026-03-04 06:00Z  to 2026-03-05 06:00Z, unchanged in 2 snapshots",
        "~ 2026-03-06 06:00Z  mtu  1500 → 9000",
        "- 2026-03-07 06:00Z  deleted",
    ]


def test_the_first_snapshot_is_not_called_unchanged() -> None:
    lines = _table.timeline_text(timeline([{"mtu": "1"}, {"mtu": "2"}, {"mtu": "2"}])).splitlines()

    assert [line.split("Z  ")[1] for line in lines[1:]] == ["first seen", "mtu  1 → 2", "unchanged"]


def test_a_snapshot_that_may_just_not_show_the_object_is_no_deletion() -> None:
    document = timeline([{"mtu": "1"}, GONE, {"mtu": "1"}])
    document["points"][1]["unknown"] = True
    document["lifecycle"] = []

    text = _table.timeline_text(document)

    assert "? 2026-03-03 06:00Z" in text
    assert "deleted" not in text


@given(st.lists(st.one_of(st.none(), st.dictionaries(nasty, values, max_size=4)), min_size=1, max_size=6), nasty)
def test_timelines_of_any_values_are_printable_and_escaped(steps: List[Any], dn: str) -> None:
    document = timeline(steps, dn)

    assert all(line.isprintable() for line in _table.timeline_text(document, width=80).split("\n"))
    assert set(parse(_html.timeline_html(document)).names) <= OURS


def test_a_heatmap_is_a_calendar() -> None:
    # From a Thursday to the Wednesday after.
    document = heatmap([None, 0.0, 0.005, 0.09, 0.03, 0.0, 0.0])

    assert _table.heatmap_text(document, query="fabric", width=80).splitlines()[2:10] == [
        "    Jan",
        "Mon    *",
        "Tue    .",
        "Wed    .",
        "Thu",
        "Fri .",
        "Sat :",
        "Sun #",
    ]


def test_a_year_is_broken_where_the_terminal_ends() -> None:
    text = _table.heatmap_text(heatmap([0.01] * 365), width=80)

    assert text.count("\nMon ") == 3
    assert max(map(len, text.splitlines())) <= 80


@given(st.lists(st.one_of(st.none(), st.floats(min_value=0, max_value=1)), max_size=370))
def test_a_heatmap_has_a_cell_for_each_day(scores: List[Any]) -> None:
    elements = parse(_html.heatmap_html(heatmap(scores), query="<b>"))

    assert set(elements.names) <= OURS
    assert elements.names.count("td") % 7 == 0
    assert elements.names.count("td") >= len(scores)


def snapshot(**members: Any) -> Any:
    return {
        "id": "01a20021-abd6-74b9-99e6-a3b97ed2116a",
        "query_name": "bd-health",
        "captured_at": "2026-03-02T06:00:00+00:00",
        "row_count": 1204,
        "retention_policy": "30d",
        "pinned": False,
        "annotation": None,
        "label": None,
        "verdict": {"status": "complete"},
        "changes": {"added": 1, "removed": 0, "changed": 12},
        **members,
    }


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, "1 204  +1 ~12   30d"),
        ({"pinned": True, "changes": None}, "1 204  first    pinned"),
        ({"label": "before", "annotation": "CHG1"}, "1 204  +1 ~12   30d   before: CHG1"),
        ({"verdict": {"status": "partial"}}, "1 204  +1 ~12   30d   partial"),
    ],
)
def test_a_snapshot_is_a_line(members: Any, expected: str) -> None:
    text = _table.snapshots_text([snapshot(**members)], width=200)

    assert " ".join(expected.split()) in " ".join(text.splitlines()[1].split())


def test_an_annotation_is_escaped() -> None:
    elements = parse(_html.snapshots_html([snapshot(annotation="<img src=x>")]))

    assert set(elements.names) <= OURS
    assert "<img src=x>" in elements.text
