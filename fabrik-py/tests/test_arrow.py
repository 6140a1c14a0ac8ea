"""The Arrow PyCapsule interface: what is handed over, and what is taken and refused."""

from __future__ import annotations

from typing import Any, Dict, List

import pandas
import polars
import pyarrow  # type: ignore[import-untyped]
import pytest

import fabrik

ROWS: List[Dict[str, Any]] = [
    {"dn": f"uni/tn-{number:03}", "mtu": number, "load": number / 2, "up": number % 2 == 0} for number in range(100)
]


class Given:
    """A capsule as whoever made it hands it over."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._capsule


class OnlyAnArray:
    """Speaks the protocol of arrays, not that of streams."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self._array.__arrow_c_array__(requested_schema)


def test_columns_have_the_types_of_their_values(tm: fabrik.TimeMachine) -> None:
    table = pyarrow.table(tm.rows(tm.capture("q", ROWS)))

    found = {field.name: str(field.type) for field in table.schema}
    assert found == {"dn": "string", "load": "double", "mtu": "int64", "up": "bool"}
    assert table.to_pylist() == [{name: row[name] for name in found} for row in ROWS]


def test_an_array_is_taken_as_well_as_a_stream(tm: fabrik.TimeMachine) -> None:
    expected = tm.capture("q", ROWS).version_hash
    batch = pyarrow.RecordBatch.from_pylist(ROWS)

    assert tm.capture("q", OnlyAnArray(batch)).version_hash == expected
    assert tm.capture("q", OnlyAnArray(pyarrow.array(ROWS))).version_hash == expected
    assert list(tm.rows(tm.capture("q", OnlyAnArray(batch.slice(90, 3))))) == ROWS[90:93]


def test_batches_made_by_python_are_taken_while_they_are_made(tm: fabrik.TimeMachine) -> None:
    table = pyarrow.Table.from_pylist(ROWS)
    made = (batch for batch in table.to_batches(max_chunksize=7))

    taken = tm.capture("q", pyarrow.RecordBatchReader.from_batches(table.schema, made))

    assert list(tm.rows(taken)) == ROWS


def test_what_fails_while_batches_are_made_is_no_shorter_snapshot(tm: fabrik.TimeMachine) -> None:
    table = pyarrow.Table.from_pylist(ROWS)

    def made() -> Any:
        yield table.to_batches()[0]
        raise RuntimeError("the cable is cut")

    with pytest.raises(fabrik.SourceFailed, match="the cable is cut"):
        tm.capture("q", pyarrow.RecordBatchReader.from_batches(table.schema, made()))
    assert tm.snapshots() == []


def test_a_stream_that_was_taken_is_refused(tm: fabrik.TimeMachine) -> None:
    given = Given(pyarrow.Table.from_pylist(ROWS).__arrow_c_stream__())
    tm.capture("q", given)

    with pytest.raises(ValueError, match="was taken before"):
        tm.capture("q", given)


def test_a_capsule_of_something_else_is_refused(tm: fabrik.TimeMachine) -> None:
    with pytest.raises(ValueError):
        tm.capture("q", Given(pyarrow.schema([]).__arrow_c_schema__()))


@pytest.mark.parametrize("column", [polars.Series([1, 2]), pyarrow.chunked_array([[1]])], ids=["polars", "pyarrow"])
def test_one_column_is_no_table(tm: fabrik.TimeMachine, column: Any) -> None:
    with pytest.raises(TypeError, match="one column of type Int64"):
        tm.capture("q", column)


def test_a_row_that_is_null_as_a_whole_is_refused(tm: fabrik.TimeMachine) -> None:
    with pytest.raises(fabrik.SourceFailed, match="null as a whole"):
        tm.capture("q", OnlyAnArray(pyarrow.array([{"dn": "uni"}, None])))


def test_polars_columns_of_nothing_but_null_are_taken(tm: fabrik.TimeMachine) -> None:
    frame = polars.DataFrame({"dn": ["a", "b"], "x": [None, None], "l": [[], [None]], "s": [{"y": None}] * 2})

    taken = tm.capture("q", frame)

    assert list(tm.rows(taken)) == [{"dn": "a", "l": [], "s": {}}, {"dn": "b", "l": [None], "s": {}}]


def test_categories_and_times_become_texts(tm: fabrik.TimeMachine) -> None:
    frame = polars.DataFrame({"dn": ["a", "b"], "kind": ["x", None]}, schema_overrides={"kind": polars.Categorical})
    moment = pandas.Timestamp("2026-03-01T08:00:00.25+01:00")
    stamped = pandas.DataFrame({"dn": ["a"], "at": [moment], "kind": pandas.Categorical(["x"])})

    assert list(tm.rows(tm.capture("q", frame))) == [{"dn": "a", "kind": "x"}, {"dn": "b"}]
    expected = [{"dn": "a", "at": "2026-03-01T07:00:00.250+00:00", "kind": "x"}]
    assert list(tm.rows(tm.capture("q", stamped))) == expected


def test_an_index_of_pandas_is_taken_when_it_has_a_name(tm: fabrik.TimeMachine) -> None:
    frame = pandas.DataFrame({"dn": ["a", "b", "c"]})

    assert list(tm.rows(tm.capture("q", frame[1:]))) == [{"dn": "b"}, {"dn": "c"}]
    assert list(tm.rows(tm.capture("q", frame.iloc[[2, 0]]))) == [{"dn": "a"}, {"dn": "c"}]
    named = pandas.DataFrame({"mtu": [1, 2]}, index=pandas.Index(["a", "b"], name="dn"))
    assert list(tm.rows(tm.capture("q", named))) == [{"dn": "a", "mtu": 1}, {"dn": "b", "mtu": 2}]


@pytest.mark.parametrize("layout", [pyarrow.large_string(), pyarrow.string_view()], ids=str)
def test_texts_come_in_the_layout_that_is_requested(tm: fabrik.TimeMachine, layout: Any) -> None:
    rows = tm.rows(tm.capture("q", ROWS))
    own = pyarrow.table(rows)
    fields = [field.with_type(layout) if field.type == pyarrow.string() else field for field in own.schema]

    found = pyarrow.RecordBatchReader.from_stream(rows, schema=pyarrow.schema(fields)).read_all()

    assert found.schema.field("dn").type == layout
    assert found.cast(own.schema) == own


def test_what_cannot_be_given_as_requested_comes_as_it_is(tm: fabrik.TimeMachine) -> None:
    rows = tm.rows(tm.capture("q", ROWS))
    own = pyarrow.table(rows)

    for wanted in [pyarrow.schema([("x", pyarrow.int8())]), own.schema.set(0, pyarrow.field("dn", pyarrow.int8()))]:
        capsule = rows.__arrow_c_stream__(wanted.__arrow_c_schema__())
        assert pyarrow.table(Given(capsule)) == own


def test_a_name_that_c_cannot_hold_is_an_error(tm: fabrik.TimeMachine) -> None:
    rows = tm.rows(tm.capture("q", [{"dn": "uni", "a\0b": 1}]))

    with pytest.raises((pyarrow.ArrowInvalid, OSError), match="(?i)null byte"):
        pyarrow.table(rows)


def test_a_stream_outlives_its_time_machine() -> None:
    with fabrik.open("memory:") as tm:
        rows = tm.rows(tm.capture("q", ROWS))
        given = Given(rows.__arrow_c_stream__())

    assert pyarrow.table(given).num_rows == len(ROWS)


def test_streams_that_nobody_reads_are_let_go(tm: fabrik.TimeMachine) -> None:
    rows = tm.rows(tm.capture("q", ROWS))

    for _ in range(200):
        rows.__arrow_c_stream__()

    assert pyarrow.table(rows).num_rows == len(ROWS)
