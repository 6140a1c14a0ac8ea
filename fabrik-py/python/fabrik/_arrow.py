"""Tables of other libraries, made ready for the Arrow interface."""

from __future__ import annotations

from typing import Any


def speaks_arrow(rows: object) -> bool:
    """Tells whether rows can be taken without a Python object for each value."""
    return hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__")


def ready(table: Any) -> Any:
    """Gives a table in types that can be handed over.

    polars hands over columns of type ``Null`` in a way that the format does not know. They become texts, all null.
    """
    if type(table).__module__.partition(".")[0] != "polars" or not hasattr(table, "schema"):
        return table
    import polars

    def known(dtype: Any) -> Any:
        if dtype == polars.Null:
            return polars.String
        if isinstance(dtype, polars.List):
            return polars.List(known(dtype.inner))
        if isinstance(dtype, polars.Array):
            return polars.Array(known(dtype.inner), dtype.size)
        if isinstance(dtype, polars.Struct):
            return polars.Struct([polars.Field(field.name, known(field.dtype)) for field in dtype.fields])
        return dtype

    changed = {name: known(dtype) for name, dtype in table.schema.items() if known(dtype) != dtype}
    return table.cast(changed) if changed else table
