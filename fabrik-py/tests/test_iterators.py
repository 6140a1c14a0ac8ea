"""Results are iterators: lazy, fresh each time, of a known length."""

from __future__ import annotations

import gc
import threading
from typing import List

import pytest

import fabrik
from model import Row


@pytest.fixture
def diff(tm: fabrik.TimeMachine) -> fabrik.Diff:
    before: List[Row] = [{"dn": f"uni/tn-{number:06}", "n": 0} for number in range(4000)]
    after: List[Row] = [{**row, "n": 1} for row in before]
    return tm.compare(tm.capture("q", before), tm.capture("q", after))


def test_each_iteration_begins_anew(diff: fabrik.Diff) -> None:
    first, second = iter(diff), iter(diff)

    assert [next(first).dn for _ in range(3)] == [next(second).dn for _ in range(3)]
    assert next(first).dn == "uni/tn-000003"
    assert len(list(diff)) == len(diff) == 4000


def test_an_iterator_ends_once_and_stays_at_its_end(diff: fabrik.Diff) -> None:
    changes = iter(diff)
    assert iter(changes) is changes
    assert sum(1 for _ in changes) == 4000

    for _ in range(2):
        with pytest.raises(StopIteration):
            next(changes)


def test_rows_are_counted_before_they_are_read(tm: fabrik.TimeMachine) -> None:
    rows = tm.rows(tm.capture("q", [{"dn": f"uni/tn-{number}"} for number in range(3000)]))

    assert len(rows) == 3000
    assert sum(1 for _ in rows) == 3000


def test_an_iterator_that_is_left_ends_its_work(diff: fabrik.Diff) -> None:
    before = threading.active_count()
    for _ in range(10):
        next(iter(diff))
    gc.collect()

    assert threading.active_count() == before
    assert len(list(diff)) == 4000


def test_an_iterator_outlives_the_store_that_it_came_from() -> None:
    tm = fabrik.open("memory:")
    changes = iter(tm.compare(tm.capture("q", [{"dn": "uni"}]), tm.capture("q", [])))
    del tm
    gc.collect()

    assert [change.kind for change in changes] == ["removed"]


def test_nothing_is_computed_until_it_is_asked_for(tm: fabrik.TimeMachine) -> None:
    taken = tm.capture("q", [{"dn": "uni"}])
    diff = tm.compare(taken, taken)
    tm.apply_retention(tm.plan_retention(now=taken.captured_at.replace(year=taken.captured_at.year + 50), protect_newest=False))

    assert (diff.before.id, diff.after.id) == (taken.id, taken.id)
    assert tm.snapshots() == []


def test_a_closed_store_says_so() -> None:
    tm = fabrik.open("memory:")
    tm.capture("q", [{"dn": "uni"}])
    with tm:
        pass

    with pytest.raises((fabrik.Error, ValueError), match="closed"):
        tm.snapshots()
    tm.close()


def test_a_change_can_be_matched_and_kept(diff: fabrik.Diff) -> None:
    change = next(iter(diff))

    assert change == next(iter(diff))
    assert change.fields["n"].before == 0
    assert change.fields["n"].after == 1
    with pytest.raises(AttributeError):
        change.kind = "added"  # type: ignore[misc]
