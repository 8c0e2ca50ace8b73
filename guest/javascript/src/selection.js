/** Which rows of a JSON text, and what their columns are. Places are JSON Pointers (RFC 6901). */
export class Selection {
  constructor(path = "", { layout = "array", skip = 0, maxRows = null, columns = [] } = {}) {
    this.path = path;
    this.layout = layout;
    this.skip = skip;
    this.maxRows = maxRows;
    this.columns = columns;
    Object.freeze(this);
  }

  value(column, pointer) {
    return this.#with(column, { tag: "value", val: pointer });
  }

  jsonText(column, pointer) {
    return this.#with(column, { tag: "json-text", val: pointer });
  }

  constant(column, value) {
    return this.#with(column, { tag: "constant", val: JSON.stringify(value) });
  }

  #with(name, source) {
    return new Selection(this.path, { ...this, columns: [...this.columns, { name, source }] });
  }
}
