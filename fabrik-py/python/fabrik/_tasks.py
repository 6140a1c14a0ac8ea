"""Calls of the engine from asyncio: each runs in a thread, which holds up nothing, and ends when its task is cancelled."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from itertools import islice
from typing import TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, Iterator, TypeVar

from ._fabrik import Cancel

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    _P = ParamSpec("_P")

_S = TypeVar("_S")
_T = TypeVar("_T")

#: How many results are fetched by one hop into a thread.
_AT_ONCE = 512


async def in_thread(call: Callable[[], _T]) -> _T:
    """Calls ``call`` in a thread. A cancelled task calls off what the engine does there, and waits for its end."""
    cancel = Cancel()
    context = contextvars.copy_context()
    running = asyncio.get_running_loop().run_in_executor(None, lambda: context.run(cancel.run, call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancel.cancel()
        await asyncio.wait({running})
        if not running.cancelled():
            # It failed because it was called off, or it was done before; nobody asks any more.
            running.exception()
        raise


def twin(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], Awaitable[_T]]:
    """Makes the asynchronous twin of a method: the same, awaited."""

    async def call(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        # By name, so that the twin of an overridden method is its own.
        return await in_thread(functools.partial(getattr(self, method.__name__), *args, **kwargs))

    # For help(): the parameters are those of the method.
    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    call.__name__ = f"a{method.__name__}"
    call.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.{call.__name__}"
    call.__doc__ = f"Does what :meth:`{method.__name__}` does, for ``await``. Cancelling the task ends the work."
    return call


async def batched(items: Iterator[_T]) -> AsyncIterator[_T]:
    """Goes through an iterator whose steps may take long."""
    while True:
        batch = await in_thread(lambda: list(islice(items, _AT_ONCE)))
        if not batch:
            return
        for item in batch:
            yield item


def frame(module: str, extra: str) -> Any:
    """Imports a package that results can be handed to."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed; `pip install fabrik-py[{extra}]` gets it") from error


def table_of(stream: object) -> Any:
    """Makes a ``pyarrow.Table`` of what hands out an Arrow stream, batch by batch, so that Ctrl-C is heard between them."""
    pyarrow = frame("pyarrow", "arrow")
    reader = pyarrow.RecordBatchReader.from_stream(stream)
    return pyarrow.Table.from_batches(list(reader), reader.schema)
