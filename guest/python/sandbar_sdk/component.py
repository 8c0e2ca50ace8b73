"""What a component exports, in the contract's terms. Imported inside a component only."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any, Iterator, Sequence

from componentize_py_types import Err, Ok
from wit_world.exports import connector as wit
from wit_world.imports import http as wit_http
from wit_world.imports import log as wit_log
from wit_world.imports import progress_note as wit_note
from wit_world.imports import rows as wit_rows
from wit_world.imports import values

from . import errors, progress_note
from .http import Request
from .rows import Selection
from .source import RangeSource, ReadLimit, SequentialSource, Source, Stream, known_streams

_CONTRACT = {
    errors.InvalidOptions: values.Error_InvalidOptions,
    errors.Unauthorized: values.Error_Unauthorized,
    errors.Malformed: values.Error_Malformed,
    errors.OffsetLost: values.Error_OffsetLost,
    errors.Internal: values.Error_Internal,
}
_SDK = {contract: own for own, contract in _CONTRACT.items()}
_SOURCES = {
    "value": wit_rows.ColumnSource_Value,
    "json-text": wit_rows.ColumnSource_JsonText,
    "constant": wit_rows.ColumnSource_Constant,
}
_LAYOUTS = {
    "array": wit_rows.Layout.ARRAY,
    "lines": wit_rows.Layout.LINES,
    "object": wit_rows.Layout.OBJECT,
}


def _to_contract(error: Exception) -> Err:
    if isinstance(error, errors.Unavailable):
        pause = error.retry_after
        millis = None if pause is None else max(0, round(pause * 1000))
        return Err(values.Error_Unavailable(values.Unavailable(str(error), millis)))
    for own, contract in _CONTRACT.items():
        if isinstance(error, own):
            return Err(contract(str(error)))
    wit_log.log(wit_log.Level.ERROR, "".join(traceback.format_exception(error)))
    return Err(values.Error_Internal(f"{type(error).__name__}: {error}"))


def _from_contract(error: Err) -> errors.SourceError:
    case = error.value
    if isinstance(case, values.Error_Unavailable):
        millis = case.value.retry_after_ms
        return errors.Unavailable(case.value.message, None if millis is None else millis / 1000)
    return _SDK[type(case)](case.value)


def _asking(function: Any, *arguments: Any) -> Any:
    """Calls the host, and raises its errors as the SDK's."""
    try:
        return function(*arguments)
    except Err as error:
        raise _from_contract(error) from None


def _answering(method: Any) -> Any:
    """Lets a method raise its errors as the contract's."""

    def answer(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except Err:
            raise
        except Exception as error:
            raise _to_contract(error) from None

    return answer


def _selection(selection: Selection) -> wit_rows.Selection:
    columns = [wit_rows.Column(name, _SOURCES[kind](source)) for name, kind, source in selection.columns]
    return wit_rows.Selection(
        selection.path, _LAYOUTS[selection.layout], columns, selection.skip, selection.max_rows
    )


class _Response:
    def __init__(self, response: wit_http.Response) -> None:
        self._response = response

    @property
    def request(self) -> str:
        return self._response.request()

    @property
    def status(self) -> int:
        return self._response.status()

    def header(self, name: str) -> str | None:
        return self._response.header(name)

    def raise_for_status(self) -> _Response:
        _asking(self._response.error_for_status)
        return self

    def body(self) -> bytes:
        return self._response.body()

    def json(self) -> Any:
        # The host looks first whether it is JSON, and how deep it nests.
        text = self.value_text("")
        if text is None:
            raise errors.Malformed(f"{self.request} gave no JSON")
        return self._parsed(text)

    def value(self, pointer: str) -> Any:
        text = self.value_text(pointer)
        return None if text is None else self._parsed(text)

    def value_text(self, pointer: str) -> str | None:
        return _asking(self._response.value, pointer)

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise errors.Malformed(f"{self.request} gave JSON that can't be read: {error}") from None

    def count(self, pointer: str = "") -> int | None:
        return _asking(self._response.count, pointer)

    def rows(self, selection: Selection = Selection()) -> wit_rows.HeldRows:
        return _asking(self._response.rows, _selection(selection))


class _Pending:
    def __init__(self, pending: wit_http.Pending) -> None:
        self._pending = pending

    def wait(self) -> _Response:
        return _Response(_asking(self._pending.wait))


class _HostClient:
    def send(self, request: Request) -> _Response:
        return _Response(_asking(wit_http.send, _request(request)))

    def send_all(self, requests: Sequence[Request]) -> list[_Response]:
        responses = []
        for outcome in wit_http.send_all([_request(request) for request in requests]):
            if not isinstance(outcome, Ok):
                raise _from_contract(outcome)
            responses.append(_Response(outcome.value))
        return responses

    def begin(self, request: Request) -> _Pending:
        return _Pending(_asking(wit_http.begin, _request(request)))


def _request(request: Request) -> wit_http.Request:
    timeout = None if request.timeout is None else round(request.timeout * 1000)
    headers = list(request.headers.items())
    return wit_http.Request(request.method, request.url, headers, request.body, timeout)


class _HostNote:
    def load(self) -> str | None:
        return _asking(wit_note.load)

    def save(self, note: str) -> None:
        _asking(wit_note.save, note)


class _HostLog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            level = wit_log.Level.ERROR
        elif record.levelno >= logging.WARNING:
            level = wit_log.Level.WARN
        elif record.levelno >= logging.INFO:
            level = wit_log.Level.INFO
        elif record.levelno >= logging.DEBUG:
            level = wit_log.Level.DEBUG
        else:
            level = wit_log.Level.TRACE
        wit_log.log(level, self.format(record))


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text or "{}")
    except ValueError as error:
        raise errors.InvalidOptions(f"the options are no JSON: {error}") from None
    if not isinstance(options, dict):
        raise errors.InvalidOptions("the options are no JSON object")
    return options


def _stream_info(stream: Stream) -> wit.StreamInfo:
    return wit.StreamInfo(stream.name, stream.summary, list(stream.key))


def _opened_stream(source: type[Source], named: str | None) -> Stream:
    streams = known_streams(source)
    if not streams:
        if named is None:
            raise errors.InvalidOptions("stream: name one")
        return Stream(named)
    if named is None and len(streams) == 1:
        return streams[0]
    for stream in streams:
        if stream.name == named:
            return stream
    names = ", ".join(stream.name for stream in streams)
    raise errors.InvalidOptions(f"stream: name one of {names}")


def _batch(rows: Any, end: str | None) -> wit.Batch:
    if isinstance(rows, wit_rows.HeldRows):
        return wit.Batch(wit.BatchRows_Held(rows), end)
    if isinstance(rows, bytes):
        try:
            rows = rows.decode()
        except UnicodeDecodeError as error:
            raise errors.Malformed(f"rows are text that is not UTF-8: {error}") from None
    elif not isinstance(rows, str):
        rows = json.dumps(rows)
    return wit.Batch(wit.BatchRows_Json(rows), end)


def exports(source: type[Source]) -> tuple[type, type, type]:
    """The classes that componentize-py looks for: of the interface, and of its two resources."""
    progress_note.keeper = _HostNote()
    logging.basicConfig(level=logging.NOTSET, handlers=[_HostLog()], format="%(message)s")
    client = _HostClient()

    class Connector:
        def describe(self) -> wit.Description:
            schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **source.options_schema}
            return wit.Description(source.name, source.version, source.summary, json.dumps(schema))

        @_answering
        def discover(self, options: str) -> list[wit.StreamInfo]:
            return [_stream_info(stream) for stream in source.discover(_options(options), client)]

    class Batches:
        def __init__(self, batches: Iterator[wit.Batch]) -> None:
            self._batches = batches

        @_answering
        def next(self) -> wit.Batch | None:
            return next(self._batches, None)

    class Opened:
        def __init__(self, stream: Stream, opened: Any) -> None:
            self._stream = stream
            self._source = opened

        @classmethod
        def open(cls, stream: str | None, options: str) -> Opened:
            try:
                meant = _opened_stream(source, stream)
                return cls(meant, source(meant.name, _options(options), client))
            except Exception as error:
                raise _to_contract(error) from None

        def info(self) -> wit.StreamInfo:
            return _stream_info(self._stream)

        def reading(self) -> wit.Reading:
            return wit.Reading.RANGES if issubclass(source, RangeSource) else wit.Reading.SEQUENTIAL

        @_answering
        def check(self) -> None:
            self._source.check()

        @_answering
        def schema(self) -> values.Schema_Text:
            return values.Schema_Text(self._source.schema())

        @_answering
        def initial_offset(self) -> str:
            return json.dumps(self._source.initial_offset())

        @_answering
        def latest_offset(self, start: str, max_rows: int | None) -> str:
            return json.dumps(self._source.latest_offset(json.loads(start), max_rows))

        @_answering
        def batch_end(self, start: str, latest: str, limit: values.ReadLimit) -> str:
            limit = ReadLimit(limit.max_rows, limit.max_bytes)
            return json.dumps(self._source.batch_end(json.loads(start), json.loads(latest), limit))

        @_answering
        def partitions(self, start: str, end: str) -> list[str]:
            parts = self._source.partitions(json.loads(start), json.loads(end))
            return [json.dumps(part) for part in parts]

        @_answering
        def read(self, partition: str) -> Batches:
            rows = self._source.read(json.loads(partition))
            return Batches(_batch(part, None) for part in rows)

        @_answering
        def read_from(self, start: str, limit: values.ReadLimit) -> Batches:
            limit = ReadLimit(limit.max_rows, limit.max_bytes)
            batches = self._source.read_from(json.loads(start), limit)
            return Batches(_batch(rows, json.dumps(end)) for rows, end in batches)

        @_answering
        def commit(self, end: str) -> None:
            self._source.commit(json.loads(end))

    if not issubclass(source, (RangeSource, SequentialSource)):
        raise TypeError(f"{source.__name__} is neither a RangeSource nor a SequentialSource")
    return Connector, Opened, Batches
