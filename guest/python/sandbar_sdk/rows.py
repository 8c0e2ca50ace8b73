"""Rows on their way to the host: held by it, or as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Union

Json = Union[None, bool, int, float, str, list["Json"], dict[str, "Json"]]
Layout = Literal["array", "lines", "object"]


class HeldRows(Protocol):
    """Rows that the host has read and holds. They never enter the component."""

    def count(self) -> int:
        """The number of rows."""
        ...


#: The rows of one batch: held by the host, JSON text (an array or lines), or objects.
Rows = Union[HeldRows, bytes, str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Selection:
    """Which rows of a JSON text, and what their columns are.

    By default all rows of an array at the top, and each column of the schema is the member of its name. Once a column is
    given, those that are not are null. Places are JSON Pointers (RFC 6901).
    """

    path: str = ""
    layout: Layout = "array"
    skip: int = 0
    max_rows: int | None = None
    columns: tuple[tuple[str, str, str], ...] = field(default=())

    def value(self, column: str, pointer: str) -> Selection:
        """Takes a column from the value at this place of a row."""
        return self._with(column, "value", pointer)

    def json_text(self, column: str, pointer: str) -> Selection:
        """Fills a column of text with the JSON text of whatever value is at this place of a row."""
        return self._with(column, "json-text", pointer)

    def constant(self, column: str, value: Json) -> Selection:
        """Fills a column with one value."""
        return self._with(column, "constant", json.dumps(value))

    def _with(self, column: str, kind: str, source: str) -> Selection:
        return replace(self, columns=(*self.columns, (column, kind, source)))
