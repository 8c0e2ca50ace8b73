"""The comments of a JSONPlaceholder-like API, which numbers its rows: ``GET {api_url}?_start=20&_limit=10``.

An offset is the number of rows before it, ``{"current": 20}``, so a range is known before it is read.
"""

from __future__ import annotations

from typing import Any, Iterator
from urllib.parse import urlencode

from sandbar_sdk import (
    Client,
    InvalidOptions,
    Malformed,
    OffsetLost,
    RangeSource,
    ReadLimit,
    Request,
    Response,
    Rows,
    Stream,
)

MOST_PARTITIONS = 16


class Comments(RangeSource):
    name = "comments"
    version = "0.1.0"
    summary = "Comments of a JSONPlaceholder-like API: id, name, email, body"
    streams = [Stream("comments", "One row per comment, in the order of the API", key=("id",))]
    first_offset = {"current": 0}
    options_schema = {
        "type": "object",
        "required": ["api_url"],
        "additionalProperties": False,
        "properties": {
            "api_url": {"type": "string", "format": "uri", "pattern": "^https?://", "description": "The URL of the comments."},
            "rows_per_batch": {
                "type": "integer",
                "minimum": 1,
                "description": "Rows that one micro-batch may take.",
                "x-sandbar-identity": False,
            },
            "page_size": {
                "type": "integer",
                "minimum": 1,
                "maximum": 10_000,
                "default": 100,
                "description": "Rows that one request asks for, at most.",
                "x-sandbar-identity": False,
            },
        },
    }

    def __init__(self, stream: str, options: dict[str, Any], client: Client) -> None:
        self.url = options["api_url"]
        if not self.url.startswith(("http://", "https://")):
            raise InvalidOptions("api_url: is neither an http nor an https URL")
        self.rows_per_batch = options.get("rows_per_batch")
        self.page_size = options.get("page_size", 100)
        self.client = client

    def check(self) -> None:
        self._page(0, 1)

    def schema(self) -> str:
        return "id int, name string, email string, body string"

    def latest_offset(self, start: Any, max_rows: int | None) -> Any:
        at = start["current"]
        page = self._page(at, 1)
        total = page.header("x-total-count")
        if total is None or not total.isdigit():
            raise Malformed(f"{page.request} gave no X-Total-Count")
        if int(total) < at:
            raise OffsetLost(f"offset {at} is gone at {self.url}: only {total} rows exist")
        return {"current": int(total)}

    def batch_end(self, start: Any, latest: Any, limit: ReadLimit) -> Any:
        limits = [rows for rows in (limit.max_rows, self.rows_per_batch) if rows is not None]
        return {"current": min([latest["current"], *(start["current"] + rows for rows in limits)])}

    def partitions(self, start: Any, end: Any) -> list[Any]:
        first, last = start["current"], end["current"]
        pages = -(-(last - first) // self.page_size)
        parts = min(pages, MOST_PARTITIONS)
        # They end where pages end, as evenly as that allows.
        bounds = [min(last, first + -(-pages * part // parts) * self.page_size) for part in range(parts + 1)] if parts else []
        return [{"start": one, "end": other} for one, other in zip(bounds, bounds[1:])]

    def read(self, partition: Any) -> Iterator[Rows]:
        at, end = partition["start"], partition["end"]
        ahead = self.client.begin(self._request(at, end))
        while at < end:
            page = ahead.wait().raise_for_status()
            wanted = min(end - at, self.page_size)
            if at + wanted < end:
                # While this page is read, the next one is on its way.
                ahead = self.client.begin(self._request(at + wanted, end))
            rows = page.rows()
            got = rows.count()
            if got > wanted:
                raise Malformed(f"{page.request} gave {got} rows, more than the {wanted} that were asked for")
            if got == 0:
                raise Malformed(f"{page.request} gave no rows, and rows {at} to {end} did exist")
            at += got
            if got < wanted:
                ahead = self.client.begin(self._request(at, end))
            yield rows

    def _request(self, start: int, end: int) -> Request:
        query = urlencode({"_start": start, "_limit": min(end - start, self.page_size)})
        separator = "&" if "?" in self.url else "?"
        return Request(f"{self.url}{separator}{query}", headers={"accept": "application/json"})

    def _page(self, start: int, rows: int) -> Response:
        return self.client.send(self._request(start, start + rows)).raise_for_status()
