"""What went wrong, sorted by what someone can do about it."""

from __future__ import annotations


class SourceError(Exception):
    """An error of the contract. Its message names the request or the option."""


class InvalidOptions(SourceError):
    """The configuration is wrong, or names a stream that is not there. The host stops."""


class Unauthorized(SourceError):
    """The remote refuses the credentials (401, 403). The host stops."""


class Unavailable(SourceError):
    """The same call may work later (429, 5xx, a dropped connection). The host retries the micro-batch.

    ``retry_after`` is the pause that the remote asked for, in seconds.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Malformed(SourceError):
    """What came is not what was promised. The host stops the micro-batch; nothing is committed."""


class OffsetLost(SourceError):
    """The position is gone at the remote, as an expired cursor is. Going on elsewhere is the operator's choice."""


class Internal(SourceError):
    """A fault in the source itself."""
