"""What ``fabrik`` is built on; private to the package."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, final

_T = TypeVar("_T")

__all__ = [
    "Cancel",
    "ChangeBatches",
    "ChangedRows",
    "Client",
    "DiffOptions",
    "Input",
    "NoiseTable",
    "Plan",
    "RowBatches",
    "SeverityModel",
    "Simulator",
    "Store",
    "__version__",
    "annotate",
    "apply_plan",
    "capture",
    "change_batches",
    "changes_stream",
    "connections",
    "error_codes",
    "heatmap",
    "keys",
    "loads",
    "number",
    "plan_retention",
    "queries",
    "question",
    "remove_connection",
    "row_batches",
    "rows_stream",
    "save_connection",
    "saved_client",
    "snapshot",
    "snapshots",
    "stats",
    "summarize",
    "timeline",
    "verify",
    "write_changes",
    "write_parquet",
    "write_rows",
]

__version__: str

@final
class Cancel:
    """Calls off what is called through it, from another thread."""

    def __new__(cls) -> Cancel: ...
    def cancel(self) -> None:
        """Calls the work off; again changes nothing."""

    def run(self, call: Callable[[], _T]) -> _T:
        """Calls `call` so that `cancel` ends what it does in the engine."""

@final
class Store:
    """An open store."""

    @staticmethod
    def open(address: str | os.PathLike[str], *, is_path: bool = False, create: bool = True) -> Store:
        """Opens a store; `path` takes the text for the path of a file whatever it looks like."""

    @property
    def address(self) -> str:
        """Where the store is, without a password."""

    @property
    def path(self) -> os.PathLike[str] | None:
        """The path of the file, where it is one."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    def close(self) -> None:
        """Lets go of the store. Iterators that are under way keep it until they end."""

@final
class Client:
    """Who is asked, and as whom. Holds a secret, which nothing shows."""

    def __new__(cls, reached: Mapping[str, Any]) -> Client: ...
    @property
    def url(self) -> str:
        """The address of the controller."""

    @property
    def name(self) -> str | None:
        """The name it is saved under."""

    @property
    def facts(self) -> str:
        """What may be shown of the connection, as a document."""

    def check(self) -> str:
        """Logs in and says who answers, as a document."""

    def keep_session(self, keep: bool) -> None:
        """Whether the session is kept between questions."""

    def logout(self) -> None:
        """Ends the session, if there is one."""

    def login(self) -> dict[str, str | None]:
        """Everything that it takes to log in, the secret included."""

@final
class Simulator:
    """A running simulated controller."""

    def __new__(cls, *, seed: int, objects: int, start: str | None = None, tls: bool = True) -> Simulator: ...
    @property
    def url(self) -> str:
        """Where clients reach it."""

    @property
    def certificate(self) -> str | None:
        """Its certificate in PEM form."""

    def __len__(self) -> int: ...
    def advance(self, by: timedelta, changed: int, added: int, removed: int, touched: int) -> int:
        """Lets time pass, in which so many objects change, come, go or are written again; returns how many did."""

    def post(self, dn: str | None, json: str) -> None:
        """Posts a JSON tree to an object, or to the root of all."""

    def delete(self, dn: str) -> None:
        """Deletes an object and everything below it."""

    def answer(self, target: str) -> bytes:
        """Answers a query, with no limit to its size."""

    def close(self) -> None:
        """Stops it; again changes nothing."""

@final
class Input:
    """What a capture takes its rows from, once."""

    @staticmethod
    def rows(iterator: Iterator[Any]) -> Input:
        """Takes an iterator of mappings."""

    @staticmethod
    def recorded(
        place: Any, *, format: str | None = None, coverage: str | None = None, name: str | None = None
    ) -> Input:
        """Takes a path, bytes, or an object with `read` whose name in errors is `name`."""

    @staticmethod
    def live(client: Client, path: str | None, *, replace: bool = False, page_size: int | None = None) -> Input:
        """Asks a controller: the text of a query, or `None` for what the query of that name asked before."""

    @staticmethod
    def arrow(table: object) -> Input:
        """Takes an object that hands out Arrow data."""

@final
class DiffOptions:
    """How to compare, read and found valid."""

    def __new__(
        cls,
        *,
        key: str | Sequence[str] | None = None,
        ignore: Sequence[str] | None = None,
        noise: NoiseTable | None = None,
        severity: SeverityModel | None = None,
        min_severity: str | None = None,
    ) -> DiffOptions: ...

@final
class ChangedRows:
    """The rows of a change as they were and are, made into dicts when somebody looks."""

    def before(self) -> dict[str, Any] | None:
        """The row as it was; `None` for an added one."""

    def after(self) -> dict[str, Any] | None:
        """The row as it is; `None` for a removed one."""

    def dn(self) -> str | None:
        """The DN, as the row has it."""

    def class_name(self) -> str | None:
        """The class, as the row has it."""

    def key(self) -> dict[str, Any]:
        """The columns that the row was paired by, with their values."""

@final
class ChangeBatches:
    """The changes in key order, a batch at a time."""

    def __iter__(self) -> ChangeBatches: ...
    def __next__(self) -> list[dict[str, Any]]: ...
    def pairs(self) -> list[tuple[dict[str, Any], ChangedRows]] | None:
        """The next changes as pairs of such a dict and the rows; `None` at the end."""

@final
class RowBatches:
    """The rows of a snapshot in key order, a batch at a time."""

    def __iter__(self) -> RowBatches: ...
    def __next__(self) -> list[dict[str, Any]]: ...

@final
class Plan:
    """What a clean-up would do."""

    @property
    def document(self) -> str:
        """The plan as a document."""

@final
class NoiseTable:
    """What changes by itself: a table of attributes, and of whole classes, whose changes nobody made."""

    @staticmethod
    def standard() -> NoiseTable:
        """The rules that come with Fabrik."""

    @staticmethod
    def parse(text: str, name: str = "the noise table") -> NoiseTable:
        """Reads a table that stands alone, TOML with a [[rule]] for each rule. Errors call it by its name."""

    def overridden_by(self, text: str, name: str = "the noise table") -> NoiseTable:
        """Returns a table with the rules of a text before these."""

    def to_toml(self) -> str:
        """The rules as one table, which read alone gives the same."""

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules as dicts, in the order in which they are asked."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class SeverityModel:
    """How much a change matters: a table of rules that gives each change a severity and says why."""

    @staticmethod
    def standard() -> SeverityModel:
        """The rules that come with Fabrik."""

    @staticmethod
    def parse(text: str, name: str = "the severity table") -> SeverityModel:
        """Reads a table that stands alone, TOML with a [[rule]] for each rule. Errors call it by its name."""

    def overridden_by(self, text: str, name: str = "the severity table") -> SeverityModel:
        """Returns a table with the rules of a text before these."""

    def to_toml(self) -> str:
        """The rules as one table, which read alone gives the same."""

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules as dicts, in the order in which they are asked."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def annotate(store: Store, reference: str, noted: Mapping[str, Any]) -> str:
    """Changes the annotation, label or pin of a snapshot."""

def apply_plan(store: Store, plan: Plan) -> str:
    """Deletes the snapshots of a plan, and what only they needed."""

def capture(
    store: Store, input: Input, told: Mapping[str, Any], progress: Callable[..., object] | None = None
) -> str:
    """Stores all rows of an input as a new snapshot. `progress` is called now and then with the figures of the source."""

def change_batches(store: Store, compared: Mapping[str, Any]) -> ChangeBatches:
    """Starts to compare."""

def changes_stream(store: Store, compared: Mapping[str, Any], requested_schema: object | None = None) -> object:
    """The changes as a capsule with an Arrow stream."""

def connections(store: Store) -> str:
    """Lists the saved connections by name, without their secrets."""

def error_codes() -> list[str]:
    """Lists the codes of the kinds that the engine tells apart."""

def heatmap(store: Store, counted: Mapping[str, Any]) -> str:
    """Shows how much changed on each day, of one query or of all."""

def keys(store: Store, reference: str, part: str, limit: int) -> str:
    """Finds DNs of a snapshot by a part of them."""

def loads(text: str) -> Any:
    """Makes a Python object of the text of a JSON document, numbers as in rows."""

def number(text: str) -> Any:
    """Makes a number of its digits, so that they can be told from it again."""

def plan_retention(
    store: Store,
    *,
    query: str | None = None,
    protect_newest: bool = False,
    max_per_series: int | None = None,
    now_is: str | None = None,
) -> Plan:
    """Finds the snapshots that have expired or are too many."""

def queries(store: Store) -> str:
    """Lists the queries that have snapshots."""

def question(asked: Mapping[str, Any]) -> str:
    """Checks a question and returns its text, a path with its options."""

def remove_connection(store: Store, name: str) -> None:
    """Forgets a connection and its secret; snapshots stay."""

def row_batches(store: Store, reference: str) -> RowBatches:
    """Starts to read the rows of a snapshot."""

def rows_stream(store: Store, reference: str, requested_schema: object | None = None) -> object:
    """The rows of a snapshot as a capsule with an Arrow stream."""

def save_connection(store: Store, name: str, client: Client, *, replace: bool = False) -> str:
    """Saves a connection under a name, its secret sealed by a key that is made where there is none."""

def saved_client(store: Store, name: str | None = None) -> Client:
    """Opens a saved connection; without a name, the only one."""

def snapshot(store: Store, reference: str) -> str:
    """Finds the snapshot that a reference names."""

def snapshots(store: Store, listed: Mapping[str, Any]) -> str:
    """Lists snapshots, newest first."""

def stats(store: Store) -> str:
    """Measures the store."""

def summarize(store: Store, compared: Mapping[str, Any]) -> str:
    """Compares, and returns the document of the comparison without its changes."""

def timeline(store: Store, followed: Mapping[str, Any]) -> str:
    """Follows one object."""

def verify(store: Store) -> str:
    """Checks everything in the store."""

def write_changes(store: Store, compared: Mapping[str, Any], path: str | None = None) -> str | None:
    """Writes the document of the comparison: to a file, or into the text that is returned."""

def write_parquet(store: Store, reference: str, path: str) -> None:
    """Writes the rows of a snapshot to a Parquet file."""

def write_rows(store: Store, reference: str, path: str | None = None) -> str | None:
    """Writes the rows of a snapshot as a JSON array: to a file, or into the text that is returned."""
