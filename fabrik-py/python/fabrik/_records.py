"""What the engine and a server answer, as frozen records.

Each is made of a JSON document by ``from_document`` and keeps it in ``document``. Members that a record does not know
are only there.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from ._errors import InvalidInput

_R = TypeVar("_R", bound="Record")

#: A moment: an aware ``datetime``, or a text such as ``2026-01-15T10:30:00Z``.
Moment = Union[datetime, str]
#: An edge of a range: a moment, or a day.
Edge = Union[datetime, date, str]
#: A length of time: a ``timedelta``, or a text such as ``30d``.
Span = Union[timedelta, str]


def refuse(name: str, value: object, expected: str) -> InvalidInput:
    """Makes the error for a value that is not allowed, in the words of the engine."""
    error = InvalidInput(f"{name} {str(value)!r} is not valid: expected {expected}")
    error.field, error.value, error.expected = name, str(value), expected
    return error


def moment_text(name: str, value: Optional[Moment]) -> Optional[str]:
    """Writes a moment for the engine, which checks texts itself."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise refuse(name, value, "an aware datetime: datetime(…, tzinfo=timezone.utc), or value.astimezone()")
        return value.astimezone(timezone.utc).isoformat()
    raise refuse(name, value, "an aware datetime or a text such as 2026-01-15T10:30:00Z")


def edge_text(name: str, value: Optional[Edge]) -> Optional[str]:
    """Writes an edge of a range for the engine; a day is its first or last moment, in UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return moment_text(name, value)


def days_text(name: str, value: Span) -> str:
    """Writes a number of days for the engine: ``90d``."""
    if isinstance(value, str):
        return value
    if isinstance(value, timedelta):
        if value % timedelta(days=1) or value <= timedelta(0):
            raise refuse(name, value, "a number of whole days, or a text such as 30d")
        return f"{value.days}d"
    raise refuse(name, value, "a timedelta or a text such as 30d")


_POLICIES = {"7d": 7, "30d": 30, "90d": 90, "1y": 365}


def policy_text(value: Optional[Span]) -> str:
    """Writes a retention policy for the engine; ``None`` keeps for ever."""
    if value is None:
        return "forever"
    if isinstance(value, str):
        return value
    for name, days in _POLICIES.items():
        if value == timedelta(days=days):
            return name
    raise refuse("retention policy", value, "7d, 30d, 90d, 1y or forever")


def _moment(text: Optional[str]) -> Optional[datetime]:
    return None if text is None else _aware(text)


def _aware(text: str) -> datetime:
    # Before Python 3.11 only some lengths of a fraction are read, and no Z.
    text = text.replace("Z", "+00:00")
    if "." in text:
        head, _, tail = text.partition(".")
        digits = tail[: next((i for i, c in enumerate(tail) if not c.isdigit()), len(tail))]
        text = f"{head}.{digits[:6].ljust(6, '0')}{tail[len(digits):]}"
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Record:
    """Something that was answered."""

    #: The JSON document that it was made of.
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def from_document(cls: Type[_R], document: Mapping[str, Any]) -> _R:
        """Makes the record of a JSON document."""
        raise NotImplementedError


@dataclass(frozen=True)
class Verdict:
    """How complete the rows of a snapshot are: ``complete``, ``partial`` or ``unstable``."""

    status: str
    #: Why it is partial.
    reason: Optional[str] = None
    #: Rows that the source announced, when it did.
    expected_rows: Optional[int] = None
    #: The tops of subtrees of which rows are missing, as DNs; empty when it is not known which.
    missing: Tuple[str, ...] = ()
    #: Rows counted before and after reading, when they differ.
    rows_before: Optional[int] = None
    rows_after: Optional[int] = None

    @property
    def is_complete(self) -> bool:
        """Whether everything that the query matched is there, as far as the source can tell."""
        return self.status == "complete"

    @classmethod
    def from_document(cls, document: Union[str, Mapping[str, Any], None]) -> Verdict:
        """Makes the verdict of its JSON form."""
        if document is None or isinstance(document, str):
            return cls(document or "complete")
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        known["missing"] = tuple(known.get("missing", ()))
        return cls(**known)


@dataclass(frozen=True)
class Changes:
    """How many rows differ between a snapshot and the one before it in its series."""

    previous_snapshot_id: uuid.UUID
    added: int
    removed: int
    changed: int
    unchanged: int

    @property
    def total(self) -> int:
        """Rows that came, went or changed."""
        return self.added + self.removed + self.changed


@dataclass(frozen=True)
class Snapshot(Record):
    """What is known of a snapshot beside its rows. Times are aware, in UTC; sizes are in bytes."""

    id: uuid.UUID
    query: str
    connection: Optional[str]
    captured_at: datetime
    captured_by: str
    row_count: int
    #: The hash of its content: equal hashes under equal keys mean equal rows.
    version_hash: str
    #: Size of its rows as JSON.
    size_bytes: int
    #: What it added to the store.
    stored_bytes: int
    #: ``7d``, ``30d``, ``90d``, ``1y`` or ``forever``.
    retention_policy: str
    #: Until when its policy keeps it; ``None`` for ever.
    expires_at: Optional[datetime]
    #: Whether it is kept whatever its policy says.
    pinned: bool
    annotation: Optional[str]
    label: Optional[str]
    verdict: Verdict
    #: ``full``, ``config-only`` or ``naming-only``.
    coverage: str
    #: What identifies its rows: ``auto``, ``dn``, ``hash`` or columns joined by commas.
    key: str
    #: How many keys belong to more than one row.
    duplicate_keys: int
    #: What changed since the one before it in its series; ``None`` for the first.
    changes: Optional[Changes]
    #: The changed share of rows, from 0 to 1; ``None`` for the first of a series.
    change_score: Optional[float]

    @property
    def has_changes(self) -> bool:
        """Whether it differs from the one before it in its series."""
        return self.changes is not None and self.changes.total > 0

    @classmethod
    def _members(cls, document: Mapping[str, Any]) -> Dict[str, Any]:
        changes = document.get("changes")
        return {
            "document": document,
            "id": uuid.UUID(str(document["id"])),
            "query": document.get("query_name", document.get("query", "")),
            "connection": document.get("apic_connection_name"),
            "captured_at": _aware(document["captured_at"]),
            "captured_by": document.get("captured_by", ""),
            "row_count": document["row_count"],
            "version_hash": document.get("version_hash", ""),
            "size_bytes": document.get("size_bytes", 0),
            "stored_bytes": document.get("stored_bytes", 0),
            "retention_policy": document.get("retention_policy", ""),
            "expires_at": _moment(document.get("expires_at")),
            "pinned": bool(document.get("pinned", False)),
            "annotation": document.get("annotation"),
            "label": document.get("label"),
            "verdict": Verdict.from_document(document.get("verdict")),
            "coverage": document.get("coverage", "full"),
            "key": document.get("key_strategy", "auto"),
            "duplicate_keys": document.get("duplicate_keys", 0),
            "changes": None
            if changes is None
            else Changes(
                uuid.UUID(changes["previous_snapshot_id"]),
                changes["added"],
                changes["removed"],
                changes["changed"],
                changes["unchanged"],
            ),
            "change_score": document.get("change_score"),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Snapshot:
        """Makes the snapshot of its JSON form."""
        return Snapshot(**Snapshot._members(document))

    def __str__(self) -> str:
        moment = self.captured_at.isoformat(sep=" ", timespec="seconds")
        return f"{self.query} of {moment}: {self.row_count} rows ({self.id})"

    def _repr_html_(self) -> str:
        from ._html import snapshots_html

        return snapshots_html([dict(self.document)])


@dataclass(frozen=True)
class Captured(Snapshot):
    """A finished capture: the new snapshot, and how it relates to the one before it."""

    #: Whether its rows equal those of the snapshot before; then all content is shared.
    is_duplicate: bool
    #: The snapshot before it in its series.
    previous_snapshot_id: Optional[uuid.UUID]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Captured:
        """Makes the capture of its JSON form."""
        previous = document.get("previous_snapshot_id")
        return Captured(
            **Snapshot._members(document),
            is_duplicate=bool(document.get("is_duplicate", False)),
            previous_snapshot_id=None if previous is None else uuid.UUID(str(previous)),
        )


class Snapshots(List[Snapshot]):
    """Snapshots, newest first: a list that prints as a table."""

    def __str__(self) -> str:
        from ._table import snapshots_text

        return snapshots_text([dict(snapshot.document) for snapshot in self])

    def _repr_html_(self) -> str:
        from ._html import snapshots_html

        return snapshots_html([dict(snapshot.document) for snapshot in self])


@dataclass(frozen=True)
class Query(Record):
    """A query that has snapshots."""

    id: Any
    name: str
    snapshot_count: int
    latest_snapshot_at: Optional[datetime]
    #: When the newest that differs from the one before it was captured.
    last_change_at: Optional[datetime]
    #: The names of the connections it was captured on.
    connections: Tuple[str, ...]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Query:
        """Makes the query of its JSON form."""
        return cls(
            document,
            document["id"],
            document["name"],
            document["snapshot_count"],
            _moment(document.get("latest_snapshot_at")),
            _moment(document.get("last_change_at")),
            tuple(str(name) for name in document.get("connections", ())),
        )


@dataclass(frozen=True)
class Summary(Record):
    """How many rows differ between two snapshots, and how many do not."""

    added: int
    removed: int
    changed: int
    unchanged: int
    #: Keys that belong to more than one row of a snapshot.
    duplicate_keys: int
    #: Changes that the ignore patterns hid.
    hidden: int
    #: Rows that differ and have no DN, under the key ``dn``.
    unkeyed: int
    #: Rows on one side only that the other side may not show though the fabric has them.
    unknown: int
    #: Rows that changed by themselves; ``None`` where noise was not told apart.
    noise_changes: Optional[int]
    #: Attributes that changed by themselves.
    noise_attributes: Optional[int]
    #: How risky all changes are together, from 0 to 100; ``None`` where they were not judged.
    risk_score: Optional[float]
    #: Changes by severity, worst first; empty where they were not judged.
    by_severity: Mapping[str, int]
    #: Changes that matter less than was asked for: counted, not given.
    below_min_severity: Optional[int]

    @property
    def total(self) -> int:
        """Changes that the comparison gives."""
        return self.added + self.removed + self.changed - (self.below_min_severity or 0)

    @property
    def is_equal(self) -> bool:
        """Whether nothing is known to differ."""
        return self.added + self.removed + self.changed + self.unkeyed == 0

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Summary:
        """Makes the summary of its JSON form."""
        names = ("added", "removed", "changed", "unchanged", "duplicate_keys", "hidden", "unkeyed", "unknown")
        return cls(
            document=document,
            **{name: document.get(name, 0) for name in names},
            noise_changes=document.get("noise_changes"),
            noise_attributes=document.get("noise_attributes"),
            risk_score=document.get("risk_score"),
            by_severity=document.get("by_severity", {}),
            below_min_severity=document.get("below_min_severity"),
        )


@dataclass(frozen=True)
class Key:
    """A DN and the class of the object it names, where the row says so."""

    dn: str
    class_name: Optional[str]


@dataclass(frozen=True)
class KeyPage(Record):
    """Some DNs of a snapshot, ascending: iterate over it, or look at ``keys``."""

    keys: Tuple[Key, ...]
    #: How many match in all.
    total_matches: int
    #: Whether there are more than are given.
    truncated: bool

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KeyPage:
        """Makes the page of its JSON form."""
        keys = tuple(Key(entry["dn"], entry.get("className")) for entry in document["dns"])
        return cls(document, keys, document["total_matches"], document["truncated"])


@dataclass(frozen=True)
class Doomed:
    """A snapshot that goes, and why."""

    snapshot_id: uuid.UUID
    query: str
    captured_at: datetime
    retention_policy: str
    expires_at: datetime
    #: ``policy`` or ``count``.
    doomed_by: str
    #: Why, in words.
    reason: str


@dataclass(frozen=True)
class Protected:
    """A snapshot that would go and stays."""

    snapshot_id: uuid.UUID
    query: str
    captured_at: datetime
    #: ``pin``, ``newest_of_series`` or ``forever``.
    protected_by: str


@dataclass(frozen=True)
class RetentionPlan(Record):
    """What a clean-up would do. Nothing is done until it is applied."""

    #: How many snapshots go, by policy; all five policies are there.
    will_delete: Mapping[str, int]
    #: How many of them go before their time is over, because their series has enough newer ones.
    over_count: int
    #: Size of their rows as JSON, in bytes.
    total_bytes_reclaimed: int
    #: What the store will really have less, in bytes of content.
    stored_bytes_reclaimed: int
    #: The snapshots that go, oldest first.
    doomed: Tuple[Doomed, ...]
    #: The snapshots that would go if nothing protected them.
    protected: Tuple[Protected, ...]
    #: What the plan is to whoever made it.
    handle: Any = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return sum(self.will_delete.values())

    def __bool__(self) -> bool:
        return True

    @classmethod
    def from_document(cls, document: Mapping[str, Any], handle: Any = None) -> RetentionPlan:
        """Makes the plan of its JSON form."""
        doomed = tuple(
            Doomed(
                uuid.UUID(str(one["snapshot_id"])),
                one.get("query", ""),
                _aware(one["captured_at"]),
                one["retention_policy"],
                _aware(one["expires_at"]),
                one.get("doomed_by", "policy"),
                one.get("reason", ""),
            )
            for one in document.get("doomed", ())
        )
        protected = tuple(
            Protected(
                uuid.UUID(str(one["snapshot_id"])), one.get("query", ""), _aware(one["captured_at"]), one["protected_by"]
            )
            for one in document.get("protected", ())
        )
        return cls(
            document,
            document.get("will_delete", {}),
            document.get("over_count", 0),
            document.get("total_bytes_reclaimed", 0),
            document.get("stored_bytes_reclaimed", 0),
            doomed,
            protected,
            handle,
        )

    def __getstate__(self) -> Dict[str, Any]:
        # A plan that was put away is read again, not applied: the store has moved on.
        return {**self.__dict__, "handle": None}


@dataclass(frozen=True)
class RetentionOutcome(Record):
    """What a clean-up did."""

    #: How many snapshots went, by policy.
    will_delete: Mapping[str, int]
    #: How many of them went because their series has enough newer ones.
    over_count: int
    total_bytes_reclaimed: int
    stored_bytes_reclaimed: int
    #: The snapshots that went.
    deleted: Tuple[uuid.UUID, ...]
    #: How many chunks went with them.
    chunks_deleted: int

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RetentionOutcome:
        """Makes the outcome of its JSON form."""
        return cls(
            document,
            document.get("will_delete", {}),
            document.get("over_count", 0),
            document.get("total_bytes_reclaimed", 0),
            document.get("stored_bytes_reclaimed", 0),
            tuple(uuid.UUID(str(one)) for one in document.get("deleted", ())),
            document.get("chunks_deleted", 0),
        )


@dataclass(frozen=True)
class Damage:
    """Something that is wrong with a store."""

    #: The snapshots that it hurts, oldest first; none when it concerns the store as a whole.
    snapshots: Tuple[uuid.UUID, ...]
    #: The chunk, when it is one.
    chunk: Optional[str]
    problem: str


@dataclass(frozen=True)
class Verification(Record):
    """What a store was found to be."""

    snapshots: int
    chunks: int
    rows: int
    #: Chunks that no snapshot needs. They take space and hurt nothing; the next clean-up takes them.
    unreferenced_chunks: int
    damage: Tuple[Damage, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Verification:
        """Makes the result of its JSON form."""
        damage = tuple(
            Damage(tuple(uuid.UUID(one) for one in entry["snapshots"]), entry.get("chunk"), entry["problem"])
            for entry in document["damage"]
        )
        names = ("snapshots", "chunks", "rows", "unreferenced_chunks")
        return cls(document=document, **{name: document[name] for name in names}, damage=damage)


@dataclass(frozen=True)
class Stats(Record):
    """Figures of a store; sizes are in bytes."""

    queries: int
    snapshots: int
    #: Rows in all snapshots together.
    rows: int
    #: Size of all those rows as JSON.
    logical_bytes: int
    #: What their content takes in the store.
    stored_bytes: int
    #: What the store takes on disk, records and indexes included.
    disk_bytes: int
    #: Logical bytes for each stored one.
    ratio: float
    chunks: int
    #: How many chunks have how many others before them that must be read first.
    delta_chains: Mapping[int, int]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Stats:
        """Makes the figures of their JSON form."""
        names = ("queries", "snapshots", "rows", "logical_bytes", "stored_bytes", "disk_bytes", "ratio", "chunks")
        chains = {int(length): count for length, count in document.get("delta_chains", {}).items()}
        return cls(document=document, **{name: document.get(name, 0) for name in names}, delta_chains=chains)


@dataclass(frozen=True)
class Connection(Record):
    """A saved connection to a controller, without its secret."""

    name: str
    url: str
    username: str
    domain: Optional[str]
    certificate: Optional[str]
    #: ``system``, ``own authority`` or ``off``.
    verification: str

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Connection:
        """Makes the connection of its JSON form."""
        return cls(
            document,
            document["name"],
            document["url"],
            document.get("username", ""),
            document.get("domain"),
            document.get("certificate"),
            document.get("verification", "system"),
        )


@dataclass(frozen=True)
class Controller(Record):
    """What a controller says of itself when somebody logs in; parts that it did not say are empty."""

    version: str
    node: str
    user: str

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Controller:
        """Makes the controller of its JSON form."""
        return cls(document, document.get("version", ""), document.get("node", ""), document.get("user", ""))


@dataclass(frozen=True)
class Progress:
    """How far a source has come. Bytes are as they lie in the file or on the wire; totals are ``None`` when unknown."""

    read_bytes: int
    total_bytes: Optional[int]
    rows: int
    total_rows: Optional[int]
    pages: int
    total_pages: Optional[int]
