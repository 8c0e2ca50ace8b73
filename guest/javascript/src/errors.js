// What went wrong, sorted by what someone can do about it. The cases are those of the contract.

/** An error of the contract. Its message names the request or the option. */
export class SourceError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

export class InvalidOptions extends SourceError {}
export class Unauthorized extends SourceError {}
export class Malformed extends SourceError {}
export class OffsetLost extends SourceError {}
export class Internal extends SourceError {}

export class Unavailable extends SourceError {
  /** @param {number | null} retryAfter the pause that the remote asked for, in seconds */
  constructor(message, retryAfter = null) {
    super(message);
    this.retryAfter = retryAfter;
  }
}
