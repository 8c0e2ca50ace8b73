"""HTTP, for the origins that the operator granted.

The host adds credentials, follows redirects of GET and HEAD within the grants, decodes bodies and keeps the connections.
The body of a response stays with the host: ``rows``, ``value`` and ``count`` ask for what is in it, at the speed of the host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, Sequence

from .rows import HeldRows, Selection


@dataclass(frozen=True)
class Request:
    """What is asked of a remote."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    #: The longest wait for the head of the response, in seconds. The host's own limit holds besides.
    timeout: float | None = None


class Response(Protocol):
    """What a remote answered."""

    @property
    def request(self) -> str:
        """The method and the URL that were asked, for messages."""
        ...

    @property
    def status(self) -> int:
        """The status code."""
        ...

    def header(self, name: str) -> str | None:
        """A header's first value, where it is text."""
        ...

    def raise_for_status(self) -> Response:
        """This response when its status is 2xx, else the error that the status stands for.

        401 and 403 are ``Unauthorized``; 408, 425, 429 and 5xx are ``Unavailable`` with the pause of a ``Retry-After``; all
        others are ``Malformed``.
        """
        ...

    def body(self) -> bytes:
        """The body."""
        ...

    def json(self) -> Any:
        """The body as JSON. ``Malformed`` when it is none."""
        ...

    def value(self, pointer: str) -> Any:
        """The value at a JSON Pointer, ``None`` where nothing is there."""
        ...

    def value_text(self, pointer: str) -> str | None:
        """The JSON text of the value at a JSON Pointer, ``None`` where nothing is there."""
        ...

    def count(self, pointer: str = "") -> int | None:
        """The number of elements of the array at a JSON Pointer, ``None`` where nothing is there."""
        ...

    def rows(self, selection: Selection = Selection()) -> HeldRows:
        """The rows that are selected, in the schema of the stream. ``Malformed`` with row, field and byte."""
        ...


class Pending(Protocol):
    """A request that is on its way."""

    def wait(self) -> Response:
        """Waits for the response. To be called once."""
        ...


class Client(Protocol):
    """What sends requests. A native test gives one of its own: see ``sandbar_sdk.testing``."""

    def send(self, request: Request) -> Response:
        """Sends a request and waits for the response. ``Unavailable`` when none comes."""
        ...

    def send_all(self, requests: Sequence[Request]) -> list[Response]:
        """Sends at most 64 requests at once and waits for all responses, in the same order."""
        ...

    def begin(self, request: Request) -> Pending:
        """Sends a request and does not wait, so that one page is read while the next is on its way."""
        ...
