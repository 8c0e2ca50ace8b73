//! JSON text that crosses the wall, in and out of serde types.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Enough of a text to recognise it in a message.
const SHOWN: usize = 200;

/// Reads what this source wrote before, or an operator; `what` names it in the error.
///
/// A number that the type rounds is refused: the source would go on from another place than the one that it was told.
pub(crate) fn read<T: Serialize + DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    let value = serde_json::from_str(text).map_err(|error| {
        Error::malformed(format_args!(
            "{what} {} is not one of this source: {error}",
            shown(text)
        ))
    })?;
    match rounded(text, &value) {
        Some(number) => Err(Error::malformed(format_args!(
            "{what} {} is not one of this source, which would take the number {} for another one: it has more digits \
             than the source keeps",
            shown(text),
            shown(number)
        ))),
        None => Ok(value),
    }
}

pub(crate) fn write<T: Serialize>(what: &str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format_args!("{what} is not JSON: {error}")))
}

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

/// A number of the text that 64 bits don't hold, and that is not in the value that was read from it.
fn rounded<'a>(text: &'a str, value: &impl Serialize) -> Option<&'a str> {
    let mut long = numbers(text).filter(|number| !fits_64_bits(number)).peekable();
    // Hardly any text has such a number.
    long.peek()?;
    let kept = serde_json::to_string(value).unwrap_or_default();
    let kept: Vec<_> = numbers(&kept).map(decimal).collect();
    long.find(|number| !kept.contains(&decimal(number)))
}

fn fits_64_bits(number: &str) -> bool {
    let float = || {
        number
            .parse::<f64>()
            .is_ok_and(|float| decimal(&float.to_string()) == decimal(number))
    };
    number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok() || float()
}

/// A number without its spelling: its sign, its digits without zeros at their ends, and the place of the point.
fn decimal(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('-');
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return (false, String::new(), 0);
    }
    let point = whole.len() as i64 - (digits.len() - significant.len()) as i64;
    let exponent = exponent.parse().unwrap_or(i64::MAX);
    let digits = significant.trim_end_matches('0').to_owned();
    (number.starts_with('-'), digits, point.saturating_add(exponent))
}

/// The numbers of a text that is JSON.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?..];
            let Some(string) = rest.strip_prefix('"') else {
                let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
                let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
                rest = behind;
                return Some(number);
            };
            let mut escaped = false;
            let end = string.find(|c| match c {
                '"' if !escaped => true,
                c => {
                    escaped = c == '\\' && !escaped;
                    false
                }
            })?;
            rest = &string[end + 1..];
        }
    })
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

    #[test]
    fn numbers_are_found_between_strings() {
        let found = |text| numbers(text).collect::<Vec<_>>();
        assert_eq!(
            found(r#"{"a1":-1.5e+3,"\\":[2,"3\"4",true,null,{"":"5"},6]}"#),
            ["-1.5e+3", "2", "6"]
        );
        assert!(found("\"1\"").is_empty());
        assert_eq!(found(" 7"), ["7"]);
    }

    #[test]
    fn a_number_that_the_type_rounds_is_refused() {
        for (text, wide) in [
            ("0.1", "0.1"),
            ("1.50", "1.5"),
            ("1E+2", "100.0"),
            ("-0", "-0.0"),
            ("5e-324", "5e-324"),
            ("9007199254740992", "9007199254740992.0"),
        ] {
            let value: f64 = read("offset", text).unwrap();
            assert_eq!(write("offset", &value).unwrap(), wide);
        }
        for text in [
            "1700000000.123456789",
            "1e-400",
            "18446744073709551616",
            "0.1000000000000000055511151231257827",
        ] {
            let error = read::<f64>("offset", text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("more digits"), "{error}");
            let inside = format!("{{\"at\": [{text}]}}");
            assert!(
                read::<serde_json::Value>("progress note", &inside).is_err(),
                "{text}"
            );
        }
        // What holds such a number may have it.
        let large = "340282366920938463463374607431768211455";
        assert_eq!(read::<u128>("offset", large).unwrap(), u128::MAX);
        assert_eq!(
            read::<String>("offset", "\"1700000000.123456789\"")
                .unwrap()
                .len(),
            20
        );
        assert!(read::<u64>("offset", "18446744073709551616").is_err());
        assert!(read::<u64>("offset", "20.0").is_err());
    }
}
