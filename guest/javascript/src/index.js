// Write a Sandbar source: a class that extends RangeSource or SequentialSource. `sandbar-sdk build file.js -o name.wasm` makes a
// component of its default export.

export { Internal, InvalidOptions, Malformed, OffsetLost, SourceError, Unauthorized, Unavailable } from "./errors.js";
export { FIRST, readPages } from "./cursor.js";
export { progressNote } from "./note.js";
export { Selection } from "./selection.js";
export { RangeSource, SequentialSource } from "./source.js";
