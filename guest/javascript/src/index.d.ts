export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** An error of the contract. Its message names the request or the option. */
export class SourceError extends Error {}
/** The configuration is wrong, or names a stream that is not there. The host stops. */
export class InvalidOptions extends SourceError {}
/** The remote refuses the credentials (401, 403). The host stops. */
export class Unauthorized extends SourceError {}
/** What came is not what was promised. The host stops the micro-batch; nothing is committed. */
export class Malformed extends SourceError {}
/** The position is gone at the remote, as an expired cursor is. Going on elsewhere is the operator's choice. */
export class OffsetLost extends SourceError {}
/** A fault in the source itself. */
export class Internal extends SourceError {}
/** The same call may work later (429, 5xx, a dropped connection). The host retries the micro-batch. */
export class Unavailable extends SourceError {
  constructor(message: string, retryAfter?: number | null);
  /** The pause that the remote asked for, in seconds. */
  retryAfter: number | null;
}

export type Layout = "array" | "lines" | "object";

/**
 * Which rows of a JSON text, and what their columns are. By default all rows of an array at the top, and each column of the schema
 * is the member of its name. Once a column is given, those that are not are null. Places are JSON Pointers (RFC 6901).
 */
export class Selection {
  constructor(path?: string, options?: { layout?: Layout; skip?: number; maxRows?: number | null });
  readonly path: string;
  readonly layout: Layout;
  readonly skip: number;
  readonly maxRows: number | null;
  /** Takes a column from the value at this place of a row. */
  value(column: string, pointer: string): Selection;
  /** Fills a column of text with the JSON text of whatever value is at this place of a row. */
  jsonText(column: string, pointer: string): Selection;
  /** Fills a column with one value. */
  constant(column: string, value: Json): Selection;
}

/** Rows that the host has read and holds. They never enter the component. */
export interface HeldRows {
  /** The number of rows. */
  count(): number;
}

/** The rows of one batch: held by the host, JSON text (an array or lines), or objects. */
export type Rows = HeldRows | string | object[];

export interface Request {
  url: string;
  /** `GET` when left out. */
  method?: string;
  headers?: Record<string, string>;
  body?: Uint8Array | null;
  /** The longest wait for the head of the response, in seconds. The host's own limit holds besides. */
  timeout?: number | null;
}

/** What a remote answered. Its body stays with the host: `rows`, `value` and `count` ask for what is in it. */
export interface Response {
  /** The method and the URL that were asked, for messages. */
  readonly request: string;
  readonly status: number;
  /** A header's first value, where it is text. */
  header(name: string): string | null;
  /**
   * This response when its status is 2xx, else the error that the status stands for: `Unauthorized` for 401 and 403; `Unavailable`
   * for 408, 425, 429 and 5xx, with the pause of a `Retry-After`; else `Malformed`.
   */
  throwForStatus(): Response;
  body(): Uint8Array;
  /** The body as text, when it is one JSON value. */
  text(): string;
  /** The body as JSON. `Malformed` when it is none. */
  json(): unknown;
  /** The value at a JSON Pointer, `undefined` where nothing is there. */
  value(pointer: string): Json | undefined;
  /** The JSON text of the value at a JSON Pointer, `null` where nothing is there. */
  valueText(pointer: string): string | null;
  /** The number of elements of the array at a JSON Pointer, `null` where nothing is there. */
  count(pointer?: string): number | null;
  /** The rows that are selected, in the schema of the stream. `Malformed` with row, field and byte. */
  rows(selection?: Selection): HeldRows;
}

/** What sends requests. A native test gives one of its own: see `sandbar-sdk/testing`. */
export interface Client {
  /** Sends a request and waits for the response. `Unavailable` when none comes. */
  send(request: Request): Response;
  /** Sends at most 64 requests at once and waits for all responses, in the same order. */
  sendAll(requests: Request[]): Response[];
  /** Sends a request and does not wait, so that one page is read while the next is on its way. */
  begin(request: Request): { wait(): Response };
}

export interface Stream {
  /** The name to put into the pipeline file. */
  name: string;
  summary?: string;
  /** Columns that tell rows apart. */
  key?: string[];
}

/** How much one micro-batch may take. `null` means no limit. */
export interface ReadLimit {
  /** Rows after the start. */
  maxRows: number | null;
  /** Bytes of rows, as a hint. A source that knows sizes takes one row at least, however large. */
  maxBytes: number | null;
}

/** The source's own progress note: advice, kept by the host. `save` only inside `commit`. */
export const progressNote: { load(): Json; save(note: Json): void };

/**
 * What both kinds of source have in common. A class is constructed with the stream's name, the options and a client, and makes no
 * request then. Only what an offset, a partition and the progress note carry survives from call to call.
 */
declare abstract class Source<Offset extends Json> {
  /** Kebab-case name, for example `comments`. */
  static sourceName: string;
  /** SemVer 2.0 version. */
  static version: string;
  /** One sentence for people. */
  static summary: string;
  /** The streams, where they are known beforehand. Left out, there is one with the name and the summary of the source. */
  static streams: Stream[] | null;
  /** JSON Schema 2020-12 of the options. */
  static optionsSchema: object;
  /** The offset before the first row. */
  static firstOffset: Json;
  /** The streams that these options give access to. May make requests. */
  static discover(options: Record<string, any>, client: Client): Stream[];
  /** Finds out by one request or more whether the remote can be reached, with these options and credentials. */
  abstract check(): void;
  /** The schema of all rows in Spark's DDL, such as `id bigint not null, user struct<login: string>`. */
  abstract schema(): string;
  /** Where a pipeline without a committed batch starts: at the progress note, else at `firstOffset`. */
  initialOffset(): Offset;
  /** Called after the rows up to `end` are in the table for good. By default it saves `end` as the progress note. */
  commit(end: Offset): void;
}

/** A source that can tell the end of a range before it reads, as with numbered rows. Its ranges are read in parallel. */
export abstract class RangeSource<Offset extends Json = any, Partition extends Json = any> extends Source<Offset> {
  /** Where what exists now ends: `start` itself when nothing lies after it, never beyond what exists. */
  abstract latestOffset(start: Offset, maxRows: number | null): Offset;
  /** Where a micro-batch ends that begins at `start`: at `latest`, or before it where the limit wants it. */
  abstract batchEnd(start: Offset, latest: Offset, limit: ReadLimit): Offset;
  /** Splits (start, end] into parts that cover it once, without overlap. */
  abstract partitions(start: Offset, end: Offset): Iterable<Partition>;
  /** Reads one part. The same rows every time while the remote has not changed. */
  abstract read(partition: Partition): Iterable<Rows>;
}

/** A source that learns the end of a range only by reading, as with cursor tokens. */
export abstract class SequentialSource<Offset extends Json = any> extends Source<Offset> {
  /**
   * Reads on from `start`, at most as many rows as the limit says: rows, and the offset after the last of them. Reading on from any
   * of these offsets gives the rest, no row twice and none missed. Nothing is given at the end.
   */
  abstract readFrom(start: Offset, limit: ReadLimit): Iterable<[Rows, Offset]>;
}

export interface CursorOffset {
  [name: string]: Json;
  cursor: string | null;
  taken: number;
}

/** The offset of the first page. */
export const FIRST: CursorOffset;

/** Reads pages by cursors from `start` on, within the limit, which may end in the middle of a page. */
export function readPages(
  start: CursorOffset,
  limit: ReadLimit,
  fetch: (cursor: string | null) => Response,
  options: { rows?: Selection; nextCursor: string },
): Iterable<[Rows, CursorOffset]>;
