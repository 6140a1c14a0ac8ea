"""A comparison is that of two multisets of rows, as the model has it, whatever is asked for."""

from __future__ import annotations

import json
from typing import Any, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fabrik
import model
from model import Row, text
from strategies import any_rows, ignores, keys, two_sides

Sides = Tuple[List[Row], List[Row]]


def compared(before: List[Row], after: List[Row], stored: str = "auto", **options: Any) -> fabrik.Diff:
    tm = fabrik.open("memory:")
    older = tm.capture("q", before, key=stored)
    newer = tm.capture("q", after, key=stored)
    return tm.compare(older, newer, **options)


def pairs(diff: fabrik.Diff) -> List[model.Pair]:
    return [(change.before, change.after) for change in diff]


def as_texts(found: List[model.Pair]) -> List[Tuple[str, str]]:
    return sorted((text(before), text(after)) for before, after in found)


def counts(diff: fabrik.Diff) -> model.Counts:
    summary = diff.summary
    return model.Counts(
        summary.added, summary.removed, summary.changed, summary.unchanged, summary.hidden, summary.unkeyed,
        summary.duplicate_keys,
    )  # fmt: skip


@given(two_sides(), keys, ignores)
def test_changes_and_counts_are_those_of_the_model(sides: Sides, key: str, ignore: List[str]) -> None:
    before, after = sides
    expected = model.compare(before, after, key, ignore)

    diff = compared(before, after, key, ignore=ignore)

    assert as_texts(pairs(diff)) == as_texts([pair for _, pair in expected.pairs])
    assert counts(diff) == expected.counts
    assert len(diff) == len(expected.pairs)


@given(two_sides(), keys, keys, ignores)
def test_another_key_than_the_stored_one_gives_what_it_says(
    sides: Sides, stored: str, key: str, ignore: List[str]
) -> None:
    before, after = sides
    expected = model.compare(before, after, key, ignore)

    diff = compared(before, after, stored, key=key, ignore=ignore)

    assert as_texts(pairs(diff)) == as_texts([pair for _, pair in expected.pairs])
    found = counts(diff)
    found.duplicate_keys = expected.counts.duplicate_keys
    assert found == expected.counts


@given(two_sides(), st.sampled_from(["auto", "dn", "a", "className,b"]))
def test_changes_come_in_the_order_of_keys(sides: Sides, key: str) -> None:
    found = [model.key(change.row, key) for change in compared(*sides, key)]
    found = [key for key in found if key[0] != 3]

    assert found == sorted(found)


@given(two_sides(), keys)
def test_applying_the_changes_to_the_older_gives_the_newer(sides: Sides, key: str) -> None:
    before, after = sides
    changes = pairs(compared(before, after, key)) if key != "dn" else pairs(compared(before, after))

    assert model.apply(before, changes) == model.multiset(after)


@given(two_sides())
def test_the_attributes_of_a_change_lead_from_one_row_to_the_other(sides: Sides) -> None:
    for change in compared(*sides):
        if change.kind != "changed":
            assert change.fields == {}
            continue
        assert change.before is not None and change.after is not None
        row = dict(change.before)
        for name, difference in change.fields.items():
            assert (difference.missing == "before") == (name not in change.before)
            assert text(difference.before) == text(change.before.get(name))
            if difference.missing == "after":
                del row[name]
            else:
                row[name] = difference.after
        assert text(row) == text(change.after)
        assert list(change.fields) == model.differences(change.before, change.after)


@given(two_sides(), keys)
def test_swapping_the_sides_swaps_what_came_and_what_went(sides: Sides, key: str) -> None:
    before, after = sides
    there, back = compared(before, after, key), compared(after, before, key)

    assert as_texts(pairs(there)) == as_texts([(new, old) for old, new in pairs(back)])
    forth, reverse = there.summary, back.summary
    assert (forth.added, forth.removed, forth.changed) == (reverse.removed, reverse.added, reverse.changed)


@given(any_rows, keys)
def test_a_snapshot_does_not_differ_from_itself(rows: List[Row], key: str) -> None:
    diff = compared(rows, rows, key)

    assert list(diff) == []
    assert (len(diff), diff.summary.unchanged) == (0, len(rows))


@given(two_sides(), ignores)
def test_a_change_says_the_same_in_all_its_forms(sides: Sides, ignore: List[str]) -> None:
    diff = compared(*sides, ignore=ignore)
    document = json.loads(diff.to_json())
    changes = list(diff)

    for kind in ("added", "removed", "changed"):
        listed = [entry if kind == "changed" else {"row": entry} for entry in document[kind]]
        told = [change.to_dict() for change in changes if change.kind == kind]
        assert [text(entry) for entry in told] == [text({"kind": kind, **entry}) for entry in listed]
        assert document["summary"][kind] == len(told)
    assert [text(entry) for entry in diff.dicts()] == [text(change.to_dict()) for change in changes]
    for change in changes:
        row = change.after if change.after is not None else change.before
        assert row is not None and text(change.row) == text(row)
        assert change.dn == model.dn(row)
        assert change.class_name == model.class_name(row)
        assert change.kind == ("added" if change.before is None else "removed" if change.after is None else "changed")
        assert change.key == ({} if change.dn is None else {"dn": change.dn})


def test_key_columns_name_a_change() -> None:
    before, after = [{"name": "a", "leaf": {"id": 1}, "up": True}], [{"name": "a", "leaf": {"id": 1}, "up": False}]

    [change] = compared(before, after, key="name,leaf.id")

    assert change.key == {"name": "a", "leaf.id": 1}
    assert change.fields["up"].before is True
    assert change.fields["up"].after is False


@pytest.mark.parametrize(
    "options, words",
    [
        ({"ignore": ["a.b.c"]}, ["ignore", "a.b.c", "ATTRIBUTE"]),
        ({"key": "dn,dn"}, ["key", "dn,dn", "different"]),
        ({"key": ""}, ["key", "column"]),
    ],
)
def test_an_option_that_is_none_is_named_with_its_value_and_what_was_expected(options: Any, words: List[str]) -> None:
    with pytest.raises(fabrik.InvalidInput) as caught:
        list(compared([], [], **options))

    assert caught.value.code == "invalid_input"
    assert all(word in str(caught.value) for word in words)


def test_a_list_of_columns_is_a_key_as_well() -> None:
    before, after = [{"a": 1, "b": 2, "c": 3}], [{"a": 1, "b": 2, "c": 4}]

    diff = compared(before, after, key=["a", "b"])

    assert (diff.summary.changed, diff.key) == (1, "a,b")


def test_snapshots_of_two_queries_compare_with_a_warning(tm: fabrik.TimeMachine) -> None:
    older, newer = tm.capture("one", [{"dn": "uni"}]), tm.capture("two", [{"dn": "uni"}])

    diff = tm.compare(older, newer)

    assert diff.summary.unchanged == 1
    assert any("different queries" in warning for warning in diff.warnings)
    assert (diff.before, diff.after) == (tm.snapshot(older.id), tm.snapshot(newer.id))
