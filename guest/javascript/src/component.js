// What a component exports, in the contract's terms. Imported inside a component only.

import http from "sandbar:connector/http@0.1.0";
import log from "sandbar:connector/log@0.1.0";
import note from "sandbar:connector/progress-note@0.1.0";

import * as errors from "./errors.js";
import { keepWith } from "./note.js";
import { Selection } from "./selection.js";
import { RangeSource, SequentialSource, knownStreams } from "./source.js";

const CASES = [
  ["invalid-options", errors.InvalidOptions],
  ["unauthorized", errors.Unauthorized],
  ["malformed", errors.Malformed],
  ["offset-lost", errors.OffsetLost],
  ["internal", errors.Internal],
];

function toContract(error) {
  if (error instanceof errors.Unavailable) {
    const pause = error.retryAfter;
    const retryAfterMs = pause === null ? null : Math.max(0, Math.round(pause * 1000));
    return { tag: "unavailable", val: { message: error.message, retryAfterMs } };
  }
  const known = CASES.find(([, own]) => error instanceof own);
  if (known) {
    return { tag: known[0], val: error.message };
  }
  log.log("error", `${error}\n${error?.stack ?? ""}`);
  return { tag: "internal", val: String(error) };
}

function fromContract(error) {
  // What an imported function throws holds the contract's error.
  const { tag, val } = error?.payload ?? error ?? {};
  if (tag === "unavailable") {
    return new errors.Unavailable(val.message, val.retryAfterMs === null ? null : val.retryAfterMs / 1000);
  }
  const known = CASES.find(([name]) => name === tag);
  return known ? new known[1](val) : error;
}

/** Calls the host, and throws its errors as the SDK's. */
function asking(ask) {
  try {
    return ask();
  } catch (error) {
    throw fromContract(error);
  }
}

/** Lets a function throw its errors as the contract's. */
function answering(answer) {
  try {
    return answer();
  } catch (error) {
    throw toContract(error);
  }
}

class Response {
  #response;

  constructor(response) {
    this.#response = response;
  }

  get request() {
    return this.#response.request();
  }

  get status() {
    return this.#response.status();
  }

  header(name) {
    return this.#response.header(name);
  }

  throwForStatus() {
    asking(() => this.#response.errorForStatus());
    return this;
  }

  body() {
    return this.#response.body();
  }

  text() {
    // As text it crosses at the speed of the host: an interpreter decodes bytes one by one.
    const text = this.valueText("");
    if (text === null) {
      throw new errors.Malformed(`${this.request} gave no JSON`);
    }
    return text;
  }

  json() {
    return JSON.parse(this.text());
  }

  value(pointer) {
    const text = this.valueText(pointer);
    return text === null ? undefined : JSON.parse(text);
  }

  valueText(pointer) {
    return asking(() => this.#response.value(pointer));
  }

  count(pointer = "") {
    return asking(() => this.#response.count(pointer));
  }

  rows(selection = new Selection()) {
    return asking(() => this.#response.rows({ ...selection }));
  }
}

function request({ url, method = "GET", headers = {}, body = null, timeout = null }) {
  const timeoutMs = timeout === null ? null : Math.round(timeout * 1000);
  return { method, url, headers: Object.entries(headers), body, timeoutMs };
}

const client = {
  send: (asked) => new Response(asking(() => http.send(request(asked)))),
  sendAll(asked) {
    return http.sendAll(asked.map(request)).map((outcome) => {
      if (outcome.tag !== "ok") {
        throw fromContract(outcome.val);
      }
      return new Response(outcome.val);
    });
  },
  begin(asked) {
    const pending = asking(() => http.begin(request(asked)));
    return {
      wait() {
        const response = asking(() => pending.wait());
        // What the host holds for it is freed at once: the engine collects garbage when it likes.
        pending[Symbol.dispose]?.();
        return new Response(response);
      },
    };
  },
};

function parsedOptions(text) {
  let options;
  try {
    options = JSON.parse(text || "{}");
  } catch (error) {
    throw new errors.InvalidOptions(`the options are no JSON: ${error.message}`);
  }
  if (options === null || typeof options !== "object" || Array.isArray(options)) {
    throw new errors.InvalidOptions("the options are no JSON object");
  }
  return options;
}

function streamInfo({ name, summary = "", key = [] }) {
  return { name, summary, key: [...key] };
}

function openedStream(source, named) {
  const streams = knownStreams(source);
  if (streams.length === 0) {
    if (named === null) {
      throw new errors.InvalidOptions("stream: name one");
    }
    return { name: named };
  }
  const meant = named === null && streams.length === 1 ? streams[0] : streams.find((stream) => stream.name === named);
  if (meant) {
    return meant;
  }
  throw new errors.InvalidOptions(`stream: name one of ${streams.map((stream) => stream.name).join(", ")}`);
}

/** An array is rows as objects, text is JSON, and all else is held by the host. */
function batch(rows, end) {
  if (Array.isArray(rows)) {
    rows = JSON.stringify(rows);
  }
  const given = typeof rows === "string" ? { tag: "json", val: rows.toWellFormed() } : { tag: "held", val: rows };
  return { rows: given, end };
}

function consoleToLog() {
  const write =
    (level) =>
    (...parts) =>
      log.log(level, parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" "));
  globalThis.console = {
    trace: write("trace"),
    debug: write("debug"),
    log: write("info"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}

/** The exports of a component for a source. */
export function exportsOf(source) {
  if (!(source.prototype instanceof RangeSource || source.prototype instanceof SequentialSource)) {
    throw new TypeError(`${source.name} extends neither RangeSource nor SequentialSource`);
  }
  keepWith({
    load: () => asking(() => note.load()),
    save: (text) => asking(() => note.save(text)),
  });
  consoleToLog();

  class Batches {
    #iterator;
    #translate;

    constructor(iterator, translate) {
      this.#iterator = iterator;
      this.#translate = translate;
    }

    next() {
      return answering(() => {
        const { done, value } = this.#iterator.next();
        return done ? null : this.#translate(value);
      });
    }
  }

  class Source {
    #stream;
    #source;

    constructor(stream, opened) {
      this.#stream = stream;
      this.#source = opened;
    }

    static open(stream, options) {
      return answering(() => {
        const meant = openedStream(source, stream ?? null);
        return new Source(meant, new source(meant.name, parsedOptions(options), client));
      });
    }

    info() {
      return streamInfo(this.#stream);
    }

    reading() {
      return source.prototype instanceof RangeSource ? "ranges" : "sequential";
    }

    check() {
      answering(() => this.#source.check());
    }

    schema() {
      return answering(() => ({ tag: "text", val: this.#source.schema() }));
    }

    initialOffset() {
      return answering(() => JSON.stringify(this.#source.initialOffset()));
    }

    latestOffset(start, maxRows) {
      return answering(() => JSON.stringify(this.#source.latestOffset(JSON.parse(start), maxRows ?? null)));
    }

    batchEnd(start, latest, limit) {
      return answering(() => JSON.stringify(this.#source.batchEnd(JSON.parse(start), JSON.parse(latest), limit)));
    }

    partitions(start, end) {
      return answering(() => {
        const parts = this.#source.partitions(JSON.parse(start), JSON.parse(end));
        return Array.from(parts, (part) => JSON.stringify(part));
      });
    }

    read(partition) {
      return answering(() => {
        const rows = this.#source.read(JSON.parse(partition));
        return new Batches(rows[Symbol.iterator](), (rows) => batch(rows, null));
      });
    }

    readFrom(start, limit) {
      return answering(() => {
        const batches = this.#source.readFrom(JSON.parse(start), limit);
        return new Batches(batches[Symbol.iterator](), ([rows, end]) => batch(rows, JSON.stringify(end)));
      });
    }

    commit(end) {
      answering(() => this.#source.commit(JSON.parse(end)));
    }
  }

  return {
    describe() {
      const { sourceName: name, version, summary, optionsSchema } = source;
      const schema = { $schema: "https://json-schema.org/draft/2020-12/schema", ...optionsSchema };
      return { name, version, summary, optionsSchema: JSON.stringify(schema) };
    },
    discover(options) {
      return answering(() => source.discover(parsedOptions(options), client).map(streamInfo));
    },
    Source,
    Batches,
  };
}
