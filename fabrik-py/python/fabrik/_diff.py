"""Comparisons and rows, wherever they come from."""

from __future__ import annotations

import os
from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, NamedTuple, Optional, Protocol, Tuple, Union, overload

from ._records import Snapshot, Summary
from ._tasks import batched, frame, table_of

__all__ = ["Change", "Diff", "DiffSource", "FieldChange", "RowSource", "Rows"]

Path = Union[str, "os.PathLike[str]"]


class FieldChange(NamedTuple):
    """One attribute of a changed row."""

    #: Its value before; ``None`` when it was absent or null.
    before: Any
    #: Its value after; ``None`` when it is absent or null.
    after: Any
    #: The side on which it is absent: ``before``, ``after``, or ``None`` when it is on both.
    missing: Optional[str] = None


class ChangedRows(Protocol):
    """The rows behind a change, for whoever looks."""

    def before(self) -> Optional[Dict[str, Any]]: ...

    def after(self) -> Optional[Dict[str, Any]]: ...

    def dn(self) -> Optional[str]: ...

    def class_name(self) -> Optional[str]: ...

    def key(self) -> Dict[str, Any]: ...


class _GivenRows:
    """Rows that came along with the change."""

    __slots__ = ("_after", "_before", "_key")

    def __init__(
        self, before: Optional[Dict[str, Any]], after: Optional[Dict[str, Any]], key: Optional[Dict[str, Any]]
    ) -> None:
        self._before, self._after, self._key = before, after, key

    def before(self) -> Optional[Dict[str, Any]]:
        return self._before

    def after(self) -> Optional[Dict[str, Any]]:
        return self._after

    def _row(self) -> Dict[str, Any]:
        return self._after or self._before or self._key or {}

    def dn(self) -> Optional[str]:
        dn = self._row().get("dn")
        return dn if isinstance(dn, str) and dn else None

    def class_name(self) -> Optional[str]:
        row = self._row()
        return next((row[name] for name in ("className", "class") if isinstance(row.get(name), str)), None)

    def key(self) -> Dict[str, Any]:
        if self._key is not None:
            return self._key
        dn = self.dn()
        return {} if dn is None else {"dn": dn}


class Change:
    """One row that differs between two snapshots."""

    __slots__ = ("_entry", "_rows")

    def __init__(self, entry: Dict[str, Any], rows: ChangedRows) -> None:
        self._entry, self._rows = entry, rows

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Change:
        """Makes a change of ``kind``, the rows ``before`` and ``after`` (or ``row``), ``key``, ``fields`` and, where it
        was judged, ``severity``, ``reason`` and ``rule``."""
        kind, key = document["kind"], document.get("key")
        before, after = document.get("before"), document.get("after")
        if kind == "changed":
            entry = {"kind": kind, "key": key, "fields": document["fields"]}
        else:
            row = document.get("row")
            if row is None:
                row = after if kind == "added" else before
            before, after = (None, row) if kind == "added" else (row, None)
            entry = {"kind": kind, "row": row}
        entry.update((name, document[name]) for name in ("severity", "reason", "rule") if name in document)
        rows = _GivenRows(before, after, key)
        if kind == "changed" and key is None:
            entry["key"] = rows.key()
        return cls(entry, rows)

    @property
    def kind(self) -> str:
        """What happened to the row: ``added``, ``removed`` or ``changed``."""
        return self._entry["kind"]  # type: ignore[no-any-return]

    @property
    def key(self) -> Dict[str, Any]:
        """What the row was paired by: its DN or the key columns, with their values; empty for a row that has neither."""
        key: Optional[Dict[str, Any]] = self._entry.get("key")
        return self._rows.key() if key is None else key

    @property
    def dn(self) -> Optional[str]:
        """The distinguished name, where the row has one."""
        return self._rows.dn()

    @property
    def class_name(self) -> Optional[str]:
        """The class of the object, where the row says so."""
        return self._rows.class_name()

    @property
    def row(self) -> Dict[str, Any]:
        """The row as it is, or as it was when it is gone."""
        row = self._entry.get("row")
        return (self.after or {}) if row is None else row

    @property
    def before(self) -> Optional[Dict[str, Any]]:
        """The row as it was; ``None`` for an added one."""
        return self._rows.before()

    @property
    def after(self) -> Optional[Dict[str, Any]]:
        """The row as it is; ``None`` for a removed one."""
        return self._rows.after()

    @property
    def fields(self) -> Dict[str, FieldChange]:
        """The attributes that differ, by name; empty for an added or removed row."""
        fields = self._entry.get("fields", {})
        return {
            name: FieldChange(sides["before"], sides["after"], sides.get("missing")) for name, sides in fields.items()
        }

    @property
    def severity(self) -> Optional[str]:
        """How much it matters: ``critical``, ``high``, ``medium``, ``low`` or ``info``; ``None`` when not judged."""
        return self._entry.get("severity")

    @property
    def reason(self) -> Optional[str]:
        """Why it matters so much."""
        return self._entry.get("reason")

    @property
    def rule(self) -> Optional[str]:
        """The id of the rule that says so; ``None`` when none speaks of it."""
        return self._entry.get("rule")

    def to_dict(self) -> Dict[str, Any]:
        """The change as JSON documents show it, with its kind: ``{"kind", "row"}``, or ``{"kind", "key", "fields"}``
        with ``{"before", "after"}`` for each name; and ``severity``, ``reason``, ``rule`` where it was judged."""
        return dict(self._entry)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Change) and self._entry == other._entry

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Tuple[Any, ...]:
        return Change.from_document, ({**self._entry, "key": self.key, "before": self.before, "after": self.after},)

    def __repr__(self) -> str:
        name = self.dn or ", ".join(f"{name}={value!r}" for name, value in self.key.items()) or "a row without a key"
        fields = self._entry.get("fields")
        tail = "" if fields is None else f": {', '.join(fields)}"
        severity = "" if self.severity is None else f" ({self.severity})"
        return f"<Change: {self.kind} {name}{severity}{tail}>"


class DiffSource(Protocol):
    """Where a comparison comes from."""

    def snapshots(self) -> Tuple[Snapshot, Snapshot]:
        """The two snapshots, the older first."""
        ...

    def head(self) -> Dict[str, Any]:
        """The JSON document of the comparison without its changes."""
        ...

    def changes(self) -> Iterator[Change]:
        """The changes in key order, anew each time."""
        ...

    def entries(self) -> Iterator[Dict[str, Any]]:
        """The changes as :meth:`Change.to_dict` gives them, anew each time."""
        ...

    def write(self, path: Optional[Path]) -> Optional[str]:
        """The JSON document of the comparison: written to a file, or returned."""
        ...

    def arrow(self, requested_schema: Optional[object]) -> object:
        """The changes as a capsule with an Arrow stream, a line for each attribute."""
        ...


class Diff:
    """What changed between two snapshots.

    Iterating gives :class:`Change` after :class:`Change`, in key order and while they are found; each iteration
    compares anew. ``len`` is the number of changes; an empty diff is false.
    """

    def __init__(self, source: DiffSource) -> None:
        self._source = source
        self._head: Optional[Dict[str, Any]] = None

    def _document(self) -> Dict[str, Any]:
        if self._head is None:
            self._head = self._source.head()
        return self._head

    @property
    def before(self) -> Snapshot:
        """The older snapshot."""
        return self._source.snapshots()[0]

    @property
    def after(self) -> Snapshot:
        """The newer snapshot."""
        return self._source.snapshots()[1]

    @property
    def summary(self) -> Summary:
        """How many rows differ and how many do not: found once, in less time than the changes take."""
        return Summary.from_document(self._document()["summary"])

    @property
    def key(self) -> str:
        """What rows are paired by: ``auto``, ``dn``, ``hash`` or columns joined by commas."""
        return str(self._document()["key"])

    @property
    def identical(self) -> bool:
        """Whether the two snapshots have the same content."""
        return bool(self._document()["identical"])

    @property
    def warnings(self) -> List[str]:
        """What a reader should know before trusting the comparison."""
        return list(self._document()["warnings"])

    def __iter__(self) -> Iterator[Change]:
        return self._source.changes()

    def __aiter__(self) -> AsyncIterator[Change]:
        return batched(self._source.changes())

    def __len__(self) -> int:
        return self.summary.total

    def __bool__(self) -> bool:
        return len(self) > 0

    def dicts(self) -> Iterator[Dict[str, Any]]:
        """Gives the changes as dicts, in key order: faster than as objects. See :meth:`Change.to_dict`."""
        return self._source.entries()

    def _of_kind(self, kind: str) -> Iterator[Change]:
        return (change for change in self if change.kind == kind)

    @property
    def added(self) -> Iterator[Change]:
        """The rows that are only in the newer snapshot."""
        return self._of_kind("added")

    @property
    def removed(self) -> Iterator[Change]:
        """The rows that are only in the older snapshot."""
        return self._of_kind("removed")

    @property
    def changed(self) -> Iterator[Change]:
        """The rows that are in both, with different attributes."""
        return self._of_kind("changed")

    @overload
    def to_json(self, path: None = None) -> str: ...

    @overload
    def to_json(self, path: Path) -> None: ...

    def to_json(self, path: Optional[Path] = None) -> Optional[str]:
        """Writes the JSON document of the comparison, the same as the command and a server give: to a file, or into
        the text that is returned."""
        return self._source.write(path)

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object:
        return self._source.arrow(requested_schema)

    def to_arrow(self) -> Any:
        """Makes a ``pyarrow.Table``, a line for each attribute that changed and for each row that came or went."""
        return table_of(self)

    def to_polars(self) -> Any:
        """Makes a ``polars.DataFrame`` of the lines that :meth:`to_arrow` has."""
        return frame("polars", "polars").DataFrame(self)

    def to_pandas(self) -> Any:
        """Makes a ``pandas.DataFrame`` of the lines that :meth:`to_arrow` has."""
        frame("pandas", "pandas")
        return self.to_arrow().to_pandas()

    def __str__(self) -> str:
        from ._table import diff_text

        return diff_text(self._document(), iter(self))

    def _repr_html_(self) -> str:
        from ._html import diff_html

        return diff_html(self._document(), iter(self))

    def __repr__(self) -> str:
        before, after = self._source.snapshots()
        counts = ""
        if self._head is not None:
            summary = self.summary
            counts = f": +{summary.added} -{summary.removed} ~{summary.changed}"
        return f"<Diff from {before.query!r} {before.id} to {after.query!r} {after.id}{counts}>"


class RowSource(Protocol):
    """Where the rows of a snapshot come from."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot."""
        ...

    def rows(self) -> Iterator[Dict[str, Any]]:
        """The rows in key order, anew each time."""
        ...

    def write(self, path: Optional[Path]) -> Optional[str]:
        """The rows as a JSON array: written to a file, or returned."""
        ...

    def arrow(self, requested_schema: Optional[object]) -> object:
        """The rows as a capsule with an Arrow stream."""
        ...

    def parquet(self, path: Path) -> None:
        """Writes the rows to a Parquet file."""
        ...


class Rows:
    """The rows of a snapshot as dicts, in key order: read while they are taken, anew by each iteration.

    A whole number is an ``int``; another is a ``float`` when its ``repr`` has the digits that were captured, else a
    ``decimal.Decimal``.
    """

    def __init__(self, source: RowSource) -> None:
        self._source = source

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot whose rows these are."""
        return self._source.snapshot

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        return self._source.rows()

    def __aiter__(self) -> AsyncIterator[Dict[str, Any]]:
        return batched(self._source.rows())

    def __len__(self) -> int:
        return self.snapshot.row_count

    @overload
    def to_json(self, path: None = None) -> str: ...

    @overload
    def to_json(self, path: Path) -> None: ...

    def to_json(self, path: Optional[Path] = None) -> Optional[str]:
        """Writes the rows as a JSON array: to a file, or into the text that is returned."""
        return self._source.write(path)

    def to_parquet(self, path: Path) -> None:
        """Writes the rows to a Parquet file, compressed by Zstandard."""
        self._source.parquet(path)

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object:
        return self._source.arrow(requested_schema)

    def to_arrow(self) -> Any:
        """Makes a ``pyarrow.Table`` with a column for each attribute; absent and null are both null."""
        return table_of(self)

    def to_polars(self) -> Any:
        """Makes a ``polars.DataFrame`` with a column for each attribute."""
        return frame("polars", "polars").DataFrame(self)

    def to_pandas(self) -> Any:
        """Makes a ``pandas.DataFrame`` with a column for each attribute."""
        frame("pandas", "pandas")
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        return f"<Rows of {self.snapshot}>"
