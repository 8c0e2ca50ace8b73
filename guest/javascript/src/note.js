// Where the progress note is kept. Outside of a host, as in a native test, it is kept in memory.

let text = null;
let keeper = {
  load: () => text,
  save: (note) => {
    text = note;
  },
};

export function keepWith(other) {
  keeper = other;
}

export const progressNote = {
  load() {
    const note = keeper.load();
    return note === null ? null : JSON.parse(note);
  },
  save(note) {
    keeper.save(JSON.stringify(note));
  },
};
