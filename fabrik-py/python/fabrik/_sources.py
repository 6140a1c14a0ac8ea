"""Where rows come from beside Python itself: controllers, recorded files, and the simulated controller."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Dict, NoReturn, Optional, Tuple, Type, Union

from . import _fabrik
from ._diff import Path
from ._records import Controller, Moment, moment_text, refuse
from ._tasks import in_thread

__all__ = ["Apic", "InsecureConnectionWarning", "Question", "Recorded", "Simulator"]


class InsecureConnectionWarning(UserWarning):
    """A secret may get to whoever answers."""


@dataclass(frozen=True)
class Question:
    """Something to ask a controller: what :meth:`Apic.cls` and its like return, for ``capture``."""

    #: The controller: an :class:`Apic`, a :class:`Simulator`, or a connection that a server has.
    origin: _Asks
    #: The whole question as a path with its options: ``/api/class/fvBD.json?…``.
    path: str
    #: The class that is asked for, where it is one.
    class_name: Optional[str] = None
    #: The object that is asked for, where it is one.
    dn: Optional[str] = None
    filter: Optional[str] = None
    attributes: Optional[str] = None
    #: Further options, by the controller's names.
    options: Tuple[Tuple[str, str], ...] = ()
    #: How many objects are asked for at a time; ``None`` leaves it to the engine.
    page_size: Optional[int] = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.origin.url}{self.path}"


class _Asks:
    """What can be asked of a controller."""

    @property
    def url(self) -> str:
        """The address of the controller."""
        raise NotImplementedError

    def _ask(
        self,
        *,
        class_name: Optional[str] = None,
        dn: Optional[str] = None,
        path: Optional[str] = None,
        filter: Optional[str] = None,
        attributes: Optional[str] = None,
        page_size: Optional[int] = None,
        options: Dict[str, Any],
    ) -> Question:
        # In Python a name has underscores where the controller's has dashes.
        named = tuple((name.replace("_", "-"), _option_text(value)) for name, value in options.items())
        text = _fabrik.question(
            {
                "class_name": class_name,
                "dn": dn,
                "path": path,
                "filter": filter,
                "attributes": attributes,
                "options": list(named),
            }
        )
        if page_size is not None and page_size < 1:
            raise refuse("page_size", page_size, "a number from 1 on")
        return Question(self, text, class_name, dn, filter, attributes, named, page_size)

    def cls(
        self,
        name: str,
        filter: Optional[str] = None,
        attributes: Optional[str] = None,
        *,
        node: Optional[str] = None,
        page_size: Optional[int] = None,
        **options: Any,
    ) -> Question:
        """Asks for all objects of a class, or of several joined by commas.

        ``filter`` keeps only some, such as ``eq(fvBD.arpFlood,"yes")``; ``attributes`` is ``config-only`` or
        ``naming-only``; ``node`` asks one switch, by its DN; other options are the controller's own, with underscores
        for dashes: ``rsp_subtree="full"``. Nothing is sent before the capture.

        :raises InvalidInput: when a part cannot be what it is for.
        """
        return self._ask(
            class_name=name, dn=node, filter=filter, attributes=attributes, page_size=page_size, options=options
        )

    def mo(
        self,
        dn: str,
        filter: Optional[str] = None,
        attributes: Optional[str] = None,
        *,
        page_size: Optional[int] = None,
        **options: Any,
    ) -> Question:
        """Asks for the object with a DN; with ``query_target="subtree"`` for everything below it as well."""
        return self._ask(dn=dn, filter=filter, attributes=attributes, page_size=page_size, options=options)

    def query(self, path: str, *, page_size: Optional[int] = None) -> Question:
        """Asks what a path asks, such as ``/api/class/fvBD.json?rsp-subtree=full``."""
        return self._ask(path=path, page_size=page_size, options={})


def _option_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, (list, tuple)) else str(value)


def _pem(name: str, value: Optional[Path]) -> Optional[str]:
    """Reads what is given as PEM text or as the path of a file with it."""
    if value is None or (isinstance(value, str) and "-----BEGIN" in value):
        return None if value is None else str(value)
    try:
        with open(value, encoding="ascii") as file:
            return file.read()
    except UnicodeDecodeError:
        raise refuse(name, os.fspath(value), "a file in PEM form") from None


class Apic(_Asks):
    """A controller, asked only by reading.

    :param url: its address, such as ``https://apic1.example.net``.
    :param username: who logs in; a user who can read is enough.
    :param password: their password; or ``certificate`` and ``key`` in its place.
    :param domain: the login domain, where it is not the controller's default.
    :param certificate: the name of the user's certificate on the controller, to sign requests.
    :param key: its private key, an RSA key in PEM form: the path of a file, or the text.
    :param verify: whether the controller's certificate is checked; or the authorities that may have signed it, in PEM
        form: the path of a file, or the text. ``False`` warns: whoever answers gets the secret.
    :param requests_per_second: how many requests the controller gets at most.
    :param timeout: how long an answer may take, in seconds or as a ``timedelta``.

    Nothing is sent before something is asked. A session ends with each capture; as a context manager, with the block.
    The secret is in no ``repr`` and no error, and the object does not pickle.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: Optional[str] = None,
        *,
        domain: Optional[str] = None,
        certificate: Optional[str] = None,
        key: Optional[Path] = None,
        verify: Union[bool, Path] = True,
        requests_per_second: int = 30,
        timeout: Union[int, float, timedelta] = 100,
    ) -> None:
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._verify = verify if isinstance(verify, bool) else _pem("verify", verify)
        self._client = _fabrik.Client(
            {
                "url": url,
                "username": username,
                "password": password,
                "domain": domain,
                "certificate": certificate,
                "key": _pem("key", key),
                "verify": self._verify,
                "requests_per_second": requests_per_second,
                "timeout_seconds": max(0, round(seconds)),
            }
        )
        self._warn()

    @classmethod
    def _of(cls, client: _fabrik.Client) -> Apic:
        made = cls.__new__(cls)
        made._client = client
        made._verify = True
        made._warn()
        return made

    def _warn(self) -> None:
        if self._facts()["verification"] == "off":
            sentence = f"{self.url}: the certificate is not checked, so that whoever answers gets the secret"
            warnings.warn(sentence, InsecureConnectionWarning, stacklevel=3)
        if self.url.startswith("http:"):
            warnings.warn(f"{self.url}: the secret is sent unencrypted", InsecureConnectionWarning, stacklevel=3)

    def _facts(self) -> Dict[str, Any]:
        return dict(json.loads(self._client.facts))

    def _login(self) -> Dict[str, Any]:
        """Everything that it takes to log in, the secret included: for whoever saves the connection elsewhere."""
        return {**self._client.login(), "verify": self._verify}

    @property
    def url(self) -> str:
        """The address of the controller."""
        return self._client.url

    @property
    def username(self) -> str:
        """Who logs in."""
        return str(self._facts()["username"])

    @property
    def name(self) -> Optional[str]:
        """The name that the connection is saved under, where it is."""
        return self._client.name

    def check(self) -> Controller:
        """Logs in and returns who answers.

        :raises SourceFailed: when the controller cannot be reached or refuses the login.
        """
        return Controller.from_document(json.loads(self._client.check()))

    async def acheck(self) -> Controller:
        """Does what :meth:`check` does, for ``await``."""
        return await in_thread(self.check)

    def close(self) -> None:
        """Ends the session, if there is one. The object may be used again."""
        self._client.logout()

    def __enter__(self) -> Apic:
        self._client.keep_session(True)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._client.keep_session(False)
        self.close()

    def __repr__(self) -> str:
        saved = "" if self.name is None else f" saved as {self.name!r}"
        return f"<Apic {self.url} as {self.username}{saved}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Apic holds a secret and does not pickle; save the connection and pass its name on")


@dataclass(frozen=True)
class Recorded:
    """A recorded file as a source of rows: APIC answers as JSON or XML, what moquery prints, a configuration export,
    NDJSON, a JSON array or CSV; also compressed by gzip or Zstandard, or many of them in a folder, zip or tar archive.

    :param place: a path, or the bytes themselves.
    :param format: ``apic``, ``ndjson``, ``json``, ``csv``, ``xml``, ``moquery``, ``config-export`` or ``archive``, where
        it should not be recognised.
    :param coverage: which attributes the rows have, where they should not be judged by it: ``full``, ``config-only`` or
        ``naming-only``.
    """

    place: Union[str, bytes, os.PathLike[str]]
    format: Optional[str] = None
    coverage: Optional[str] = None

    def __repr__(self) -> str:
        place = f"{len(self.place)} bytes" if isinstance(self.place, bytes) else repr(os.fspath(self.place))
        return f"<Recorded {place}>"

    def _input(self, format: Optional[str] = None) -> _fabrik.Input:
        place = self.place if isinstance(self.place, bytes) else os.fspath(self.place)
        return _fabrik.Input.recorded(place, format=format or self.format, coverage=self.coverage)


class Simulator(_Asks):
    """A simulated controller on this machine, with a fabric of its own: for tests, demonstrations and first steps.

    :param seed: chooses the fabric: the same seed and size give the same objects.
    :param objects: how many objects it has at first, about.
    :param start: the moment its fabric starts at; the clock without one.
    :param tls: whether it speaks https, by a certificate of its own; the questions of this object trust it.

    It listens on a free port of 127.0.0.1 until it is closed, or its ``with`` block ends, and lets ``admin`` in with
    the password ``simulator``.
    """

    def __init__(
        self, seed: int = 7, objects: int = 2000, *, start: Optional[Moment] = None, tls: bool = True
    ) -> None:
        if seed < 0 or objects < 0:
            raise refuse("seed" if seed < 0 else "objects", min(seed, objects), "a number that is not negative")
        self._simulator = _fabrik.Simulator(seed=seed, objects=objects, start=moment_text("start", start), tls=tls)
        self._apic: Optional[Apic] = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._simulator.url

    @property
    def certificate(self) -> Optional[str]:
        """Its certificate in PEM form, for other clients; ``None`` without TLS."""
        return self._simulator.certificate

    @property
    def apic(self) -> Apic:
        """A connection to it, as to any controller."""
        if self._apic is None:
            with warnings.catch_warnings():
                # What goes to this machine only is nobody's danger.
                warnings.simplefilter("ignore", InsecureConnectionWarning)
                self._apic = Apic(
                    self.url, "admin", "simulator", verify=self.certificate or True, requests_per_second=1000
                )
        return self._apic

    def advance(
        self,
        by: timedelta = timedelta(minutes=1),
        *,
        changed: int = 0,
        added: int = 0,
        removed: int = 0,
        touched: int = 0,
    ) -> int:
        """Lets time pass in the fabric, in which so many objects change, appear, vanish, or are written again as they
        are, so that only ``modTs`` changes. Returns how many really did."""
        return self._simulator.advance(by, changed, added, removed, touched)

    def post(self, dn: Optional[str], tree: Union[str, Dict[str, Any]]) -> None:
        """Posts a tree of objects to an object, or to the root of all, as the user ``admin``.

        :raises InvalidInput: where a controller answers an error. The fabric is then as it was.
        """
        self._simulator.post(dn, tree if isinstance(tree, str) else json.dumps(tree))

    def delete(self, dn: str) -> None:
        """Deletes an object and everything below it."""
        self._simulator.delete(dn)

    def answer(self, path: str) -> bytes:
        """Returns what it answers to a path such as ``/api/class/fvBD.json``, with no limit to its size."""
        return self._simulator.answer(path)

    def __len__(self) -> int:
        return len(self._simulator)

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """Stops it; again changes nothing."""
        self._simulator.close()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Simulator at {self.url}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a running Simulator does not pickle")
