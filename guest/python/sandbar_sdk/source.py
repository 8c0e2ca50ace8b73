"""What a source is: a class that says what it is and how it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Iterable, Sequence

from . import progress_note
from .http import Client
from .rows import Json, Rows

Offset = Json
Partition = Json


@dataclass(frozen=True)
class Stream:
    """One table-like thing that a connector can read."""

    #: The name to put into the pipeline file.
    name: str
    #: One sentence for people.
    summary: str = ""
    #: Columns that tell rows apart, empty when unknown.
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadLimit:
    """How much one micro-batch may take. ``None`` means no limit."""

    #: Rows after the start.
    max_rows: int | None = None
    #: Bytes of rows, as a hint. A source that knows sizes takes one row at least, however large.
    max_bytes: int | None = None


class Source(ABC):
    """What both kinds of source have in common.

    The host may call each function in a fresh instance, on any machine. Only what an offset, a partition and the progress note
    carry survives from call to call. Offsets and partitions are JSON values; a number that a ``float`` would round belongs
    into text.
    """

    #: Kebab-case name, for example ``comments``.
    name: ClassVar[str]
    #: SemVer 2.0 version.
    version: ClassVar[str]
    #: One sentence for people.
    summary: ClassVar[str]
    #: The streams, where they are known beforehand. Left out, there is one with the name and the summary of the source.
    streams: ClassVar[Sequence[Stream] | None] = None
    #: JSON Schema 2020-12 of the options.
    options_schema: ClassVar[dict[str, Any]] = {"type": "object", "additionalProperties": False}
    #: The offset before the first row.
    first_offset: ClassVar[Offset] = None

    @abstractmethod
    def __init__(self, stream: str, options: dict[str, Any], client: Client) -> None:
        """Opens a stream. Makes no request. ``InvalidOptions`` names the option."""

    @classmethod
    def discover(cls, options: dict[str, Any], client: Client) -> Sequence[Stream]:
        """The streams that these options give access to. May make requests."""
        return known_streams(cls)

    @abstractmethod
    def check(self) -> None:
        """Finds out by one request or more whether the remote can be reached, with these options and credentials."""

    @abstractmethod
    def schema(self) -> str:
        """The schema of all rows in Spark's DDL, such as ``id bigint not null, user struct<login: string>``."""

    def initial_offset(self) -> Offset:
        """Where a pipeline without a committed batch starts: at the progress note, else at ``first_offset``."""
        note = progress_note.load()
        return self.first_offset if note is None else note

    def commit(self, end: Offset) -> None:
        """Called after the rows up to ``end`` are in the table for good. By default it saves ``end`` as the progress note."""
        progress_note.save(end)


class RangeSource(Source):
    """A source that can tell the end of a range before it reads, as with numbered rows. Its ranges are read in parallel."""

    @abstractmethod
    def latest_offset(self, start: Offset, max_rows: int | None) -> Offset:
        """Where what exists now ends: ``start`` itself when nothing lies after it, never beyond what exists.

        ``max_rows`` is as far as the host will go at most. ``OffsetLost`` when ``start`` is gone.
        """

    @abstractmethod
    def batch_end(self, start: Offset, latest: Offset, limit: ReadLimit) -> Offset:
        """Where a micro-batch ends that begins at ``start``: at ``latest``, or before it where the limit wants it."""

    @abstractmethod
    def partitions(self, start: Offset, end: Offset) -> Sequence[Partition]:
        """Splits (start, end] into parts that cover it once, without overlap."""

    @abstractmethod
    def read(self, partition: Partition) -> Iterable[Rows]:
        """Reads one part. The same rows every time while the remote has not changed."""


class SequentialSource(Source):
    """A source that learns the end of a range only by reading, as with cursor tokens."""

    @abstractmethod
    def read_from(self, start: Offset, limit: ReadLimit) -> Iterable[tuple[Rows, Offset]]:
        """Reads on from ``start``, at most as many rows as the limit says: rows, and the offset after the last of them.

        Reading on from any of these offsets gives the rest, no row twice and none missed. Nothing is given at the end.
        """


def known_streams(source: type[Source]) -> Sequence[Stream]:
    """The streams that a source has whatever its options are."""
    if source.streams is None:
        return [Stream(source.name, source.summary)]
    return source.streams
