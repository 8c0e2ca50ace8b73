// The examples as authors test their sources: natively, against a remote that is a function.

import assert from "node:assert/strict";
import test from "node:test";

import { Malformed, OffsetLost, Selection, Unauthorized, Unavailable } from "sandbar-sdk";
import { FakeClient, FakeResponse } from "sandbar-sdk/testing";

import Comments from "../examples/comments.js";
import Feed from "../examples/feed.js";

const number = (request, name) => Number(new URL(request.url).searchParams.get(name));
const at = (current) => ({ current });

function comments(rows, options = {}) {
  const client = new FakeClient((request) => {
    const [start, limit] = [number(request, "_start"), number(request, "_limit")];
    const page = [];
    for (let row = start; row < Math.min(rows, start + limit); row += 1) {
      page.push({ id: row + 1, name: `name ${row + 1}` });
    }
    return new FakeResponse(page, { headers: { "X-Total-Count": String(rows) } });
  });
  return [new Comments("comments", { api_url: "http://api/comments", ...options }, client), client];
}

test("a range is known before it is read", () => {
  const [source, client] = comments(25, { rows_per_batch: 10 });
  const latest = source.latestOffset(at(20), null);
  assert.deepEqual(latest, at(25));
  assert.deepEqual(source.batchEnd(at(0), latest, { maxRows: 100, maxBytes: null }), at(10));
  assert.deepEqual(source.batchEnd(at(20), latest, { maxRows: 3, maxBytes: null }), at(23));
  assert.equal(client.requests.length, 1);
  assert.throws(() => source.latestOffset(at(26), null), OffsetLost);
});

test("partitions cover the range once", () => {
  const [source] = comments(10_000, { page_size: 7 });
  for (const [first, last] of [[0, 0], [0, 1], [3, 500], [20, 45]]) {
    const parts = source.partitions(at(first), at(last));
    assert.ok(parts.length <= 16);
    let reached = first;
    for (const { start, end } of parts) {
      assert.equal(start, reached);
      assert.ok(end > start);
      reached = end;
    }
    assert.equal(reached, last);
  }
});

test("pages are read once", () => {
  const [source, client] = comments(25, { page_size: 10 });
  const ids = [...source.read({ start: 3, end: 25 })].flatMap((rows) => rows.objects.map(({ id }) => id));
  assert.deepEqual(ids, Array.from({ length: 22 }, (_, row) => row + 4));
  assert.equal(client.requests.length, 3);
});

test("what a remote does wrong has its error", () => {
  const nine = Array.from({ length: 9 }, () => ({ id: 1 }));
  for (const [response, error] of [
    [new FakeResponse("<html>", { status: 503, headers: { "Retry-After": "7" } }), Unavailable],
    [new FakeResponse("", { status: 401 }), Unauthorized],
    [new FakeResponse("<html>"), Malformed],
    [new FakeResponse({ error: "no" }), Malformed],
    [new FakeResponse(nine), Malformed],
    [new FakeResponse([]), Malformed],
  ]) {
    const source = new Comments("comments", { api_url: "http://api/c" }, new FakeClient(() => response));
    assert.throws(() => [...source.read({ start: 0, end: 3 })], error);
  }
});

function feed(rows) {
  const client = new FakeClient((request) => {
    if (request.url.includes("cursor=expired")) {
      return new FakeResponse({ error: "gone" }, { status: 410 });
    }
    const start = number(request, "cursor");
    const end = start + number(request, "size");
    const items = [];
    for (let row = start; row < Math.min(rows, end); row += 1) {
      items.push({ id: row + 1 });
    }
    return new FakeResponse({ items, next: end < rows ? String(end) : null });
  });
  return new Feed("feed", { url: "http://api/feed", page_size: 3 }, client);
}

test("reading on gives the rest, whatever the limit", () => {
  for (const maxRows of [1, 2, 3, 4, 7, 8]) {
    let position = Feed.firstOffset;
    const ids = [];
    for (;;) {
      const batches = [...feed(7).readFrom(position, { maxRows })];
      if (batches.length === 0) {
        break;
      }
      ids.push(...batches.flatMap(([rows]) => rows.objects.map(({ id }) => id)));
      position = JSON.parse(JSON.stringify(batches.at(-1)[1]));
    }
    assert.deepEqual(ids, [1, 2, 3, 4, 5, 6, 7]);
    // The last page may grow.
    assert.deepEqual([...feed(9).readFrom(position, { maxRows: null })].map(([rows]) => rows.count()), [2]);
  }
});

test("an expired cursor is lost", () => {
  assert.throws(() => [...feed(7).readFrom({ cursor: "expired", taken: 0 }, {})], OffsetLost);
  assert.throws(() => [...feed(7).readFrom({ cursor: "6", taken: 2 }, {})], OffsetLost);
});

test("an answer without rows or with an odd cursor is malformed", () => {
  for (const answer of [{ error: "try later" }, { items: [{ id: 1 }], next: false }, { items: [{ id: 1 }], next: {} }]) {
    const source = new Feed("feed", { url: "http://api/feed" }, new FakeClient(() => new FakeResponse(answer)));
    assert.throws(() => [...source.readFrom(Feed.firstOffset, { maxRows: null })], Malformed);
  }
});

test("columns come from pointers, texts and constants", () => {
  const selection = new Selection("/data").value("id", "/key/0").jsonText("user", "/user").constant("from", "api");
  const page = new FakeResponse({ data: [{ key: [1], user: { a: 1 } }, {}] });
  assert.deepEqual(page.rows(selection).objects, [
    { id: 1, user: '{"a":1}', from: "api" },
    { id: null, user: "null", from: "api" },
  ]);
});
