// Responses and clients for native tests of a source: no WebAssembly, no network.

import { Malformed, Unauthorized, Unavailable } from "./errors.js";
import { Selection } from "./selection.js";

function at(value, pointer) {
  for (const step of pointer.split("/").slice(1)) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, name)) {
      return undefined;
    }
    value = value[name];
  }
  return value;
}

function selected(row, { columns }) {
  if (columns.length === 0) {
    return { ...row };
  }
  const column = ({ name, source: { tag, val } }) => {
    if (tag === "constant") {
      return [name, JSON.parse(val)];
    }
    const found = at(row, val) ?? null;
    return [name, tag === "json-text" ? JSON.stringify(found) : found];
  };
  return Object.fromEntries(columns.map(column));
}

/** Rows as a host would hold them: `objects` are their members, by the columns that were selected. */
export class FakeRows {
  constructor(objects) {
    this.objects = objects;
  }

  count() {
    return this.objects.length;
  }
}

/** What a remote is made to answer. Types of columns are not checked: hosts do that. */
export class FakeResponse {
  constructor(body = "", { status = 200, headers = {} } = {}) {
    this.content = typeof body === "string" ? body : JSON.stringify(body);
    this.status = status;
    this.headers = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    this.request = "GET (a test)";
  }

  header(name) {
    return this.headers[name.toLowerCase()] ?? null;
  }

  throwForStatus() {
    const message = `${this.request} gave ${this.status}`;
    if (this.status >= 200 && this.status < 300) {
      return this;
    }
    if (this.status === 401 || this.status === 403) {
      throw new Unauthorized(message);
    }
    if ([408, 425, 429].includes(this.status) || this.status >= 500) {
      const pause = this.header("retry-after");
      throw new Unavailable(message, /^\d+$/.test(pause ?? "") ? Number(pause) : null);
    }
    throw new Malformed(message);
  }

  body() {
    return new TextEncoder().encode(this.content);
  }

  text() {
    return this.content;
  }

  json() {
    try {
      return JSON.parse(this.content);
    } catch (error) {
      throw new Malformed(`${this.request} gave no JSON: ${error.message}`);
    }
  }

  value(pointer) {
    return this.#find(pointer);
  }

  valueText(pointer) {
    const found = this.#find(pointer);
    return found === undefined ? null : JSON.stringify(found);
  }

  count(pointer = "") {
    const found = this.#find(pointer);
    if (found === undefined) {
      return null;
    }
    if (found !== null && !Array.isArray(found)) {
      throw new Malformed(`${this.request} gave no array but ${this.content.slice(0, 60)}`);
    }
    return found === null ? 0 : found.length;
  }

  rows(selection = new Selection()) {
    if (this.content.trim() === "") {
      return new FakeRows([]);
    }
    let rows;
    if (selection.layout === "lines") {
      rows = this.content.split("\n").filter((line) => line.trim() !== "").map((line) => JSON.parse(line));
    } else {
      const found = this.#find(selection.path);
      rows = selection.layout === "object" ? [found] : found === null ? [] : found;
    }
    if (!Array.isArray(rows) || rows.some((row) => row === null || typeof row !== "object")) {
      throw new Malformed(`${this.request} gave no array of rows but ${this.content.slice(0, 60)}`);
    }
    const end = selection.maxRows === null ? undefined : selection.skip + selection.maxRows;
    return new FakeRows(rows.slice(selection.skip, end).map((row) => selected(row, selection)));
  }

  #find(pointer) {
    if (this.content.trim() === "") {
      return pointer === "" ? [] : undefined;
    }
    return at(this.json(), pointer);
  }
}

/** A client over a function from a request to a response. `requests` are those that it was sent. */
export class FakeClient {
  constructor(answer) {
    this.answer = answer;
    this.requests = [];
  }

  send(request) {
    this.requests.push(request);
    const response = this.answer(request);
    response.request = `${request.method ?? "GET"} ${request.url}`;
    return response;
  }

  sendAll(requests) {
    return requests.map((request) => this.send(request));
  }

  begin(request) {
    const response = this.send(request);
    return { wait: () => response };
  }
}

