use crate::RowsError;
use crate::decoder::utf8;
use crate::fault::{Found, Result};
use crate::pointer::{Pointer, descend};
use crate::scanner::{Kind, Scanner};

/// A JSON text, to look single values up in. Nothing of it is kept parsed: each question reads it anew, as far as it needs.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a>(&'a str);

impl<'a> Document<'a> {
    /// A text, which is UTF-8.
    ///
    /// # Errors
    /// [`RowsError::Json`] when it is not.
    pub fn new(text: &'a [u8]) -> Result<Self, RowsError> {
        utf8(text).map(Self)
    }

    /// The JSON text of the value at a JSON Pointer (RFC 6901), as it is written: `None` where nothing is there, as in a text of
    /// nothing but space.
    ///
    /// # Errors
    /// [`RowsError::Pointer`] for a pointer that is none, [`RowsError::Json`] where the text is not JSON as far as it is read.
    pub fn value(&self, pointer: &str) -> Result<Option<&'a str>, RowsError> {
        let pointer = Pointer::parse(pointer)?;
        let found = self.find(&pointer, |scanner| {
            let start = scanner.at();
            scanner.skip()?;
            let value = scanner.since(start);
            // The text itself is one value, and nothing else.
            match pointer == Pointer::default() && !scanner.is_end() {
                true => Err(scanner.fault(Found::MoreText)),
                false => Ok(value),
            }
        });
        found.map_err(|fault| fault.into_error())
    }

    /// The number of elements of the array at a JSON Pointer, 0 for `null` and for a text of nothing but space: `None` where
    /// nothing is there.
    ///
    /// # Errors
    /// As [`Document::value`]; [`RowsError::NoRows`] where something else is there.
    pub fn count(&self, pointer: &str) -> Result<Option<u64>, RowsError> {
        let pointer = Pointer::parse(pointer)?;
        let count = match pointer == Pointer::default() && Scanner::new(self.0).is_end() {
            true => Ok(Some(0)),
            false => self.find(&pointer, count),
        };
        count.map_err(|fault| fault.into_error())
    }

    fn find<T>(
        &self,
        pointer: &Pointer,
        take: impl FnOnce(&mut Scanner<'a>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut scanner = Scanner::new(self.0);
        if scanner.is_end() {
            return Ok(None);
        }
        match descend(&mut scanner, pointer)? {
            Some(_) => take(&mut scanner).map(Some),
            None => Ok(None),
        }
    }
}

fn count(scanner: &mut Scanner<'_>) -> Result<u64> {
    let mut elements = 0;
    match scanner.kind()? {
        Kind::Null => {}
        Kind::Array => {
            scanner.open(b'[', Found::NoValue)?;
            while scanner.element(elements == 0)? {
                scanner.skip()?;
                elements += 1;
            }
        }
        _ => return Err(scanner.fault(Found::NoRows("array"))),
    }
    Ok(elements)
}
