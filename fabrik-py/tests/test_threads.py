"""The interpreter is released while the engine works, and a store may be used from many threads."""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, List

import pytest

import fabrik
from model import Row, text

ROWS: List[Row] = [{"dn": f"uni/tn-{number}", "className": "fvTenant", "n": number} for number in range(20_000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.fixture
def two(tm: fabrik.TimeMachine) -> fabrik.TimeMachine:
    tm.capture("q", LINES)
    tm.capture("q", LINES.replace(b'"n": 1', b'"n": 2'))
    return tm


@pytest.fixture
def unforced() -> Iterator[None]:
    """Takes the interpreter from no thread that does not give it up."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    yield
    sys.setswitchinterval(before)


WORK: Dict[str, Callable[[fabrik.TimeMachine], Any]] = {
    "capture": lambda tm: tm.capture("more", LINES),
    "summary": lambda tm: tm.compare("q@latest~1", "q@latest", key="hash").summary,
    "document": lambda tm: tm.compare("q@latest~1", "q@latest", key="hash").to_json(),
    "verify": lambda tm: tm.verify(),
    "keys": lambda tm: tm.keys("q@latest", "tn-77"),
}


@pytest.mark.parametrize("call", WORK.values(), ids=WORK.keys())
def test_another_thread_runs_while_a_call_works(
    two: fabrik.TimeMachine, unforced: None, call: Callable[[fabrik.TimeMachine], Any]
) -> None:
    turns, stop, started = [0], threading.Event(), threading.Event()

    def turn() -> None:
        while not stop.is_set():
            turns[0] += 1
            started.set()
            time.sleep(0)

    other = threading.Thread(target=turn)
    other.start()
    started.wait()
    before = turns[0]
    call(two)
    during = turns[0] - before
    stop.set()
    other.join()

    assert during > 50


def test_threads_that_share_a_store_get_the_same_answers(two: fabrik.TimeMachine) -> None:
    def changes(_: int) -> List[str]:
        return [text(change.to_dict()) for change in two.compare("q@latest~1", "q@latest")]

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(changes, range(8))

    assert len(first) > 1000
    assert all(other == first for other in others)


def test_threads_that_capture_into_one_store_lose_nothing(tm: fabrik.TimeMachine) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: tm.capture(f"q{n % 3}", [{"dn": "uni", "n": n}]), range(40)))

    assert {snapshot.id for snapshot in tm.snapshots()} == {one.id for one in taken}
    assert [next(iter(tm.rows(one)))["n"] for one in taken] == list(range(40))
    assert tm.verify().is_clean
