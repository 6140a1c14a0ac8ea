"""Nothing is kept of what is done: ten thousand captures leave no objects and no memory behind."""

from __future__ import annotations

import gc
import sys
from datetime import timedelta
from typing import Any, List

import psutil  # type: ignore[import-untyped]

import fabrik
from model import NOON, Row


def test_ten_thousand_captures_leave_nothing_behind() -> None:
    tm = fabrik.open("memory:")
    marker = "a text that every row holds " * 20
    rows: List[Row] = [{"dn": f"uni/tn-{number}", "descr": marker, "n": [number, None, 1.5]} for number in range(8)]
    process = psutil.Process()

    def some(first: int, last: int) -> None:
        for number in range(first, last):
            rows[number % 8]["n"] = [number, None, 1.5]
            tm.capture("q", rows, captured_at=NOON + timedelta(seconds=number), retention_policy="7d")
            if number % 500 == 499:
                assert tm.compare("q@latest~1", "q@latest").summary.changed == 1
                list(tm.compare("q@latest~1", "q@latest"))
                list(tm.rows("q@latest"))
                tm.apply_retention(tm.plan_retention(now=NOON + timedelta(days=400), protect_newest=False))
        gc.collect()

    some(0, 3000)
    references, objects, memory = sys.getrefcount(marker), len(gc.get_objects()), process.memory_info().rss
    some(3000, 10_000)

    assert sys.getrefcount(marker) == references
    assert len(gc.get_objects()) < objects + 500
    # That is some 600 bytes for each capture, and each has rows of 5 kB.
    assert process.memory_info().rss - memory < 4 << 20
    assert process.num_threads() < 64


def test_iterating_and_leaving_leaves_nothing_behind() -> None:
    tm = fabrik.open("memory:")
    older = tm.capture("q", [{"dn": f"uni/tn-{number}", "n": 0} for number in range(500)])
    newer = tm.capture("q", [{"dn": f"uni/tn-{number}", "n": 1} for number in range(500)])
    process = psutil.Process()

    def some(times: int) -> None:
        for _ in range(times):
            diff = tm.compare(older, newer)
            next(iter(diff))
            next(iter(tm.rows(newer)))
        gc.collect()

    some(200)
    memory, threads, files = process.memory_info().rss, process.num_threads(), process.num_fds()
    some(800)

    assert process.memory_info().rss - memory < 16 << 20
    assert process.num_threads() <= threads + 2
    assert process.num_fds() <= files + 2


def test_errors_hold_no_rows() -> None:
    tm = fabrik.open("memory:")
    row: Any = {"dn": "uni", "value": object()}
    before = sys.getrefcount(row)

    for _ in range(100):
        try:
            tm.capture("q", [row])
        except fabrik.InvalidInput:
            pass
    gc.collect()

    assert sys.getrefcount(row) == before
