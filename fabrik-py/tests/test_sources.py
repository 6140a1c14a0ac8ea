"""Where rows come from and go to: the same rows are the same snapshot, whatever they came in."""

from __future__ import annotations

import bz2
import gzip
import io
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterator, List

import pandas
import polars
import pyarrow  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fabrik
from model import Row, multiset

ROWS: List[Row] = [
    {"dn": f"uni/tn-t/BD-{number}", "className": "fvBD", "mtu": 1500 + number, "share": number / 4, "up": number % 2 == 0}
    for number in range(50)
]


def lines(rows: List[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def envelope(rows: List[Row]) -> bytes:
    imdata = [{row["className"]: {"attributes": {k: v for k, v in row.items() if k != "className"}}} for row in rows]
    return json.dumps({"totalCount": str(len(rows)), "imdata": imdata}).encode()


class Stream:
    """Nothing but the Arrow protocol."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._inner.__arrow_c_stream__(requested_schema)


# Made anew for each test: some can be read only once.
SOURCES: Dict[str, Callable[[], Any]] = {
    "a list": lambda: ROWS,
    "a tuple": lambda: tuple(ROWS),
    "a generator": lambda: (row for row in ROWS),
    "mappings that are no dicts": lambda: map(MappingProxyType, ROWS),
    "lines of JSON": lambda: lines(ROWS),
    "a list in JSON": lambda: json.dumps(ROWS).encode(),
    "gzip": lambda: gzip.compress(lines(ROWS)),
    "a bytearray": lambda: bytearray(lines(ROWS)),
    "a memoryview": lambda: memoryview(lines(ROWS)),
    "an open file": lambda: io.BytesIO(lines(ROWS)),
    "pandas": lambda: pandas.DataFrame(ROWS),
    "polars": lambda: polars.DataFrame(ROWS),
    "an Arrow table": lambda: pyarrow.Table.from_pylist(ROWS),
    "an Arrow batch": lambda: pyarrow.RecordBatch.from_pylist(ROWS),
    "Arrow batches": lambda: pyarrow.Table.from_pylist(ROWS).to_reader(max_chunksize=7),
    "anything with the protocol": lambda: Stream(pyarrow.Table.from_pylist(ROWS)),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_the_same_rows_are_the_same_snapshot_whatever_they_come_in(
    tm: fabrik.TimeMachine, source: Callable[[], Any]
) -> None:
    expected = tm.capture("expected", ROWS)

    taken = tm.capture("q", source())

    assert taken.row_count == len(ROWS)
    assert tm.compare(expected, taken).summary.unchanged == len(ROWS)
    assert taken.version_hash == expected.version_hash


def test_the_answer_of_a_controller_is_read_as_what_it_is(tm: fabrik.TimeMachine) -> None:
    rows: List[Row] = [{"dn": f"uni/tn-t/BD-{number}", "className": "fvBD", "mtu": "1500"} for number in range(9)]

    assert multiset(tm.rows(tm.capture("q", envelope(rows)))) == multiset(rows)


@pytest.mark.parametrize("suffix", ["ndjson", "json", "ndjson.gz"])
def test_a_path_is_a_file_to_read(tm: fabrik.TimeMachine, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    content = json.dumps(ROWS).encode() if suffix == "json" else lines(ROWS)
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)

    taken = tm.capture("q", path)
    with path.open("rb") as file:
        again = tm.capture("q", file)

    assert taken.row_count == again.row_count == len(ROWS)
    assert again.is_duplicate
    assert again.previous_snapshot_id == taken.id


def test_the_format_may_be_said(tm: fabrik.TimeMachine) -> None:
    taken = tm.capture("q", b"dn,mtu\nuni/tn-a,1500\n", format="csv")

    assert list(tm.rows(taken)) == [{"dn": "uni/tn-a", "mtu": "1500"}]
    with pytest.raises(fabrik.InvalidInput, match="format.*tsv"):
        tm.capture("q", b"dn\tmtu\n", format="tsv")


@pytest.mark.parametrize("source", [7, 7.5, object(), "a text that might be a path or rows"])
def test_what_holds_no_rows_is_refused_and_what_does_is_named(tm: fabrik.TimeMachine, source: Any) -> None:
    with pytest.raises((fabrik.InvalidInput, TypeError), match="(?i)rows|iterable"):
        tm.capture("q", source)
    assert tm.snapshots() == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"dn": "uni"',
        b"\x00\x01\x02",
        b'{"totalCount":"1","imdata":[{"error":{"attributes":{"code":"403","text":"denied"}}}]}',
        bz2.compress(b"no such format"),
    ],
    ids=["nothing", "cut off", "binary", "an error", "bzip2"],
)
def test_bytes_that_are_no_answer_become_no_snapshot(tm: fabrik.TimeMachine, content: bytes) -> None:
    with pytest.raises(fabrik.SourceFailed) as caught:
        tm.capture("q", content)

    assert (caught.value.code, isinstance(caught.value, fabrik.InvalidInput)) == ("source_failed", True)
    assert tm.snapshots() == []


def test_a_file_that_is_not_there_is_named(tm: fabrik.TimeMachine, tmp_path: Path) -> None:
    with pytest.raises((fabrik.Error, FileNotFoundError), match="missing.json"):
        tm.capture("q", tmp_path / "missing.json")


def test_an_iterable_that_fails_stores_nothing_and_its_error_comes_out(tm: fabrik.TimeMachine) -> None:
    class Gone(Exception):
        pass

    def rows() -> Iterator[Dict[str, Any]]:
        yield {"dn": "uni/tn-a"}
        raise Gone("the line is dead")

    with pytest.raises(Gone, match="the line is dead"):
        tm.capture("q", rows())
    assert tm.snapshots() == []


def test_a_reader_that_fails_stores_nothing_and_its_error_comes_out(tm: fabrik.TimeMachine) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise OSError("the disk is gone")

    with pytest.raises((OSError, fabrik.Error), match="the disk is gone"):
        tm.capture("q", Broken())
    assert tm.snapshots() == []


def test_an_iterable_is_taken_once_from_front_to_end(tm: fabrik.TimeMachine) -> None:
    taken: List[int] = []

    def rows() -> Iterator[Dict[str, Any]]:
        for number in range(5000):
            taken.append(number)
            yield {"dn": f"uni/tn-{number}"}

    assert tm.capture("q", rows()).row_count == 5000
    assert taken == list(range(5000))


def test_null_in_a_table_is_no_attribute(tm: fabrik.TimeMachine) -> None:
    rows: List[Row] = [{"dn": "uni/tn-a", "descr": None}, {"dn": "uni/tn-b", "descr": "web"}]
    expected = [{"dn": "uni/tn-a"}, {"dn": "uni/tn-b", "descr": "web"}]

    for table in (polars.DataFrame(rows), pyarrow.Table.from_pylist(rows), pandas.DataFrame(rows)):
        assert list(tm.rows(tm.capture("q", table))) == expected


def test_nan_in_a_table_is_refused_by_column_and_row(tm: fabrik.TimeMachine) -> None:
    table = pyarrow.table({"dn": ["uni/tn-a", "uni/tn-b"], "load": [0.5, float("nan")]})

    with pytest.raises(fabrik.InvalidInput, match="load") as caught:
        tm.capture("q", table)
    assert "2" in str(caught.value)


def test_a_column_of_a_type_that_rows_have_not_is_named(tm: fabrik.TimeMachine) -> None:
    table = pyarrow.table({"dn": ["uni"], "raw": pyarrow.array([b"\x00"], pyarrow.binary())})

    with pytest.raises(fabrik.Error, match="(?i)raw.*binary"):
        tm.capture("q", table)


def test_nested_columns_become_nested_values(tm: fabrik.TimeMachine) -> None:
    rows: List[Row] = [{"dn": "uni", "tags": ["a", "b"], "leaf": {"id": 1, "names": [{"n": "x"}]}}]

    assert list(tm.rows(tm.capture("q", pyarrow.Table.from_pylist(rows)))) == rows


plain_rows = st.lists(
    st.fixed_dictionaries(
        {
            "dn": st.integers(0, 10**6).map(lambda number: f"uni/tn-{number}"),
            "descr": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            "mtu": st.integers(-(2**63), 2**63 - 1),
            "up": st.booleans(),
            "nested": st.lists(st.integers(0, 3), max_size=2),
        }
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda row: row["dn"],
)


@given(plain_rows)
def test_rows_that_went_out_as_a_table_come_back_as_they_were(rows: List[Row]) -> None:
    with fabrik.open("memory:") as tm:
        taken = tm.capture("q", rows)
        found = tm.rows(taken)
        ways = [found, found.to_arrow(), found.to_polars(), found.to_pandas()]

        for way in ways[:2]:
            assert tm.capture("q", way).version_hash == taken.version_hash
        for frame in ways[2:]:
            assert list(frame["dn"]) == sorted((row["dn"] for row in rows), key=str.encode)
            assert sorted(frame["mtu"]) == sorted(row["mtu"] for row in rows)


def test_parquet_that_was_written_reads_as_the_rows(tm: fabrik.TimeMachine, tmp_path: Path) -> None:
    rows = tm.rows(tm.capture("q", ROWS))

    rows.to_parquet(tmp_path / "rows.parquet")

    assert multiset(polars.read_parquet(tmp_path / "rows.parquet").to_dicts()) == multiset(ROWS)


def test_a_table_of_changes_has_a_line_for_each_attribute(tm: fabrik.TimeMachine) -> None:
    older = tm.capture("q", ROWS)
    changed = [{**row, "mtu": 9000, "up": None} if number < 3 else row for number, row in enumerate(ROWS[:-2])]
    diff = tm.compare(older, tm.capture("q", [*changed, {"dn": "uni/tn-new"}]))

    for table in (diff.to_arrow().to_pylist(), diff.to_polars().to_dicts(), diff.to_pandas().to_dict("records")):
        found = sorted((line["kind"], line["dn"], line["attribute"]) for line in table if line["kind"] == "changed")
        assert found == sorted(("changed", row["dn"], name) for row in ROWS[:3] for name in ("mtu", "up"))
        assert [line["dn"] for line in table if line["kind"] == "added"] == ["uni/tn-new"]
        assert len([line for line in table if line["kind"] == "removed"]) == 2
    assert polars.DataFrame(diff).height == pyarrow.table(diff).num_rows == 9
