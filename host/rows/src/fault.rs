use std::fmt;

use crate::RowsError;

/// Why a text can't be read, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The byte of the text.
    at: usize,
    found: Found,
    /// The fields that lead to it, innermost first.
    path: Vec<String>,
    row: Option<u64>,
}

pub(crate) type Result<T, E = Box<Fault>> = std::result::Result<T, E>;

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    End,
    NoValue,
    NoElement,
    NoMember,
    NoColon,
    NoNumber,
    NoEscape,
    LoneSurrogate,
    ControlCharacter,
    TooDeep,
    MoreText,
    /// A value of another kind than the column has.
    Not(&'static str),
    /// A value of the right kind that the column can't hold.
    Unfit(&'static str),
    /// Another value where the rows are to be.
    NoRows(&'static str),
    Twice,
    Missing,
    TooManyRows(usize),
    TooManyBytes(usize),
}

impl Fault {
    pub(crate) fn new(at: usize, found: Found) -> Box<Self> {
        Box::new(Self {
            at,
            found,
            path: vec![],
            row: None,
        })
    }

    /// The error of the text.
    pub(crate) fn into_error(self: Box<Self>) -> RowsError {
        match self.found {
            Found::NoRows(expected) => RowsError::NoRows { expected },
            Found::TooManyBytes(max) => RowsError::TooLarge { max },
            _ => RowsError::Json(self.to_string()),
        }
    }

    /// The same fault, in a field.
    pub(crate) fn within(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.path.push(field.to_owned());
        self
    }

    /// The same fault, in a row.
    pub(crate) fn in_row(mut self: Box<Self>, row: u64) -> Box<Self> {
        self.row = self.row.or(Some(row));
        self
    }
}

impl Found {
    /// Whether the text is no JSON there.
    pub(crate) fn is_of_syntax(self) -> bool {
        matches!(
            self,
            Self::NoValue
                | Self::NoElement
                | Self::NoMember
                | Self::NoColon
                | Self::NoNumber
                | Self::NoEscape
        )
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the text is cut off"),
            Self::NoValue => f.write_str("no JSON value is here"),
            Self::NoElement => f.write_str("an array goes on with neither a comma nor its end"),
            Self::NoMember => f.write_str("an object goes on with neither a member nor its end"),
            Self::NoColon => f.write_str("a colon is missing after a name"),
            Self::NoNumber => f.write_str("a number is not written as JSON has it"),
            Self::NoEscape => f.write_str("a string has an escape that JSON does not know"),
            Self::LoneSurrogate => {
                f.write_str("a string has half of a surrogate pair, which is no character")
            }
            Self::ControlCharacter => f.write_str("a string has a control character that is not escaped"),
            Self::TooDeep => f.write_str("values nest deeper than 128 levels"),
            Self::MoreText => f.write_str("text follows the end of the value"),
            Self::Not(expected) => write!(f, "{expected} is expected, and another kind of value is here"),
            Self::Unfit(why) => f.write_str(why),
            Self::NoRows(expected) => write!(f, "{expected} is expected"),
            Self::Twice => f.write_str("the object has this name twice"),
            Self::Missing => f.write_str("a value is missing, and the column may not be null"),
            Self::TooManyRows(max) => write!(f, "there are more than {max} rows"),
            Self::TooManyBytes(max) => write!(f, "the rows take more than {max} bytes"),
        }
    }
}

/// Follows "gave", or stands alone. Rows count from 0.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "row {row}")?,
            None => f.write_str("JSON that can't be read")?,
        }
        for (index, field) in self.path.iter().rev().enumerate() {
            f.write_str(if index == 0 { ", field " } else { "." })?;
            f.write_str(field)?;
        }
        f.write_str(": ")?;
        write!(f, "{} (byte {})", self.found, self.at)
    }
}
