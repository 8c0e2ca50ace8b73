/// Why rows or a schema can't be read. Their own texts quote nothing of the values, which may be secret or huge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// The text is no JSON, or a value does not fit: with row, field and byte.
    #[error("{0}")]
    Json(String),
    /// Another value stands where the rows are to be. An answer of an API that has no rows is often an error in words.
    #[error("no {expected}")]
    NoRows {
        /// What is expected there, such as `array of rows`.
        expected: &'static str,
    },
    /// The rows take more than they may.
    #[error("rows that take more than {max} bytes")]
    TooLarge {
        /// The most bytes that they may take.
        max: usize,
    },
    /// The selection does not fit the schema.
    #[error("{0}")]
    Selection(String),
    /// A JSON Pointer is not well-formed.
    #[error("{pointer:?} is no JSON Pointer: {reason}")]
    Pointer {
        /// The pointer, or its beginning.
        pointer: String,
        /// Why not.
        reason: &'static str,
    },
    /// A column has a type that no JSON value stands for.
    #[error("the column {column:?} has the type {data_type}: {reason}")]
    Type {
        /// The column's name, or its beginning.
        column: String,
        /// Its type, or the beginning of it.
        data_type: String,
        /// Why not.
        reason: &'static str,
    },
    /// The text of a schema is not well-formed.
    #[error("the schema is wrong at character {at}: {reason}")]
    Schema {
        /// Where, counted from 1.
        at: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Enough of a text to recognise it in a message.
const SHOWN: usize = 60;

impl RowsError {
    /// What a remote gave, in words that follow "gave", where the error is one of its text. Where that is something else
    /// altogether, as an error page is, its beginning tells more than what is wrong with it.
    pub fn of_text(&self, text: &[u8]) -> Option<String> {
        let begin = String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(text));
        match self {
            Self::NoRows { expected } => Some(format!("no {expected} but {begin:?}")),
            Self::Json(_) if begin.trim_start().starts_with('<') => Some(format!("no JSON but {begin:?}")),
            Self::Json(reason) => Some(reason.clone()),
            _ => None,
        }
    }
}
