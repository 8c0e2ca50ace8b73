"""The source's own progress note: one JSON document per pipeline, kept by the host.

The note is advice. What the table holds is decided by the table, so a source has to work without it. Outside of a host, as in
a native test, it is kept in memory.
"""

from __future__ import annotations

import json
from typing import Protocol

from .rows import Json


class Keeper(Protocol):
    """Keeps the note's text."""

    def load(self) -> str | None: ...

    def save(self, note: str) -> None: ...


class _InMemory:
    def __init__(self) -> None:
        self._note: str | None = None

    def load(self) -> str | None:
        return self._note

    def save(self, note: str) -> None:
        self._note = note


keeper: Keeper = _InMemory()


def load() -> Json:
    """The note saved last, or ``None``. May be called at any time."""
    note = keeper.load()
    return None if note is None else json.loads(note)


def save(note: Json) -> None:
    """Replaces the note. Only inside ``commit``; at most 64 KiB of JSON; durable when it returns."""
    keeper.save(json.dumps(note))


def forget() -> None:
    """Forgets the note of the test before."""
    global keeper
    keeper = _InMemory()
