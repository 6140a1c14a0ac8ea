"""What can go wrong, as exceptions that a caller can tell apart.

Every exception has a ``code``, which is the same in HTTP answers. The engine's native half makes them by
:func:`by_code`; the message has all causes, joined by colons.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Dict, List, Optional, Type

__all__ = [
    "Ambiguous",
    "Cancelled",
    "Damaged",
    "Error",
    "Forbidden",
    "InvalidInput",
    "Locked",
    "NotAStore",
    "NotFound",
    "ServerError",
    "SourceFailed",
    "StorageFailed",
    "StorageFull",
    "Throttled",
    "Unauthorized",
    "Unsupported",
]


class Error(Exception):
    """Whatever Fabrik refuses to do or fails to do."""

    #: The stable name of the situation.
    code: ClassVar[str] = "error"

    #: The name of the request in a server's log, where a server answered.
    request_id: Optional[str] = None
    #: The HTTP status, where a server answered.
    status: Optional[int] = None

    @property
    def message(self) -> str:
        """The sentence that says what is wrong."""
        return str(self)


class InvalidInput(Error, ValueError):
    """Something that was given has a value that is not allowed: correct it and call again.

    ``field``, ``value`` and ``expected`` say which and why where one parameter is at fault; ``row`` is the place of
    the row in the input, counted from 1, where one is.
    """

    code = "invalid_input"
    field: Optional[str] = None
    value: Optional[str] = None
    expected: Optional[str] = None
    row: Optional[int] = None


class SourceFailed(InvalidInput):
    """The source could not deliver its rows; nothing was stored."""

    code = "source_failed"


class NotAStore(InvalidInput):
    """The file or database is not a store that this version can use. It was not changed."""

    code = "not_a_store"


class NotFound(Error, LookupError):
    """No query or snapshot answers to this name."""

    code = "not_found"


class Ambiguous(Error, LookupError):
    """Several snapshots or series answer to this name; ``candidates`` has names that would be unambiguous."""

    code = "ambiguous"
    candidates: List[str] = []


class Damaged(Error):
    """Stored bytes are not what was written: run ``verify``, restore from a copy."""

    code = "damaged"


class Locked(Error):
    """Somebody else is writing to the store: wait and call again."""

    code = "locked"


class StorageFailed(Error):
    """The storage or the output failed."""

    code = "storage"


class StorageFull(StorageFailed):
    """No space is left. Nothing was changed."""

    code = "storage_full"


class Unsupported(Error):
    """This store or server cannot do that."""

    code = "unsupported"


class Cancelled(Error):
    """The caller called it off. Nothing was changed."""

    code = "cancelled"


class ServerError(Error):
    """A server could not be reached, or answered something else than a result.

    ``status`` is the HTTP status where there is one, ``fields`` the sentences for each field that was refused.
    """

    code = "server_error"
    fields: Dict[str, List[str]] = {}


class Unauthorized(ServerError):
    """The server does not know the token, or the name and password."""

    code = "unauthorized"


class Forbidden(ServerError):
    """The server knows the caller, who may not do this."""

    code = "forbidden"


class Throttled(ServerError):
    """The server wants to be left alone for a while, for ``retry_after`` where it says so."""

    code = "throttled"
    retry_after: Optional[timedelta] = None


def _tree(root: Type[Error]) -> Dict[str, Type[Error]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


_BY_CODE = _tree(Error)


def by_code(code: str, message: str, **details: Any) -> Error:
    """Makes the exception of a code; details become its attributes. An unknown code gives a plain :class:`Error`."""
    error = _BY_CODE.get(code, Error)(message)
    for name, value in details.items():
        setattr(error, name, value)
    return error
