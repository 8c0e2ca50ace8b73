"""A feed that is read by cursors: ``GET {url}?size=100&cursor=...`` gives ``{"items": [...], "next": "..."}``."""

from __future__ import annotations

from typing import Any, Iterator
from urllib.parse import urlencode

from sandbar_sdk import Client, OffsetLost, ReadLimit, Request, Response, Rows, Selection, SequentialSource
from sandbar_sdk.cursor import FIRST, read_pages


class Feed(SequentialSource):
    name = "feed"
    version = "0.1.0"
    summary = "A feed that is read by cursors: id, name, email, body"
    first_offset = FIRST
    options_schema = {
        "type": "object",
        "required": ["url"],
        "additionalProperties": False,
        "properties": {
            "url": {"type": "string", "format": "uri", "pattern": "^https?://", "description": "The URL of the feed."},
            "page_size": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        },
    }

    def __init__(self, stream: str, options: dict[str, Any], client: Client) -> None:
        self.url = options["url"]
        self.page_size = options.get("page_size", 100)
        self.client = client

    def check(self) -> None:
        self._page(None, 1)

    def schema(self) -> str:
        return "id int, name string, email string, body string"

    def read_from(self, start: Any, limit: ReadLimit) -> Iterator[tuple[Rows, Any]]:
        def fetch(cursor: str | None) -> Response:
            return self._page(cursor, self.page_size)

        return read_pages(start, limit, fetch, rows=Selection("/items"), next_cursor="/next")

    def _page(self, cursor: str | None, size: int) -> Response:
        query = {"size": size} if cursor is None else {"size": size, "cursor": cursor}
        page = self.client.send(Request(f"{self.url}?{urlencode(query)}"))
        if page.status == 410:
            # What this API says of a cursor that has expired.
            raise OffsetLost(f"{page.request} gave 410: the cursor has expired")
        return page.raise_for_status()
