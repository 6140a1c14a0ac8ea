"""What was when: timelines, heatmaps, references, keys, notes and forgetting."""

from __future__ import annotations

import json
import uuid
from datetime import date, datetime, timedelta, timezone
from typing import Any, Dict, List, Optional
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fabrik
from model import NOON, Row, at, content, text

versions = st.one_of(
    st.none(),
    st.fixed_dictionaries({}, optional={"descr": st.sampled_from(["", "web", None]), "mtu": st.sampled_from([1500, 9000])}),
)


def timeline_of(history: List[Optional[Row]], **options: Any) -> fabrik.Timeline:
    tm = fabrik.open("memory:")
    for hour, version in enumerate(history):
        others: List[Row] = [{"dn": "uni/tn-other", "hour": hour}]
        rows = others if version is None else [*others, {"dn": "uni/tn-a", **version}]
        tm.capture("q", rows, captured_at=at(hour))
    return tm.timeline("q", "uni/tn-a", **options)


@given(st.lists(versions, min_size=1, max_size=12))
def test_a_timeline_is_what_each_snapshot_has(history: List[Optional[Row]]) -> None:
    timeline = timeline_of(history)

    assert len(timeline) == len(history)
    assert timeline.dn == "uni/tn-a"
    assert [point.present for point in timeline] == [version is not None for version in history]
    assert [point.captured_at for point in timeline] == [at(hour) for hour in range(len(history))]
    for point, version in zip(timeline, history):
        assert text(point.attributes) == text({} if version is None else {"dn": "uni/tn-a", **version})


@given(st.lists(versions, min_size=1, max_size=12))
def test_the_evolution_of_an_attribute_counts_its_changes(history: List[Optional[Row]]) -> None:
    found = {attribute.name: attribute for attribute in timeline_of(history).attributes}

    for name in ("descr", "mtu"):
        absent = object()
        seen = [version.get(name, absent) for version in history if version is not None]
        if all(value is absent for value in seen):
            assert name not in found
            continue
        changed = [before != after for before, after in zip(seen, seen[1:])]
        assert [value.changed for value in found[name].values] == [False, *changed]
        assert found[name].change_count == sum(changed)
        assert found[name].is_stable == (not any(changed))
        distinct = list(dict.fromkeys(value for value in seen if value is not absent))
        assert found[name].distinct_values == tuple(distinct)


@given(st.lists(versions, min_size=1, max_size=12))
def test_the_lifecycle_tells_when_an_object_came_and_went(history: List[Optional[Row]]) -> None:
    events, was, existed = [], None, False
    for hour, version in enumerate(history):
        if was is False and version is not None:
            events.append(("recreated" if existed else "created", at(hour)))
        if was is True and version is None:
            events.append(("deleted", at(hour)))
        was = version is not None
        existed = existed or was

    lifecycle = timeline_of(history).lifecycle

    assert [(event.event, event.at) for event in lifecycle] == events


def test_a_timeline_considers_the_newest_of_the_range() -> None:
    history: List[Optional[Row]] = [{"mtu": hour} for hour in range(8)]

    assert [point.attributes["mtu"] for point in timeline_of(history, limit=3)] == [5, 6, 7]
    assert [point.attributes["mtu"] for point in timeline_of(history, since=at(2), until=at(4))] == [2, 3, 4]
    assert [point.attributes["mtu"] for point in timeline_of(history, until=at(4).isoformat(), limit=1)] == [4]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati"])
def test_a_heatmap_has_each_day_of_the_zone_and_what_was_captured_on_it(tm: fabrik.TimeMachine, zone: str) -> None:
    now = datetime.now(timezone.utc)
    moments = [now - timedelta(hours=hours) for hours in (200, 75, 74, 50, 1)]
    rows = [[{"dn": "uni", "n": 0}], [{"dn": "uni", "n": 1}], [{"dn": "uni", "n": 1}], [{"dn": "uni", "n": 2}], []]
    for moment, version in zip(moments, rows):
        tm.capture("q", version, captured_at=moment)
    today = now.astimezone(ZoneInfo(zone)).date()
    captured: Dict[date, List[Any]] = {}
    for moment, changed, score in zip(moments[1:], [1, 0, 1, 1], [1.0, 0.0, 1.0, 1.0]):
        captured.setdefault(moment.astimezone(ZoneInfo(zone)).date(), []).append((changed, score))

    heatmap = tm.heatmap("q", "7d", timezone=zone, now=now)

    assert [day.date for day in heatmap.days] == [today - timedelta(days=back) for back in range(6, -1, -1)]
    for day in heatmap.days:
        of_day = captured.get(day.date, [])
        assert day.snapshot_count == len(of_day)
        assert day.has_changes == sum(changed for changed, _ in of_day)
        assert day.change_score == pytest.approx(sum(score for _, score in of_day) / max(1, len(of_day)))


def test_a_window_is_said_in_words_or_as_a_timedelta(tm: fabrik.TimeMachine) -> None:
    tm.capture("q", [{"dn": "uni"}])

    assert len(tm.heatmap("q", timedelta(days=14)).days) == len(tm.heatmap("q", "2w").days) == 14
    assert len(tm.heatmap("q").days) == 30
    for wrong in ("soon", "0d", timedelta(hours=5), timedelta(days=-1)):
        with pytest.raises(fabrik.InvalidInput, match="window"):
            tm.heatmap("q", wrong)


def test_every_way_of_naming_a_snapshot_finds_it(tm: fabrik.TimeMachine) -> None:
    now = datetime.now(timezone.utc)
    taken = [tm.capture("bd health", [{"dn": "uni", "n": n}], captured_at=now - timedelta(days=9 - n)) for n in range(5)]
    oldest, newest = taken[0], taken[-1]

    names: List[Any] = [newest, newest.id, str(newest.id), str(newest.id).upper(), "bd health@latest", "bd health@latest~0"]
    assert {tm.snapshot(name).id for name in names} == {newest.id}
    assert tm.snapshot("bd health@latest~4").id == oldest.id
    assert tm.snapshot("bd health@-7d").id == taken[2].id
    assert tm.snapshot(f"bd health@{taken[1].captured_at.isoformat()}").id == taken[1].id
    assert [snapshot.id for snapshot in tm.snapshots("bd health")] == [one.id for one in reversed(taken)]


def test_a_name_that_fits_nothing_is_not_found_and_what_is_there_is_named(tm: fabrik.TimeMachine) -> None:
    tm.capture("bd-health", [{"dn": "uni"}])

    for reference, hint in [("bd-helth@latest", "bd-health"), ("bd-health@latest~1", "fewer"), (uuid.uuid4(), "not found")]:
        with pytest.raises(fabrik.NotFound, match=hint) as caught:
            tm.snapshot(reference)
        assert caught.value.code == "not_found"
        assert isinstance(caught.value, LookupError)
    with pytest.raises(fabrik.NotFound, match="bd-health@latest"):
        tm.snapshot("bd-health")


def test_two_connections_make_a_query_ambiguous(tm: fabrik.TimeMachine) -> None:
    east = tm.capture("q", [{"dn": "uni/e"}], connection="east")
    tm.capture("q", [{"dn": "uni/w"}], connection="west")

    with pytest.raises(fabrik.Ambiguous, match="q@east") as caught:
        tm.snapshot("q@latest")

    assert caught.value.code == "ambiguous"
    assert tm.snapshot("q@east@latest").id == east.id
    assert [snapshot.id for snapshot in tm.snapshots("q", connection="east")] == [east.id]


@given(st.lists(st.text("aAbB-/ü", min_size=1, max_size=6), max_size=12, unique=True), st.text("aAb-/Ü", max_size=3))
def test_keys_are_found_by_a_part_of_them_whatever_its_case(dns: List[str], part: str) -> None:
    with fabrik.open("memory:") as tm:
        tm.capture("q", [{"dn": dn, "className": "fvBD"} for dn in dns])
        expected = sorted((dn for dn in dns if part.lower() in dn.lower()), key=str.encode)

        page = tm.keys("q@latest", part)
        short = tm.keys("q@latest", part, limit=2)

    assert [key.dn for key in page] == expected
    assert all(key.class_name == "fvBD" for key in page.keys)
    assert ([key.dn for key in short], short.total_matches) == (expected[:2], len(expected))
    assert short.truncated == (len(expected) > 2)


def test_notes_are_changed_and_cleared_one_by_one(tm: fabrik.TimeMachine) -> None:
    taken = tm.capture("q", [{"dn": "uni"}], annotation="before", label="blue")
    assert (taken.annotation, taken.label, taken.pinned) == ("before", "blue", False)

    noted = tm.annotate(taken, "after")
    assert (noted.annotation, noted.label) == ("after", "blue")
    labelled = tm.annotate("q@latest", label="green")
    assert (labelled.annotation, labelled.label) == ("after", "green")
    assert tm.annotate(taken.id) == labelled, "what is not given stays"
    cleared = tm.annotate(taken.id, "")
    assert (cleared.annotation, cleared.label) == (None, "green")
    assert tm.snapshot(taken.id) == cleared


def test_a_note_that_is_too_long_is_refused(tm: fabrik.TimeMachine) -> None:
    tm.capture("q", [{"dn": "uni"}])

    with pytest.raises(fabrik.InvalidInput, match="label.*at most 100"):
        tm.annotate("q@latest", label="x" * 101)


def test_what_expired_is_forgotten_and_what_is_pinned_stays(tm: fabrik.TimeMachine) -> None:
    days = [60, 50, 40, 20, 1]
    now = datetime.now(timezone.utc)
    taken = [tm.capture("q", [{"dn": "uni", "n": day}], captured_at=now - timedelta(days=day)) for day in days]
    pinned = tm.pin(taken[1])
    assert pinned.pinned and tm.snapshot(taken[1].id).pinned

    plan = tm.plan_retention()

    assert [doomed.snapshot_id for doomed in plan.doomed] == [taken[0].id, taken[2].id]
    assert [kept.snapshot_id for kept in plan.protected] == [taken[1].id]
    assert plan.will_delete["30d"] == 2
    assert len(tm.snapshots()) == 5, "a plan changes nothing"
    outcome = tm.apply_retention(plan)
    assert outcome.deleted == (taken[0].id, taken[2].id)
    assert [snapshot.id for snapshot in tm.snapshots()] == [taken[4].id, taken[3].id, taken[1].id]
    assert tm.apply_retention(plan).deleted == ()
    assert not tm.unpin(taken[1]).pinned
    assert [doomed.snapshot_id for doomed in tm.plan_retention().doomed] == [taken[1].id]
    assert tm.verify().is_clean


def test_a_plan_may_judge_by_another_moment_and_another_query(tm: fabrik.TimeMachine) -> None:
    one = tm.capture("one", [{"dn": "uni"}], retention_policy="7d")
    two = tm.capture("two", [{"dn": "uni"}], retention_policy="forever")
    later = datetime.now(timezone.utc) + timedelta(days=400)

    assert tm.plan_retention().doomed == ()
    assert [doomed.snapshot_id for doomed in tm.plan_retention(now=later, protect_newest=False).doomed] == [one.id]
    assert tm.plan_retention(now=later, query="two", protect_newest=False).doomed == ()
    assert [kept.snapshot_id for kept in tm.plan_retention(now=later, protect_newest=True).protected] == [one.id]
    assert two.expires_at is None


def test_queries_and_figures_tell_what_the_store_has(tm: fabrik.TimeMachine) -> None:
    tm.capture("old", [{"dn": "uni"}], captured_at=NOON)
    tm.capture("new", [{"dn": "uni"}, {"dn": "uni/tn-a"}], captured_at=at(1))
    tm.capture("new", [{"dn": "uni"}], captured_at=at(2))

    queries = tm.queries()
    stats = tm.stats()

    assert [(query.name, query.snapshot_count, query.latest_snapshot_at) for query in queries] == [
        ("new", 2, at(2)),
        ("old", 1, NOON),
    ]
    assert (stats.queries, stats.snapshots, stats.rows) == (2, 3, 4)
    assert stats.stored_bytes > 0
    verification = tm.verify()
    assert (verification.snapshots, verification.rows, verification.damage) == (3, 3, ()), "equal rows are read once"


def test_snapshots_are_listed_by_range_and_number(tm: fabrik.TimeMachine) -> None:
    taken = [tm.capture("q", [{"dn": "uni", "n": hour}], captured_at=at(hour)) for hour in range(6)]
    ids = [one.id for one in reversed(taken)]

    assert [one.id for one in tm.snapshots(since=at(2), until=at(4))] == ids[1:4]
    assert [one.id for one in tm.snapshots("q", limit=2)] == ids[:2]
    assert tm.snapshots("q", since="2026-03-02T00:00:00Z") == []


def test_rows_of_one_key_are_told_of_in_a_timeline() -> None:
    twice = [{"dn": "uni/tn-a", "n": 2}, {"dn": "uni/tn-a", "n": 1}]
    with fabrik.open("memory:") as tm:
        tm.capture("q", twice)
        [point] = tm.timeline("q", "uni/tn-a")

    assert point.rows == 2
    assert text(point.attributes) == text(min(twice, key=content))


def test_documents_of_history_are_json(tm: fabrik.TimeMachine) -> None:
    tm.capture("q", [{"dn": "uni"}], captured_at=NOON)

    timeline = json.loads(tm.timeline("q", "uni").to_json())
    heatmap = json.loads(tm.heatmap("q", "7d").to_json())

    assert datetime.fromisoformat(timeline["points"][0]["executed_at"]) == NOON
    assert (heatmap["window"], len(heatmap["days"])) == ("7d", 7)
