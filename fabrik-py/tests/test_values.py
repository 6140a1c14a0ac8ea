"""What goes in comes out: every value that JSON has, with its type and its digits."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any, List

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fabrik
from model import Row, multiset, text
from strategies import any_rows, values


def stored(rows: List[Row]) -> List[Row]:
    with fabrik.open("memory:") as tm:
        tm.capture("q", rows)
        return list(tm.rows("q@latest"))


def one(value: Any) -> Any:
    [row] = stored([{"dn": "uni", "value": value}])
    return row["value"]


@given(any_rows)
def test_rows_come_out_as_they_went_in(rows: List[Row]) -> None:
    assert multiset(stored(rows)) == multiset(rows)


@given(any_rows)
def test_rows_come_out_in_the_order_of_their_keys(rows: List[Row]) -> None:
    dns = [row["dn"].encode() for row in stored(rows) if isinstance(row.get("dn"), str) and row["dn"]]

    assert dns == sorted(dns)


@given(values)
def test_a_value_keeps_its_type(value: Any) -> None:
    back = one(value)

    assert type(back) is type(value)
    assert text(back) == text(value)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_its_digits(number: Decimal) -> None:
    back = one(number)

    assert isinstance(back, (int, float, Decimal))
    back = Decimal(repr(back)) if isinstance(back, float) else Decimal(back)
    assert back.as_tuple() == number.as_tuple() or (back == number and str(back).lower() == str(number).lower())


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_a_number_in_a_file_keeps_its_digits(number: str) -> None:
    with fabrik.open("memory:") as tm:
        tm.capture("q", b'{"dn":"uni","value":%s}\n' % number.encode())
        [row] = tm.rows("q@latest")
        document = tm.rows("q@latest").to_json()

    assert f'"value":{number}' in document
    assert Decimal(str(row["value"])) == Decimal(number)
    if isinstance(row["value"], (int, float)):
        assert repr(row["value"]) == number


@pytest.mark.parametrize(
    "value, expected",
    [
        (np.int32(7), 7),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("web"), "web"),
    ],
)
def test_a_scalar_of_numpy_is_the_value_it_holds(value: Any, expected: Any) -> None:
    back = one(value)

    assert (type(back), back) == (type(expected), expected)


REFUSED = [
    math.nan,
    math.inf,
    -math.inf,
    Decimal("NaN"),
    np.float32("nan"),
    b"bytes",
    bytearray(b"bytes"),
    object(),
    {1, 2},
    1j,
    __import__("datetime").datetime(2026, 3, 1),
    np.datetime64("2026-03-01"),
    {"within": [math.nan]},
    {1: "a name that is no string"},
    "\ud800",
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: f"{type(value).__name__} {value!r:.20}")
def test_what_json_cannot_hold_is_refused_by_row_and_field(value: Any) -> None:
    with fabrik.open("memory:") as tm:
        with pytest.raises(fabrik.InvalidInput) as caught:
            tm.capture("q", [{"dn": "uni/tn-a"}, {"dn": "uni/tn-b", "descr": value}])

        assert "row 2" in str(caught.value)
        assert "descr" in str(caught.value)
        assert tm.snapshots() == []


@pytest.mark.parametrize("row", ["a", 7, None, [("dn", "uni")], object()])
def test_a_row_that_is_no_dict_is_refused(row: Any) -> None:
    with fabrik.open("memory:") as tm, pytest.raises(fabrik.InvalidInput, match="row 2"):
        tm.capture("q", [{"dn": "uni"}, row])


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: List[Any] = []
    endless.append(endless)

    with fabrik.open("memory:") as tm, pytest.raises(fabrik.InvalidInput, match="row 1.*nests deeper"):
        tm.capture("q", [{"dn": "uni", "value": endless}])


@given(any_rows)
def test_the_json_document_holds_the_same_rows(rows: List[Row]) -> None:
    with fabrik.open("memory:") as tm:
        tm.capture("q", rows)
        found = tm.rows("q@latest")

        assert multiset(json.loads(found.to_json())) == multiset(rows)
        assert len(found) == len(rows)
