// Sources that are read by cursors: each page of the remote names the next one.

import { Malformed, OffsetLost } from "./errors.js";
import { Selection } from "./selection.js";

/**
 * The offset of the first page. `cursor` is that of a page, `taken` counts its rows that lie before the position: the last page has
 * no cursor to a next one, but may grow, so the position stays on it.
 */
export const FIRST = Object.freeze({ cursor: null, taken: 0 });

/**
 * Reads pages from `start` on, within the limit, which may end in the middle of a page. `rows` selects the rows of a page,
 * `nextCursor` is the JSON Pointer to the cursor of the next page, which is absent, null or empty on the last one, and `fetch`
 * asks for the page of a cursor. It throws `OffsetLost` where the remote no longer knows the cursor.
 */
export function* readPages(start, limit, fetch, { rows = new Selection(), nextCursor }) {
  let { cursor, taken } = start;
  let left = limit.maxRows ?? Infinity;
  const seen = new Set();
  while (left > 0) {
    const page = fetch(cursor);
    if (seen.has(cursor)) {
      throw new Malformed(`${page.request} is a page that came before it: the cursors go round in a circle`);
    }
    seen.add(cursor);
    const count = page.count(rows.path);
    if (count === null) {
      throw new Malformed(`${page.request} gave nothing at ${rows.path}, where its rows are to be`);
    }
    if (count < taken) {
      throw new OffsetLost(`${page.request} gave ${count} rows, and ${taken} of them were read before`);
    }
    const following = cursorOf(page, nextCursor);
    const wanted = Math.min(count - taken, left);
    left -= wanted;
    const before = taken;
    taken += wanted;
    const isDone = taken < count || following === null;
    const held = wanted > 0 ? page.rows(new Selection(rows.path, { ...rows, skip: before, maxRows: wanted })) : null;
    if (!isDone) {
      [cursor, taken] = [following, 0];
    }
    if (held !== null) {
      yield [held, { cursor, taken }];
    }
    if (isDone) {
      return;
    }
  }
}

/** Text, or a number as it is written: it may have more digits than JavaScript keeps. */
function cursorOf(page, pointer) {
  const text = page.valueText(pointer);
  if (text === null || text === "null") {
    return null;
  }
  if (text.startsWith('"')) {
    return JSON.parse(text) || null;
  }
  if (!/^[-0-9]/.test(text)) {
    throw new Malformed(`${page.request} gave a cursor that is neither text nor a number`);
  }
  return text;
}
