import { progressNote } from "./note.js";

/** What both kinds of source have in common. */
export class Source {
  static streams = null;
  static optionsSchema = { type: "object", additionalProperties: false };
  static firstOffset = null;

  static discover(_options, _client) {
    return knownStreams(this);
  }

  initialOffset() {
    return progressNote.load() ?? this.constructor.firstOffset;
  }

  commit(end) {
    progressNote.save(end);
  }
}

/** A source that can tell the end of a range before it reads. Its ranges are read in parallel. */
export class RangeSource extends Source {}

/** A source that learns the end of a range only by reading. */
export class SequentialSource extends Source {}

export function knownStreams(source) {
  return source.streams ?? [{ name: source.sourceName, summary: source.summary, key: [] }];
}
