"""What a type checker must know of the module; this file is checked and never run.

A line with `type: ignore` is one that must be refused: the checkers report an ignore that nothing needs.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
import datetime
import pathlib
import uuid
from typing import Any, Dict, Iterator, List, Optional

import pandas
import polars
from typing_extensions import assert_type

import fabrik

tm = fabrik.open("memory:")
assert_type(tm, fabrik.LocalTimeMachine)
fabrik.open(pathlib.Path("fabrik.db"))
fabrik.open(7)  # type: ignore[arg-type]
machine: fabrik.TimeMachine = fabrik.connect("https://fabrik.example", token="t", timeout=datetime.timedelta(seconds=3))


def rows() -> Iterator[Dict[str, object]]:
    yield {"dn": "uni", "n": 1, "nested": {"list": [None, 1.5, True]}}


taken = tm.capture("q", rows(), annotation="before", captured_at=datetime.datetime.now(datetime.timezone.utc))
assert_type(taken, fabrik.Captured)
assert_type(taken.id, uuid.UUID)
assert_type(taken.captured_at, datetime.datetime)
assert_type(taken.annotation, Optional[str])
assert_type(taken.row_count, int)
tm.capture("q", [{"dn": "uni"}])
tm.capture("q", b"{}")
tm.capture("q", pathlib.Path("answer.json"))
tm.capture("q", pandas.DataFrame({"dn": ["uni"]}))
tm.capture("q", polars.DataFrame({"dn": ["uni"]}))
tm.capture("q", fabrik.Apic("https://apic1.example", "admin", "secret").cls("fvBD"))
tm.capture("q", 7)  # type: ignore[arg-type]
tm.capture(7, [])  # type: ignore[arg-type]

for reference in (taken, taken.id, str(taken.id), tm.snapshot("q@latest")):
    assert_type(tm.snapshot(reference), fabrik.Snapshot)
tm.snapshot(7)  # type: ignore[arg-type]
for snapshot in tm.snapshots("q", since="2026-03-01T00:00:00Z", limit=3):
    assert_type(snapshot, fabrik.Snapshot)

diff = tm.compare("q@latest~1", "q@latest", ignore=["modTs"], noise=True, severity=True)
assert_type(diff, fabrik.Diff)
assert_type(len(diff), int)
assert_type(diff.summary.changed, int)
assert_type(diff.to_json(), str)
for change in diff:
    assert_type(change, fabrik.Change)
    assert_type(change.dn, Optional[str])
    assert_type(change.row, Dict[str, Any])
    assert_type(change.before, Optional[Dict[str, Any]])
    for name, field in change.fields.items():
        assert_type(name, str)
        assert_type(field, fabrik.FieldChange)
    change.kind = "added"  # type: ignore[misc]

frames: List[pandas.DataFrame] = [diff.to_pandas(), tm.rows(taken).to_pandas()]
diff.to_json(pathlib.Path("diff.json"))
found = tm.rows(taken)
assert_type(found, fabrik.Rows)
assert_type(list(found), List[Dict[str, Any]])

timeline = tm.timeline("q", "uni", limit=5)
assert_type(timeline, fabrik.Timeline)
assert_type(timeline.points[0].present, bool)
assert_type(tm.heatmap("q", datetime.timedelta(days=30)).days[0].date, datetime.date)
assert_type(tm.apply_retention(tm.plan_retention()), fabrik.RetentionOutcome)
tm.apply_retention("all")  # type: ignore[arg-type]


async def twins() -> None:
    assert_type(await tm.acapture("q", rows()), fabrik.Captured)
    other = await tm.acompare(taken, "q@latest")
    assert_type(other, fabrik.Diff)
    async for change in other:
        assert_type(change, fabrik.Change)
    await tm.acapture("q", 7)  # type: ignore[arg-type]


asyncio.run(twins())

try:
    tm.snapshot("q@latest")
except fabrik.NotFound as error:
    assert_type(error.code, str)
