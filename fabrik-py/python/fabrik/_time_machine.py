"""The surface: what can be asked of a time machine, be it a store on this machine or a server."""

from __future__ import annotations

import abc
import os
import uuid
from types import TracebackType
from typing import (
    Any,
    BinaryIO,
    Callable,
    Iterable,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Type,
    TypeVar,
    Union,
)

from ._diff import Diff, Rows
from ._evolution import Heatmap, Timeline
from ._fabrik import NoiseTable, SeverityModel
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
    refuse,
)
from ._sources import Apic, Question, Recorded
from ._tasks import twin

__all__ = ["Input", "Reference", "Table", "TimeMachine"]

_T = TypeVar("_T", bound="TimeMachine")


class ArrowStream(Protocol):
    """Anything that hands out Arrow data: a DataFrame of pandas or polars, a table of pyarrow."""

    def __arrow_c_stream__(self, requested_schema: Optional[object] = None) -> object: ...


#: How a snapshot is named: itself, its id, the first digits of it, or a text such as ``bd-health@latest~1``,
#: ``bd-health@-7d`` or ``bd-health@2026-03-01T00:00:00Z``.
Reference = Union[Snapshot, uuid.UUID, str]

#: What can be captured.
Input = Union[
    Question,
    Recorded,
    Rows,
    ArrowStream,
    bytes,
    bytearray,
    memoryview,
    "os.PathLike[str]",
    BinaryIO,
    Iterable[Mapping[str, Any]],
]

#: A table of rules: ``None`` for none, ``True`` for Fabrik's own, or a path, a TOML text or a table whose rules go
#: before Fabrik's.
Table = Union[None, bool, str, "os.PathLike[str]"]


def reference_text(reference: Reference) -> str:
    """Writes a reference for the engine."""
    if isinstance(reference, Snapshot):
        return str(reference.id)
    if isinstance(reference, (str, uuid.UUID)):
        return str(reference)
    raise refuse("snapshot", reference, "a Snapshot, a UUID, or a text such as QUERY@latest")


class TimeMachine(abc.ABC):
    """Snapshots of queries, and what changed between them.

    ``fabrik.open`` gives one on a store of this machine, ``fabrik.connect`` one on a server: a script moves from one to
    the other by that line. Every method has a twin for ``await`` with an ``a`` before its name. As a context manager it
    closes itself.

    Methods raise exceptions below :class:`fabrik.Error`: :class:`~fabrik.InvalidInput` for a value that is not allowed,
    :class:`~fabrik.NotFound` and :class:`~fabrik.Ambiguous` for names, :class:`~fabrik.Damaged`,
    :class:`~fabrik.Locked` and :class:`~fabrik.StorageFailed` for the store. Ctrl-C ends a long call; what it has not
    finished has left no trace.
    """

    # -- snapshots

    @abc.abstractmethod
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
        """Stores rows as a new snapshot: all of them, or nothing.

        :param query: the name of what the rows answer; snapshots of one name follow one another.
        :param rows: a question (``apic.cls("fvBD")``), a recorded file (:class:`fabrik.Recorded`, a ``pathlib.Path``,
            ``bytes`` or an open binary file), a DataFrame of pandas or polars, anything else that hands out Arrow data,
            or any iterable of dicts. Values may be ``str``, ``bool``, ``int``, ``float``, ``Decimal``, ``None``, lists
            and dicts of these, and scalars of NumPy. Without rows the query asks what it asked before, of a saved
            connection.
        :param connection: the fabric, where several are kept apart; without rows, the saved connection to ask.
        :param annotation: why it was captured, at most 10 000 characters.
        :param label: a short tag such as ``baseline``, at most 100 characters.
        :param retention_policy: how long to keep it: ``7d``, ``30d``, ``90d``, ``1y`` or ``forever``, or such a
            ``timedelta``.
        :param pinned: whether to keep it whatever its policy says.
        :param captured_by: who captures; the user who is logged in, unless told.
        :param captured_at: when the rows were read: an aware ``datetime`` or a text with a zone; now, unless told. May
            lie in the past, so that history can be imported.
        :param key: what identifies a row: ``auto`` (its DN, else all of it), ``dn``, ``hash``, or names of columns.
        :param format: the format of a file or of bytes, where it should not be recognised.
        :param replace_query: let the query ask something else from now on.
        :param progress: is called some times a second with how far the source has come. What it raises ends the
            capture.

        A generator, a file object and ``progress`` run on the calling thread; by ``acapture``, on one of the loop's
        executor.

        :raises SourceFailed: when a file or a controller does not deliver; nothing was stored.
        """

    @abc.abstractmethod
    def queries(self) -> List[Query]:
        """Lists the queries that have snapshots, that with the newest first."""

    @abc.abstractmethod
    def snapshots(
        self,
        query: Optional[str] = None,
        *,
        connection: Optional[str] = None,
        since: Optional[Edge] = None,
        until: Optional[Edge] = None,
        limit: Optional[int] = None,
    ) -> Snapshots:
        """Lists snapshots, newest first, of one query or of all.

        :param since: captured at or after this moment, or from this day on (UTC).
        :param until: captured up to this moment, itself included, or to the end of this day.
        :param limit: at most this many.
        """

    @abc.abstractmethod
    def snapshot(self, reference: Reference) -> Snapshot:
        """Finds the snapshot that a reference names.

        :raises NotFound: when there is none.
        :raises Ambiguous: when there are several.
        """

    @abc.abstractmethod
    def rows(self, reference: Reference) -> Rows:
        """Gives the rows of a snapshot, in key order, as they are read."""

    @abc.abstractmethod
    def annotate(
        self, reference: Reference, annotation: Optional[str] = None, *, label: Optional[str] = None
    ) -> Snapshot:
        """Changes the annotation or label of a snapshot: ``None`` leaves a text as it is, an empty one clears it."""

    @abc.abstractmethod
    def pin(self, reference: Reference) -> Snapshot:
        """Keeps a snapshot whatever its policy says."""

    @abc.abstractmethod
    def unpin(self, reference: Reference) -> Snapshot:
        """Leaves a snapshot to its policy again."""

    # -- what changed

    @abc.abstractmethod
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
        """Compares two snapshots, which may be of different queries.

        Nothing is compared before the result is looked at; what is given is checked at once.

        :param key: what rows are paired by: ``auto``, ``dn``, ``hash``, or names of columns; as they are stored, unless
            told.
        :param ignore: what to hide: ``modTs``, ``fvBD.descr``, or a DN such as ``uni/tn-test/*``.
        :param noise: passes over what changes by itself: ``True`` by Fabrik's table, or a path, a TOML text or a
            :class:`fabrik.NoiseTable`.
        :param severity: says how much each change matters, and why: likewise, or a :class:`fabrik.SeverityModel`.
        :param min_severity: gives only changes at least so severe: ``critical``, ``high``, ``medium``, ``low`` or
            ``info``. The others are counted.
        """

    @abc.abstractmethod
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
        """Follows one object through the newest snapshots of a query, at most 100 of them."""

    @abc.abstractmethod
    def heatmap(
        self,
        query: Optional[str] = None,
        window: Span = "30d",
        *,
        timezone: str = "UTC",
        connection: Optional[str] = None,
        now: Optional[Moment] = None,
    ) -> Heatmap:
        """Shows how much changed on each day, of one query or of all.

        :param window: how many days up to today: ``30d``, ``4w``, ``1y`` or a ``timedelta``, at most 366 days.
        :param timezone: whose days these are: an IANA name such as ``Europe/Berlin``.
        :param now: what counts as now; the clock, unless told.
        """

    @abc.abstractmethod
    def keys(self, reference: Reference, part: str = "", *, limit: int = 50) -> KeyPage:
        """Finds the DNs of a snapshot that contain ``part``, whatever the case of their letters: at most 200."""

    # -- keeping house

    @abc.abstractmethod
    def plan_retention(
        self,
        *,
        query: Optional[str] = None,
        protect_newest: bool = False,
        max_per_series: Optional[int] = None,
        now: Optional[Moment] = None,
    ) -> RetentionPlan:
        """Finds the snapshots that no policy keeps any more, or of which there are too many. Changes nothing.

        :param protect_newest: keeps the newest of every query and connection, expired or not.
        :param max_per_series: how many snapshots of a query and connection stay, after the policies: the newest. Pinned
            ones and those that are kept for ever stay in any case.
        :param now: the moment to judge by; the clock, unless told.
        """

    @abc.abstractmethod
    def apply_retention(self, plan: RetentionPlan) -> RetentionOutcome:
        """Deletes the snapshots of a plan and what only they needed. One that was pinned meanwhile stays."""

    @abc.abstractmethod
    def verify(self) -> Verification:
        """Checks everything that is stored. Damage is a result, not an error."""

    @abc.abstractmethod
    def stats(self) -> Stats:
        """Measures what is stored and what that takes."""

    # -- connections

    @abc.abstractmethod
    def connections(self) -> List[Connection]:
        """Lists the saved connections by name, without their secrets."""

    @abc.abstractmethod
    def connection(self, name: Optional[str] = None) -> Apic:
        """Opens a saved connection; without a name, the only one.

        The secret is opened by the key in ``FABRIK_SECRET_KEY``, or in the file that ``FABRIK_SECRET_KEY_FILE`` names,
        or in ``~/.config/fabrik/secret.key``.
        """

    @abc.abstractmethod
    def save_connection(self, name: str, apic: Apic, *, replace: bool = False) -> Connection:
        """Saves a connection, its secret sealed by the key of :meth:`connection`, which is made where there is none.

        :raises InvalidInput: when the name is taken and ``replace`` does not say to replace it.
        """

    @abc.abstractmethod
    def remove_connection(self, name: str) -> None:
        """Forgets a connection and its secret; snapshots stay."""

    # -- the object itself

    @abc.abstractmethod
    def close(self) -> None:
        """Lets go of the store or server; again changes nothing."""

    def __enter__(self: _T) -> _T:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    async def __aenter__(self: _T) -> _T:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    acapture = twin(capture)
    aqueries = twin(queries)
    asnapshots = twin(snapshots)
    asnapshot = twin(snapshot)
    arows = twin(rows)
    aannotate = twin(annotate)
    apin = twin(pin)
    aunpin = twin(unpin)
    acompare = twin(compare)
    atimeline = twin(timeline)
    aheatmap = twin(heatmap)
    akeys = twin(keys)
    aplan_retention = twin(plan_retention)
    aapply_retention = twin(apply_retention)
    averify = twin(verify)
    astats = twin(stats)
    aconnections = twin(connections)
    aconnection = twin(connection)
    asave_connection = twin(save_connection)
    aremove_connection = twin(remove_connection)
