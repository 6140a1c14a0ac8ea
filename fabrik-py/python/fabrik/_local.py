"""The time machine on a store of this machine: a file, memory, or a database."""

from __future__ import annotations

import os
from itertools import chain
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
    cast,
)

from . import _fabrik
from ._arrow import ready, speaks_arrow
from ._diff import Change, Diff, Path, Rows
from ._errors import Unsupported
from ._evolution import Heatmap, Timeline
from ._fabrik import NoiseTable, SeverityModel, loads
from ._records import (
    Captured,
    Connection,
    Edge,
    KeyPage,
    Moment,
    Progress,
    Query,
    RetentionOutcome,
    RetentionPlan,
    Snapshot,
    Snapshots,
    Span,
    Stats,
    Verification,
    days_text,
    edge_text,
    moment_text,
    policy_text,
    refuse,
)
from ._sources import Apic, Question, Recorded, Simulator
from ._time_machine import Input, Reference, Table, TimeMachine, reference_text

__all__ = ["LocalTimeMachine", "open"]

_T = TypeVar("_T")


def open(address: Union[str, os.PathLike[str]], *, create: bool = True) -> LocalTimeMachine:
    """Opens a store, and makes it where there is none.

    :param address: ``memory:``, ``sqlite:PATH`` or a path, or ``postgres://USER:PASSWORD@HOST/DATABASE?schema=NAME``.
    :param create: whether to make a store where there is none.
    :raises NotAStore: when there is something else, or, without ``create``, nothing.
    """
    is_path = isinstance(address, os.PathLike)
    return LocalTimeMachine(_fabrik.Store.open(os.fspath(address), is_path=is_path, create=create))


class LocalTimeMachine(TimeMachine):
    """A time machine on a store of this machine, made by :func:`fabrik.open`.

    One on a file pickles, by its path, so that other processes can open it for themselves.
    """

    def __init__(self, store: _fabrik.Store) -> None:
        self._store = store

    @property
    def address(self) -> str:
        """Where the store is; without the password of a database."""
        return self._store.address

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._store.closed

    def close(self) -> None:
        """Lets go of the store; again changes nothing. What is still being iterated ends first."""
        self._store.close()

    def __repr__(self) -> str:
        return f"<TimeMachine on {self.address}{' (closed)' if self.closed else ''}>"

    def __reduce__(self) -> Union[Tuple[Any, ...], NoReturn]:
        path = self._store.path
        if path is None:
            raise TypeError(f"a time machine on {self.address} does not pickle; open it anew in the other process")
        return _reopened, (os.path.abspath(path),)

    # -- snapshots

    def capture(
        self,
        query: str,
        rows: Optional[Input] = None,
        *,
        connection: Optional[str] = None,
        annotation: Optional[str] = None,
        label: Optional[str] = None,
        retention_policy: Optional[Span] = "30d",
        pinned: bool = False,
        captured_by: Optional[str] = None,
        captured_at: Optional[Moment] = None,
        key: Union[None, str, Sequence[str]] = None,
        format: Optional[str] = None,
        replace_query: bool = False,
        progress: Optional[Callable[[Progress], object]] = None,
    ) -> Captured:
        told = {
            "query": query,
            "connection": connection,
            "annotation": annotation,
            "label": label,
            "retention_policy": policy_text(retention_policy),
            "pinned": pinned,
            "captured_by": captured_by,
            "captured_at": moment_text("captured_at", captured_at),
            "key": _key(key),
        }
        report = None if progress is None else _report(progress)
        source = self._input(rows, connection, format, replace_query)
        return Captured.from_document(loads(_fabrik.capture(self._store, source, told, report)))

    def _input(
        self, rows: Optional[Input], connection: Optional[str], format: Optional[str], replace_query: bool
    ) -> _fabrik.Input:
        """Finds out what the rows are."""
        if rows is None:
            return _fabrik.Input.live(_fabrik.saved_client(self._store, connection), None)
        if isinstance(rows, Question):
            apic = rows.origin.apic if isinstance(rows.origin, Simulator) else rows.origin
            if not isinstance(apic, Apic):
                raise refuse("rows", rows, "a question to an Apic or a Simulator; a server's connection is asked by it")
            return _fabrik.Input.live(apic._client, rows.path, replace=replace_query, page_size=rows.page_size)
        if isinstance(rows, Recorded):
            return rows._input(format)
        if isinstance(rows, (bytes, bytearray)):
            return _fabrik.Input.recorded(rows, format=format)
        if isinstance(rows, memoryview):
            return _fabrik.Input.recorded(rows.tobytes(), format=format)
        if isinstance(rows, os.PathLike):
            return _fabrik.Input.recorded(os.fspath(rows), format=format)
        if isinstance(rows, (str, Mapping)):
            hint = "a str is neither" if isinstance(rows, str) else "a dict is one row"
            raise refuse("rows", type(rows).__name__, f"rows, bytes or a pathlib.Path; {hint}")
        if isinstance(rows, Rows):
            # Arrow does not tell an absent attribute from one that is null.
            return _fabrik.Input.rows(iter(rows))
        if speaks_arrow(rows):
            return _fabrik.Input.arrow(ready(rows))
        if hasattr(rows, "read"):
            name = getattr(rows, "name", None)
            return _fabrik.Input.recorded(rows, format=format, name=name if isinstance(name, str) else None)
        try:
            return _fabrik.Input.rows(iter(cast(Iterable[Mapping[str, Any]], rows)))
        except TypeError:
            raise refuse("rows", type(rows).__name__, "an iterable of dicts, a DataFrame, a file or a question") from None

    def queries(self) -> List[Query]:
        return [Query.from_document(one) for one in loads(_fabrik.queries(self._store))["queries"]]

    def snapshots(
        self,
        query: Optional[str] = None,
        *,
        connection: Optional[str] = None,
        since: Optional[Edge] = None,
        until: Optional[Edge] = None,
        limit: Optional[int] = None,
    ) -> Snapshots:
        if limit is not None and limit < 0:
            raise refuse("limit", limit, "a number that is not negative")
        listed = {
            "query": query,
            "connection": connection,
            "since": edge_text("since", since),
            "until": edge_text("until", until),
            "limit": limit,
        }
        found = loads(_fabrik.snapshots(self._store, listed))
        return Snapshots(Snapshot.from_document(one) for one in found["results"])

    def snapshot(self, reference: Reference) -> Snapshot:
        return Snapshot.from_document(loads(_fabrik.snapshot(self._store, reference_text(reference))))

    def rows(self, reference: Reference) -> Rows:
        return Rows(_LocalRows(self._store, self.snapshot(reference)))

    def annotate(
        self, reference: Reference, annotation: Optional[str] = None, *, label: Optional[str] = None
    ) -> Snapshot:
        return self._note(reference, annotation=annotation, label=label)

    def pin(self, reference: Reference) -> Snapshot:
        return self._note(reference, pinned=True)

    def unpin(self, reference: Reference) -> Snapshot:
        return self._note(reference, pinned=False)

    def _note(self, reference: Reference, **noted: Any) -> Snapshot:
        noted = {"annotation": None, "label": None, "pinned": None, **noted}
        return Snapshot.from_document(loads(_fabrik.annotate(self._store, reference_text(reference), noted)))

    # -- what changed

    def compare(
        self,
        before: Reference,
        after: Reference,
        *,
        key: Union[None, str, Sequence[str]] = None,
        ignore: Union[str, Iterable[str]] = (),
        noise: Union[Table, NoiseTable] = None,
        severity: Union[Table, SeverityModel] = None,
        min_severity: Optional[str] = None,
    ) -> Diff:
        if min_severity is not None and (severity is None or severity is False):
            severity = True
        told = {
            "key": _key(key),
            "ignore": [ignore] if isinstance(ignore, str) else list(ignore),
            "noise": _noise(noise),
            "severity": _severity(severity),
            "min_severity": min_severity,
        }
        _options(told)
        return Diff(_LocalDiff(self._store, self.snapshot(before), self.snapshot(after), told))

    def timeline(
        self,
        query: str,
        dn: str,
        *,
        limit: int = 20,
        since: Optional[Edge] = None,
        until: Optional[Edge] = None,
        connection: Optional[str] = None,
    ) -> Timeline:
        if limit < 1:
            raise refuse("limit", limit, "a number from 1 to 100")
        followed = {
            "query": query,
            "dn": dn,
            "limit": limit,
            "since": edge_text("since", since),
            "until": edge_text("until", until),
            "connection": connection,
        }
        text = _fabrik.timeline(self._store, followed)
        return Timeline.from_document(loads(text), text)

    def heatmap(
        self,
        query: Optional[str] = None,
        window: Span = "30d",
        *,
        timezone: str = "UTC",
        connection: Optional[str] = None,
        now: Optional[Moment] = None,
    ) -> Heatmap:
        counted = {
            "query": query,
            "connection": connection,
            "window": days_text("window", window),
            "timezone": timezone,
            "now": moment_text("now", now),
        }
        text = _fabrik.heatmap(self._store, counted)
        return Heatmap.from_document(loads(text), query, text)

    def keys(self, reference: Reference, part: str = "", *, limit: int = 50) -> KeyPage:
        if limit < 1:
            raise refuse("limit", limit, "a number from 1 to 200")
        return KeyPage.from_document(loads(_fabrik.keys(self._store, reference_text(reference), part, limit)))

    # -- keeping house

    def plan_retention(
        self,
        *,
        query: Optional[str] = None,
        protect_newest: bool = False,
        max_per_series: Optional[int] = None,
        now: Optional[Moment] = None,
    ) -> RetentionPlan:
        if max_per_series is not None and max_per_series < 1:
            raise refuse("max_per_series", max_per_series, "1 or more, or None for any number")
        plan = _fabrik.plan_retention(
            self._store,
            query=query,
            protect_newest=protect_newest,
            max_per_series=max_per_series,
            now_is=moment_text("now", now),
        )
        return RetentionPlan.from_document(loads(plan.document), plan)

    def apply_retention(self, plan: RetentionPlan) -> RetentionOutcome:
        if not isinstance(plan.handle, _fabrik.Plan):
            raise Unsupported("this plan was not made by a local time machine, or was pickled; make it anew")
        return RetentionOutcome.from_document(loads(_fabrik.apply_plan(self._store, plan.handle)))

    def verify(self) -> Verification:
        return Verification.from_document(loads(_fabrik.verify(self._store)))

    def stats(self) -> Stats:
        return Stats.from_document(loads(_fabrik.stats(self._store)))

    # -- connections

    def connections(self) -> List[Connection]:
        return [Connection.from_document(one) for one in loads(_fabrik.connections(self._store))]

    def connection(self, name: Optional[str] = None) -> Apic:
        return Apic._of(_fabrik.saved_client(self._store, name))

    def save_connection(self, name: str, apic: Apic, *, replace: bool = False) -> Connection:
        document = _fabrik.save_connection(self._store, name, apic._client, replace=replace)
        return Connection.from_document(loads(document))

    def remove_connection(self, name: str) -> None:
        _fabrik.remove_connection(self._store, name)


def _reopened(path: str) -> LocalTimeMachine:
    return LocalTimeMachine(_fabrik.Store.open(path, is_path=True, create=False))


def _report(progress: Callable[[Progress], object]) -> Callable[..., object]:
    return lambda *figures: progress(Progress(*figures))


def _key(key: Union[None, str, Sequence[str]]) -> Union[None, str, List[str]]:
    return key if key is None or isinstance(key, str) else list(key)


def _table_text(table: Union[str, os.PathLike[str]]) -> Tuple[str, Optional[str]]:
    """Reads the text of a table: it is given, or the path of its file, which then is its name in errors."""
    if isinstance(table, str) and ("\n" in table or "=" in table):
        return table, None
    path = os.fspath(table)
    from io import open as open_file

    with open_file(path, encoding="utf-8") as file:
        return file.read(), path


def _noise(table: Union[Table, NoiseTable]) -> Optional[NoiseTable]:
    if table is None or isinstance(table, (bool, NoiseTable)):
        return table if isinstance(table, NoiseTable) else NoiseTable.standard() if table else None
    text, name = _table_text(table)
    standard = NoiseTable.standard()
    return standard.overridden_by(text) if name is None else standard.overridden_by(text, name)


def _severity(table: Union[Table, SeverityModel]) -> Optional[SeverityModel]:
    if table is None or isinstance(table, (bool, SeverityModel)):
        return table if isinstance(table, SeverityModel) else SeverityModel.standard() if table else None
    text, name = _table_text(table)
    standard = SeverityModel.standard()
    return standard.overridden_by(text) if name is None else standard.overridden_by(text, name)


def _options(told: Dict[str, Any]) -> _fabrik.DiffOptions:
    return _fabrik.DiffOptions(**told)


class _LocalDiff:
    """A comparison of two snapshots of one store."""

    def __init__(self, store: _fabrik.Store, before: Snapshot, after: Snapshot, told: Dict[str, Any]) -> None:
        self._store, self._before, self._after, self._told = store, before, after, told

    def _compared(self) -> Dict[str, Any]:
        return {"before": str(self._before.id), "after": str(self._after.id), "options": _options(self._told)}

    def snapshots(self) -> Tuple[Snapshot, Snapshot]:
        return self._before, self._after

    def head(self) -> Dict[str, Any]:
        return dict(loads(_fabrik.summarize(self._store, self._compared())))

    def changes(self) -> Iterator[Change]:
        batches = _fabrik.change_batches(self._store, self._compared())
        while True:
            pairs = batches.pairs()
            if pairs is None:
                return
            for entry, rows in pairs:
                yield Change(entry, rows)

    def entries(self) -> Iterator[Dict[str, Any]]:
        return _flat(lambda: _fabrik.change_batches(self._store, self._compared()))

    def write(self, path: Optional[Path]) -> Optional[str]:
        return _fabrik.write_changes(self._store, self._compared(), None if path is None else os.fspath(path))

    def arrow(self, requested_schema: Optional[object]) -> object:
        return _fabrik.changes_stream(self._store, self._compared(), requested_schema)

    def __reduce__(self) -> Tuple[Any, ...]:
        machine = LocalTimeMachine(self._store)
        return _diff_of, (machine, self._before, self._after, self._told)


def _diff_of(machine: LocalTimeMachine, before: Snapshot, after: Snapshot, told: Dict[str, Any]) -> _LocalDiff:
    return _LocalDiff(machine._store, before, after, told)


class _LocalRows:
    """The rows of a snapshot of a store."""

    def __init__(self, store: _fabrik.Store, snapshot: Snapshot) -> None:
        self._store, self._snapshot = store, snapshot

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def rows(self) -> Iterator[Dict[str, Any]]:
        return _flat(lambda: _fabrik.row_batches(self._store, str(self._snapshot.id)))

    def write(self, path: Optional[Path]) -> Optional[str]:
        return _fabrik.write_rows(self._store, str(self._snapshot.id), None if path is None else os.fspath(path))

    def arrow(self, requested_schema: Optional[object]) -> object:
        return _fabrik.rows_stream(self._store, str(self._snapshot.id), requested_schema)

    def parquet(self, path: Path) -> None:
        _fabrik.write_parquet(self._store, str(self._snapshot.id), os.fspath(path))

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rows_of, (LocalTimeMachine(self._store), self._snapshot)


def _rows_of(machine: LocalTimeMachine, snapshot: Snapshot) -> _LocalRows:
    return _LocalRows(machine._store, snapshot)


def _flat(begin: Callable[[], Iterable[List[_T]]]) -> Iterator[_T]:
    """Gives what is in batches, without a step of Python's own for each; the first step calls ``begin``."""

    def batches() -> Iterator[List[_T]]:
        yield from begin()

    return chain.from_iterable(batches())
