"""Moments are aware, spans are timedeltas, ids are UUIDs; what a person would type is taken as well."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fabrik
from model import NOON, at


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2026, 11, 1)),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(lambda span: timedelta(minutes=span // timedelta(minutes=1))),
)
def test_a_moment_comes_out_as_it_went_in(naive: datetime, offset: timedelta) -> None:
    moment = naive.replace(tzinfo=timezone(offset))
    with fabrik.open("memory:") as tm:
        taken = tm.capture("q", [{"dn": "uni"}], captured_at=moment)
        typed = tm.capture("q", [{"dn": "uni"}], captured_at=moment.isoformat())

    for back in (taken.captured_at, typed.captured_at):
        assert back == moment
        assert back.utcoffset() == timedelta(0)


NAIVE = datetime(2026, 3, 1, 12)
TAKES_MOMENTS: "list[Callable[[Any, Any], Any]]" = [
    lambda tm, moment: tm.capture("q", [{"dn": "uni"}], captured_at=moment),
    lambda tm, moment: tm.snapshots(since=moment),
    lambda tm, moment: tm.snapshots(until=moment),
    lambda tm, moment: tm.timeline("q", "uni", since=moment),
    lambda tm, moment: tm.plan_retention(now=moment),
]


@pytest.mark.parametrize("call", TAKES_MOMENTS)
def test_a_moment_without_a_zone_is_refused_with_what_to_write(call: Callable[[Any, Any], Any]) -> None:
    with fabrik.open("memory:") as tm:
        tm.capture("q", [{"dn": "uni"}])
        with pytest.raises(fabrik.InvalidInput, match="timezone.utc") as caught:
            call(tm, NAIVE)

    assert "2026-03-01" in str(caught.value)


def test_a_text_that_is_to_be_exact_names_its_zone() -> None:
    with fabrik.open("memory:") as tm, pytest.raises(fabrik.InvalidInput, match="captured_at.*2026-03-01T12:00:00"):
        tm.capture("q", [{"dn": "uni"}], captured_at=NAIVE.isoformat())


def test_the_clock_is_read_when_no_moment_is_given() -> None:
    with fabrik.open("memory:") as tm:
        before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
        taken = tm.capture("q", [{"dn": "uni"}])

        assert before <= taken.captured_at <= datetime.now(timezone.utc)


def test_a_moment_in_the_future_is_refused() -> None:
    with fabrik.open("memory:") as tm, pytest.raises(fabrik.InvalidInput, match="captured_at.*future"):
        tm.capture("q", [{"dn": "uni"}], captured_at=datetime.now(timezone.utc) + timedelta(days=1))


def test_ids_are_uuids_and_times_are_aware_everywhere() -> None:
    with fabrik.open("memory:") as tm:
        tm.capture("q", [{"dn": "uni", "n": 0}], captured_at=NOON)
        taken = tm.capture("q", [{"dn": "uni", "n": 1}], captured_at=at(1), retention_policy="7d")
        plan = tm.plan_retention(now=at(24 * 40), protect_newest=False)
        timeline = tm.timeline("q", "uni")
        [query] = tm.queries()

    ids = [taken.id, taken.previous_snapshot_id, plan.doomed[0].snapshot_id, timeline.points[0].snapshot_id]
    assert all(type(one) is uuid.UUID for one in ids), ids
    moments = [taken.captured_at, taken.expires_at, plan.doomed[0].captured_at, plan.doomed[0].expires_at,
               timeline.points[0].captured_at, query.latest_snapshot_at, query.last_change_at]  # fmt: skip
    assert all(type(one) is datetime and one.utcoffset() == timedelta(0) for one in moments), moments
    assert taken.expires_at == at(1) + timedelta(days=7)
