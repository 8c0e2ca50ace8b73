// The comments of a JSONPlaceholder-like API, which numbers its rows: `GET {api_url}?_start=20&_limit=10`.
//
// An offset is the number of rows before it, `{"current": 20}`, so a range is known before it is read.

import { InvalidOptions, Malformed, OffsetLost, RangeSource } from "sandbar-sdk";

const MOST_PARTITIONS = 16;

export default class Comments extends RangeSource {
  static sourceName = "comments";
  static version = "0.1.0";
  static summary = "Comments of a JSONPlaceholder-like API: id, name, email, body";
  static streams = [{ name: "comments", summary: "One row per comment, in the order of the API", key: ["id"] }];
  static firstOffset = { current: 0 };
  static optionsSchema = {
    type: "object",
    required: ["api_url"],
    additionalProperties: false,
    properties: {
      api_url: { type: "string", format: "uri", pattern: "^https?://", description: "The URL of the comments." },
      rows_per_batch: {
        type: "integer",
        minimum: 1,
        description: "Rows that one micro-batch may take.",
        "x-sandbar-identity": false,
      },
      page_size: {
        type: "integer",
        minimum: 1,
        maximum: 10_000,
        default: 100,
        description: "Rows that one request asks for, at most.",
        "x-sandbar-identity": false,
      },
    },
  };

  constructor(_stream, options, client) {
    super();
    if (!/^https?:\/\//.test(options.api_url)) {
      throw new InvalidOptions("api_url: is neither an http nor an https URL");
    }
    this.url = options.api_url;
    this.rowsPerBatch = options.rows_per_batch ?? Infinity;
    this.pageSize = options.page_size ?? 100;
    this.client = client;
  }

  check() {
    this.#page(0, 1);
  }

  schema() {
    return "id int, name string, email string, body string";
  }

  latestOffset({ current }, _maxRows) {
    const page = this.#page(current, 1);
    const total = page.header("x-total-count");
    if (total === null || !/^\d+$/.test(total)) {
      throw new Malformed(`${page.request} gave no X-Total-Count`);
    }
    if (Number(total) < current) {
      throw new OffsetLost(`offset ${current} is gone at ${this.url}: only ${total} rows exist`);
    }
    return { current: Number(total) };
  }

  batchEnd(start, latest, { maxRows }) {
    const rows = Math.min(this.rowsPerBatch, maxRows ?? Infinity);
    return { current: Math.min(latest.current, start.current + rows) };
  }

  partitions({ current: first }, { current: last }) {
    const pages = Math.ceil((last - first) / this.pageSize);
    const parts = Math.min(pages, MOST_PARTITIONS);
    // They end where pages end, as evenly as that allows.
    const bound = (part) => Math.min(last, first + Math.ceil((pages * part) / parts) * this.pageSize);
    return Array.from({ length: parts }, (_, part) => ({ start: bound(part), end: bound(part + 1) }));
  }

  *read({ start, end }) {
    let at = start;
    let ahead = this.client.begin(this.#request(at, end));
    while (at < end) {
      const page = ahead.wait().throwForStatus();
      const wanted = Math.min(end - at, this.pageSize);
      if (at + wanted < end) {
        // While this page is read, the next one is on its way.
        ahead = this.client.begin(this.#request(at + wanted, end));
      }
      const rows = page.rows();
      const got = rows.count();
      if (got > wanted) {
        throw new Malformed(`${page.request} gave ${got} rows, more than the ${wanted} that were asked for`);
      }
      if (got === 0) {
        throw new Malformed(`${page.request} gave no rows, and rows ${at} to ${end} did exist`);
      }
      at += got;
      if (got < wanted) {
        ahead = this.client.begin(this.#request(at, end));
      }
      page.release?.();
      yield rows;
    }
  }

  #request(start, end) {
    const separator = this.url.includes("?") ? "&" : "?";
    const query = `_start=${start}&_limit=${Math.min(end - start, this.pageSize)}`;
    return { url: `${this.url}${separator}${query}`, headers: { accept: "application/json" } };
  }

  #page(start, rows) {
    return this.client.send(this.#request(start, start + rows)).throwForStatus();
  }
}
