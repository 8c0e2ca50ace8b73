// A feed that is read by cursors: `GET {url}?size=100&cursor=...` gives `{"items": [...], "next": "..."}`.

import { FIRST, OffsetLost, Selection, SequentialSource, readPages } from "sandbar-sdk";

export default class Feed extends SequentialSource {
  static sourceName = "feed";
  static version = "0.1.0";
  static summary = "A feed that is read by cursors: id, name, email, body";
  static firstOffset = FIRST;
  static optionsSchema = {
    type: "object",
    required: ["url"],
    additionalProperties: false,
    properties: {
      url: { type: "string", format: "uri", pattern: "^https?://", description: "The URL of the feed." },
      page_size: { type: "integer", minimum: 1, maximum: 1000, default: 100 },
    },
  };

  constructor(_stream, options, client) {
    super();
    this.url = options.url;
    this.pageSize = options.page_size ?? 100;
    this.client = client;
  }

  check() {
    this.#page(null, 1);
  }

  schema() {
    return "id int, name string, email string, body string";
  }

  readFrom(start, limit) {
    const fetch = (cursor) => this.#page(cursor, this.pageSize);
    return readPages(start, limit, fetch, { rows: new Selection("/items"), nextCursor: "/next" });
  }

  #page(cursor, size) {
    const after = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = this.client.send({ url: `${this.url}?size=${size}${after}` });
    if (page.status === 410) {
      // What this API says of a cursor that has expired.
      throw new OffsetLost(`${page.request} gave 410: the cursor has expired`);
    }
    return page.throwForStatus();
  }
}
