"""Every call has a twin to be awaited; they run side by side, and a cancelled one ends its work."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
from typing import Any, Dict, Iterator, List

import pytest

import fabrik
from model import Row

CALLS = [
    "capture", "queries", "snapshots", "snapshot", "rows", "compare", "timeline", "heatmap", "keys", "annotate", "pin",
    "unpin", "plan_retention", "apply_retention", "verify", "stats", "connections", "save_connection", "connection",
    "remove_connection",
]  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_a_twin_that_takes_the_same(name: str) -> None:
    call, twin = getattr(fabrik.TimeMachine, name), getattr(fabrik.TimeMachine, f"a{name}")

    assert inspect.iscoroutinefunction(twin)
    assert list(inspect.signature(twin).parameters) == list(inspect.signature(call).parameters)


def test_no_call_is_forgotten_here() -> None:
    public = {name for name, _ in inspect.getmembers(fabrik.TimeMachine, inspect.isfunction) if not name.startswith("_")}
    twins = {name for name in public if name.startswith("a") and name[1:] in public}

    assert {name[1:] for name in twins} == set(CALLS)
    assert public - twins - set(CALLS) <= {"close", "aclose"}


def test_a_story_told_asynchronously_is_the_same(tm: fabrik.TimeMachine) -> None:
    async def story() -> List[Any]:
        older = await tm.acapture("q", [{"dn": "uni", "n": 0}])
        newer = await tm.acapture("q", [{"dn": "uni", "n": 1}, {"dn": "uni/tn-a"}])
        diff = await tm.acompare(older, newer)
        changes = [change async for change in diff]
        assert changes == list(diff)
        assert [row async for row in await tm.arows(newer)] == list(tm.rows(newer))
        timeline = await tm.atimeline("q", "uni")
        return [len(changes), len(timeline), (await tm.astats()).snapshots, (await tm.averify()).is_clean]

    assert asyncio.run(story()) == [2, 2, 2, True]


def test_captures_that_run_side_by_side_are_all_kept(tm: fabrik.TimeMachine) -> None:
    async def run() -> List[fabrik.Captured]:
        return await asyncio.gather(*(tm.acapture(f"q{n}", [{"dn": f"uni/tn-{n}"}] * n) for n in range(12)))

    taken = asyncio.run(run())

    assert [one.row_count for one in taken] == list(range(12))
    assert len(tm.snapshots()) == 12


def test_the_loop_runs_while_the_engine_works() -> None:
    async def run() -> None:
        turned, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def rows() -> Iterator[Row]:
            yield {"dn": "uni"}
            loop.call_soon_threadsafe(turned.set)
            # Ends only when the loop has turned meanwhile.
            assert go_on.wait(60)
            yield {"dn": "uni/tn-a"}

        with fabrik.open("memory:") as tm:
            task = asyncio.create_task(tm.acapture("q", rows()))
            await turned.wait()
            go_on.set()
            assert (await task).row_count == 2

    asyncio.run(run())


def test_a_cancelled_capture_ends_and_stores_nothing(tm: fabrik.TimeMachine) -> None:
    ended = threading.Event()

    async def run() -> None:
        under_way = asyncio.Event()
        loop = asyncio.get_running_loop()

        def endless() -> Iterator[Dict[str, Any]]:
            try:
                for number in itertools.count():
                    if number == 10_000:
                        loop.call_soon_threadsafe(under_way.set)
                    yield {"dn": f"uni/tn-{number}"}
            finally:
                ended.set()

        task = asyncio.create_task(tm.acapture("q", endless()))
        await under_way.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ended.wait(60)
    assert tm.snapshots() == []
    assert tm.capture("q", [{"dn": "uni"}]).row_count == 1


def test_a_loop_over_changes_may_be_left(tm: fabrik.TimeMachine) -> None:
    older = tm.capture("q", [])
    newer = tm.capture("q", [{"dn": f"uni/tn-{number:05}"} for number in range(5000)])

    async def first() -> Any:
        async for change in tm.compare(older, newer):
            return change.dn

    assert asyncio.run(first()) == "uni/tn-00000"


def test_an_error_is_raised_where_it_is_awaited(tm: fabrik.TimeMachine) -> None:
    with pytest.raises(fabrik.NotFound, match="nothing"):
        asyncio.run(tm.asnapshot("nothing@latest"))
