"""Sources that are read by cursors: each page of the remote names the next one."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator

from .errors import Malformed, OffsetLost
from .http import Response
from .rows import Rows, Selection
from .source import ReadLimit

#: The offset of the first page. ``cursor`` is that of a page, ``taken`` counts its rows that lie before the position: the last page
#: has no cursor to a next one, but may grow, so the position stays on it.
FIRST: dict[str, Any] = {"cursor": None, "taken": 0}


def read_pages(
    start: Any,
    limit: ReadLimit,
    fetch: Callable[[str | None], Response],
    *,
    rows: Selection = Selection(),
    next_cursor: str,
) -> Iterator[tuple[Rows, Any]]:
    """Reads pages from ``start`` on, within the limit, which may end in the middle of a page.

    ``rows`` selects the rows of a page, ``next_cursor`` is the JSON Pointer to the cursor of the next page, which is absent, null
    or empty on the last one, and ``fetch`` asks for the page of a cursor. It raises ``OffsetLost`` where the remote no longer
    knows the cursor.
    """
    cursor, taken = start["cursor"], start["taken"]
    left = limit.max_rows
    seen: set[str | None] = set()
    while left is None or left > 0:
        page = fetch(cursor)
        if cursor in seen:
            raise Malformed(f"{page.request} is a page that came before it: the cursors go round in a circle")
        seen.add(cursor)
        count = page.count(rows.path)
        if count is None:
            raise Malformed(f"{page.request} gave nothing at {rows.path}, where its rows are to be")
        if count < taken:
            raise OffsetLost(f"{page.request} gave {count} rows, and {taken} of them were read before")
        following = _cursor(page, next_cursor)
        wanted = count - taken if left is None else min(count - taken, left)
        if left is not None:
            left -= wanted
        before, taken = taken, taken + wanted
        is_whole = taken == count
        done = not is_whole or following is None
        held = page.rows(_part(rows, before, wanted)) if wanted > 0 else None
        if not done:
            cursor, taken = following, 0
        if held is not None:
            yield held, {"cursor": cursor, "taken": taken}
        if done:
            return


def _cursor(page: Response, pointer: str) -> str | None:
    """Text, or a number as it is written: it may have more digits than any type keeps."""
    text = page.value_text(pointer)
    if text is None or text == "null":
        return None
    if text.startswith('"'):
        return json.loads(text) or None
    if text[0] not in "-0123456789":
        raise Malformed(f"{page.request} gave a cursor that is neither text nor a number")
    return text


def _part(rows: Selection, skip: int, wanted: int) -> Selection:
    return Selection(rows.path, rows.layout, skip, wanted, rows.columns)
