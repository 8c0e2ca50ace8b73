import type { Client, HeldRows, Json, Request, Response } from "./index.js";

/** Rows as a host would hold them: `objects` are their members, by the columns that were selected. */
export class FakeRows implements HeldRows {
  objects: Record<string, any>[];
  count(): number;
}

/** What a remote is made to answer. Types of columns are not checked: hosts do that. */
export interface FakeResponse extends Response {}
export class FakeResponse {
  constructor(body?: string | object, options?: { status?: number; headers?: Record<string, string> });
}

/** A client over a function from a request to a response. `requests` are those that it was sent. */
export interface FakeClient extends Client {}
export class FakeClient {
  constructor(answer: (request: Request) => FakeResponse);
  requests: Request[];
}

export type { Json };
