"""Write a Sandbar source in Python.

A source is one class: a ``RangeSource``, where the end of a range is known before it is read, or a ``SequentialSource``, where
it is not. ``sandbar-sdk build module:Class -o name.wasm`` makes a component of it. Log with ``logging``; messages go to the
host's log.
"""

from . import progress_note
from .errors import (
    Internal,
    InvalidOptions,
    Malformed,
    OffsetLost,
    SourceError,
    Unauthorized,
    Unavailable,
)
from .http import Client, Pending, Request, Response
from .rows import HeldRows, Json, Rows, Selection
from .source import Offset, Partition, RangeSource, ReadLimit, SequentialSource, Source, Stream

__all__ = [
    "Client",
    "HeldRows",
    "Internal",
    "InvalidOptions",
    "Json",
    "Malformed",
    "Offset",
    "OffsetLost",
    "Partition",
    "Pending",
    "RangeSource",
    "ReadLimit",
    "Request",
    "Response",
    "Rows",
    "Selection",
    "SequentialSource",
    "Source",
    "SourceError",
    "Stream",
    "Unauthorized",
    "Unavailable",
    "progress_note",
]
