//! JSON text that crosses the wall, in and out of serde types.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Enough of a text to recognise it in a message.
const SHOWN: usize = 200;

/// Reads what this source wrote before; `what` names it in the error.
pub(crate) fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::malformed(format_args!(
            "{what} {} is not one of this source: {error}",
            shown(text)
        ))
    })
}

pub(crate) fn write<T: Serialize>(what: &str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format_args!("{what} is not JSON: {error}")))
}

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_named_and_cut() {
        let error = read::<u64>("offset", "\"x\"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "malformed: offset \"x\" is not one of this source: invalid type: string \"x\", expected u64 at line 1 column 3"
        );
        let long = "ä".repeat(1000);
        assert!(read::<u64>("offset", &long).unwrap_err().to_string().len() < 400);
    }
}
