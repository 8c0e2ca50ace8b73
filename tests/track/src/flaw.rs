use serde::{Deserialize, Serialize};

/// One way to misbehave, as the value of the option `flaw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// Computes for ever while it looks for an end.
    Spin,
    /// Takes memory for ever while it looks for an end.
    Allocate,
    /// Panics while it looks for an end.
    Panic,
    /// Fails with this text while it looks for an end.
    Fail(String),
    /// Sends a request to this URL while it looks for an end.
    Ask(String),
    /// Keeps a note before anything is done.
    NoteEarly,
    /// Keeps this note at the end.
    Note(String),
    /// Gives so many streams.
    Tables(u32),
    /// Opens a stream of this name, whatever it was told to open.
    OtherTable(String),
    /// Has these columns.
    Columns(String),
    /// Begins at this offset.
    Begin(String),
    /// Gives so many parts.
    Parts(u32),
    /// Gives this part.
    Part(String),
    /// Gives these rows.
    Rows(String),
    /// Gives pages without rows for ever.
    EmptyPages,
}
