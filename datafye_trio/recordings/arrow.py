"""pyarrow, imported where it is first needed: it is an extra, and takes a good part of a second and 60 MB to load."""

from __future__ import annotations

from typing import Any

from datafye_trio.errors import ConfigurationError

__all__ = ["load_arrow"]


def load_arrow() -> Any:
    """The module `pyarrow`, with `pyarrow.parquet` and `pyarrow.compute` loaded. It ships no types, hence Any.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
        import pyarrow.compute  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigurationError(
            f"Parquet recordings need pyarrow ({error}): pip install 'datafye-trio[files]'"
        ) from None
    return pa
