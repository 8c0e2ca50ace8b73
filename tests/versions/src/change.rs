use serde::{Deserialize, Serialize};

/// Begins the room inside the component's bytes where [`Change`] stands as JSON.
pub const MARK: &str = "what this version of comments does:";

/// The bytes of that room, with the mark.
pub const ROOM: usize = 2 << 10;

/// In what a version differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// Nothing but other bytes.
    pub salt: String,
    /// Its columns, as the SDK's schemas are written.
    pub columns: Option<String>,
    /// How it misbehaves.
    pub flaw: Option<Flaw>,
}

/// A way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// It does not open.
    Open,
    /// It does not know the offset at which it is to go on.
    Lost,
    /// It ends a micro-batch 5 rows before its start.
    Back,
    /// It promises rows, and ends each micro-batch at its start.
    Stays,
    /// Reading fails.
    Fail,
    /// Reading panics, of rows from this one on.
    PanicFrom(u64),
    /// Reading never ends, without computing.
    Endless,
}

impl Change {
    /// Another version that does the same.
    #[must_use]
    pub fn salted(salt: &str) -> Self {
        Self {
            salt: salt.to_owned(),
            ..Self::default()
        }
    }

    /// One that misbehaves.
    #[must_use]
    pub fn flawed(flaw: Flaw) -> Self {
        Self {
            flaw: Some(flaw),
            ..Self::default()
        }
    }

    /// One with these columns.
    #[must_use]
    pub fn with_columns(columns: &str) -> Self {
        Self {
            columns: Some(columns.to_owned()),
            ..Self::default()
        }
    }
}
