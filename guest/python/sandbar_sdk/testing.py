"""Responses and clients for native tests of a source: no WebAssembly, no network."""

from __future__ import annotations

import json
from typing import Any, Callable, Sequence

from .errors import Malformed, SourceError, Unauthorized, Unavailable
from .http import Request, Response
from .rows import Selection

_MISSING = object()


class FakeRows:
    """Rows as a host would hold them: ``objects`` are their members, by the columns that were selected."""

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        self.objects = objects

    def count(self) -> int:
        return len(self.objects)


class FakeResponse:
    """What a remote is made to answer. Types of columns are not checked: hosts do that."""

    def __init__(
        self,
        body: Any = b"",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.request = "GET (a test)"

    def header(self, name: str) -> str | None:
        return self._headers.get(name.lower())

    def raise_for_status(self) -> FakeResponse:
        error = self._error()
        if error is not None:
            raise error
        return self

    def _error(self) -> SourceError | None:
        message = f"{self.request} gave {self.status}"
        if 200 <= self.status < 300:
            return None
        if self.status in (401, 403):
            return Unauthorized(message)
        if self.status in (408, 425, 429) or self.status >= 500:
            pause = self.header("retry-after")
            return Unavailable(message, float(pause) if pause is not None and pause.isdigit() else None)
        return Malformed(message)

    def body(self) -> bytes:
        return self._body

    def json(self) -> Any:
        try:
            return json.loads(self._body)
        except ValueError as error:
            raise Malformed(f"{self.request} gave no JSON: {error}") from None

    def value(self, pointer: str) -> Any:
        found = self._find(pointer)
        return None if found is _MISSING else found

    def value_text(self, pointer: str) -> str | None:
        found = self._find(pointer)
        return None if found is _MISSING else json.dumps(found)

    def count(self, pointer: str = "") -> int | None:
        found = self._find(pointer)
        if found is _MISSING:
            return None
        if found is None:
            return 0
        if not isinstance(found, list):
            raise Malformed(f"{self.request} gave no array but {self._body[:60]!r}")
        return len(found)

    def rows(self, selection: Selection = Selection()) -> FakeRows:
        if not self._body.strip():
            return FakeRows([])
        if selection.layout == "lines":
            rows = [json.loads(line) for line in self._body.splitlines() if line.strip()]
        else:
            found = self._find(selection.path)
            rows = [found] if selection.layout == "object" else found
        if rows is None:
            rows = []
        if not isinstance(rows, list) or not all(isinstance(row, (dict, list)) for row in rows):
            raise Malformed(f"{self.request} gave no array of rows but {self._body[:60]!r}")
        end = None if selection.max_rows is None else selection.skip + selection.max_rows
        return FakeRows([_selected(row, selection) for row in rows[selection.skip : end]])

    def _find(self, pointer: str) -> Any:
        if not self._body.strip():
            return [] if pointer == "" else _MISSING
        return _at(self.json(), pointer)


class FakeClient:
    """A client over a function from a request to a response. ``requests`` are those that it was sent."""

    def __init__(self, answer: Callable[[Request], FakeResponse]) -> None:
        self._answer = answer
        self.requests: list[Request] = []

    def send(self, request: Request) -> Response:
        self.requests.append(request)
        response = self._answer(request)
        response.request = f"{request.method} {request.url}"
        return response

    def send_all(self, requests: Sequence[Request]) -> list[Response]:
        return [self.send(request) for request in requests]

    def begin(self, request: Request) -> _FakePending:
        return _FakePending(self.send(request))


class _FakePending:
    def __init__(self, response: Response) -> None:
        self._response = response

    def wait(self) -> Response:
        return self._response


def _at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _MISSING
    return value


def _selected(row: Any, selection: Selection) -> dict[str, Any]:
    if not selection.columns:
        return dict(row)
    selected: dict[str, Any] = {}
    for column, kind, source in selection.columns:
        if kind == "constant":
            selected[column] = json.loads(source)
            continue
        found = _at(row, source)
        found = None if found is _MISSING else found
        selected[column] = json.dumps(found) if kind == "json-text" else found
    return selected
