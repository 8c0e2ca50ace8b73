use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::json::Number;
use crate::{Json, is_unprintable};

/// Number of a micro-batch within its pipeline. The first one is 1; 0 means that none was committed.
pub type BatchId = u64;

/// The longest offset or partition that is taken from a source, in bytes of JSON text.
pub(crate) const MAX_JSON_BYTES: usize = 1024 * 1024;

/// The deepest nesting that is taken from a source. What an offset is stored in lies around it, and JSON of
/// more than 127 levels can't be read back.
const MAX_JSON_DEPTH: usize = 100;

/// The maximum number of characters of an offset that people are shown.
const MAX_SHOWN: usize = 200;

/// A position in a stream: JSON that only its source understands.
///
/// Two offsets are equal when they are the same JSON value, whatever their spelling: see [`Json`]. They have no order.
/// Numbers come back as the source wrote them, digit by digit.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(Json);

/// A part of a range, to be read by itself: JSON that only its source understands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(Json);

macro_rules! json_text {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Takes JSON text.
            ///
            /// # Errors
            /// A message for people when the text is longer than 1 MiB, is nested deeper than 100 levels, is not
            /// JSON, or has a number that no 64-bit float comes near.
            pub fn parse(text: &str) -> Result<Self, String> {
                if text.len() > MAX_JSON_BYTES {
                    return Err(format!(
                        concat!($what, " of {} bytes; {} are allowed"),
                        text.len(),
                        MAX_JSON_BYTES
                    ));
                }
                let json = Json::parse(text).map_err(|e| format!(concat!($what, " is not JSON: {}"), e))?;
                match json.depth() {
                    0..=MAX_JSON_DEPTH => Ok(Self(json)),
                    depth => Err(format!(
                        concat!($what, " of {} nested levels; {} are allowed"),
                        depth, MAX_JSON_DEPTH
                    )),
                }
            }

            /// The value inside, for looking at: numbers have 64 bits there, and digits may be gone.
            pub fn value(&self) -> Value {
                self.0.to_value()
            }
        }

        impl From<Value> for $name {
            fn from(value: Value) -> Self {
                Self(value.into())
            }
        }

        impl From<Json> for $name {
            fn from(json: Json) -> Self {
                Self(json)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

impl Offset {
    /// A number of 63 bits that distinguishes this offset from others, the same in every version of this program: it is
    /// written into tables.
    ///
    /// It is the beginning of the SHA-256 of the value with its keys in order. Equal offsets have the same, but for
    /// a number that is written as a whole one here (`1`) and as another one there (`1.0`): old tables have different ones
    /// for those.
    pub fn fingerprint(&self) -> u64 {
        self.print(Number::stored_form)
    }

    /// A fingerprint that is the same for all offsets that are equal. It is in no table.
    pub(crate) fn exact_fingerprint(&self) -> u64 {
        self.print(Number::exact_form)
    }

    fn print(&self, number: NumberForm) -> u64 {
        let mut hash = Sha256::new();
        feed(&mut hash, &self.0, number);
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
    }

    /// How far this offset lies behind `latest`: the difference of the one whole number in which they differ, 0 when they
    /// are equal. `None` when they differ in anything else. Offsets are the source's own affair; for people the figure
    /// is worth showing.
    pub fn lag(&self, latest: &Self) -> Option<i64> {
        lag(&self.0, &latest.0)
    }

    /// The offset fit for people: at most 200 characters, cut with an ellipsis, and with control and direction
    /// characters replaced, since its source may put anything into it. [`Display`](fmt::Display) gives all of it, for
    /// programs.
    pub fn shown(&self) -> String {
        let mut shown = Shown::default();
        // It fails once it is full, so that the rest of a long offset is not even spelled.
        let _ = write!(shown, "{}", self.0);
        shown.text
    }
}

json_text!(Offset, "offset");
json_text!(Partition, "partition");

/// Text that takes characters until it is full.
#[derive(Default)]
struct Shown {
    text: String,
    characters: usize,
}

impl fmt::Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.characters == MAX_SHOWN {
                self.text.pop();
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.text.push(if is_unprintable(c) { '\u{fffd}' } else { c });
            self.characters += 1;
        }
        Ok(())
    }
}

/// The kind and the text that stand for a number in a fingerprint.
type NumberForm = fn(&Number) -> (u8, String);

/// Each value begins with its kind and ends with a mark or has a length, so that no two look alike.
fn feed(hash: &mut Sha256, value: &Json, number: NumberForm) {
    let mut text = |kind: u8, text: &str| {
        hash.update([kind]);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    match value {
        Json::Null => text(b'0', ""),
        Json::Bool(value) => text(b'b', if *value { "1" } else { "0" }),
        Json::Number(value) => {
            let (kind, form) = number(value);
            text(kind, &form);
        }
        Json::String(value) => text(b's', value),
        Json::Array(items) => {
            text(b'a', &items.len().to_string());
            items.iter().for_each(|item| feed(hash, item, number));
        }
        Json::Object(fields) => {
            text(b'o', &fields.len().to_string());
            for (key, item) in fields {
                feed(hash, &Json::String(key.clone()), number);
                feed(hash, item, number);
            }
        }
    }
}

fn lag(offset: &Json, latest: &Json) -> Option<i64> {
    match (offset, latest) {
        (a, b) if a == b => Some(0),
        (Json::Number(a), Json::Number(b)) => b.as_i64()?.checked_sub(a.as_i64()?),
        (Json::Object(a), Json::Object(b)) if a.len() == b.len() => {
            let mut differing = a.iter().filter(|(key, value)| b.get(*key) != Some(value));
            let (key, value) = differing.next()?;
            match differing.next() {
                None => lag(value, b.get(key)?),
                Some(_) => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Offset {
        Offset::from(Value::from(text))
    }

    #[test]
    fn an_offset_is_shown_as_json_without_what_works_on_a_terminal() {
        let plain = Offset::from(serde_json::json!({"current": [20, "ä"]}));
        assert_eq!(plain.shown(), plain.to_string());
        // JSON itself takes care of these.
        assert_eq!(text("a\u{1b}[2J\nb").shown(), r#""a\u001b[2J\nb""#);
        let others = "\u{7f}\u{80}\u{9b}\u{9f}\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}";
        for c in others.chars() {
            let offset = text(&format!("a{c}b"));
            assert_eq!(offset.shown(), "\"a\u{fffd}b\"", "{c:?}");
            assert_eq!(
                offset.to_string(),
                format!("\"a{c}b\""),
                "a program gets all of it"
            );
        }
        let key = Offset::from(serde_json::json!({"\u{202e}": 1}));
        assert_eq!(key.shown(), "{\"\u{fffd}\":1}");
    }

    #[test]
    fn a_long_offset_is_cut_with_an_ellipsis() {
        let fits = text(&"ä".repeat(198));
        assert_eq!(fits.shown(), fits.to_string());
        for more in [199, 200, MAX_JSON_BYTES] {
            let shown = text(&"ä".repeat(more)).shown();
            assert_eq!(shown, format!("\"{}…", "ä".repeat(198)), "{more}");
        }
        // In many pieces too.
        let shown = Offset::from(Value::from(vec![0; 10_000])).shown();
        assert_eq!(shown.chars().count(), 200);
        assert!(shown.starts_with("[0,0,") && shown.ends_with('…'), "{shown}");
    }

    #[test]
    fn lag_is_the_difference_of_the_one_number_that_differs() {
        let lag = |offset, latest| {
            Offset::parse(offset)
                .unwrap()
                .lag(&Offset::parse(latest).unwrap())
        };
        assert_eq!(lag(r#"{"current": 20}"#, r#"{"current": 500}"#), Some(480));
        assert_eq!(lag("7", "7.0"), Some(0));
        assert_eq!(lag("\"a\"", "\"a\""), Some(0));
        assert_eq!(lag(r#"{"cursor": "a"}"#, r#"{"cursor": "b"}"#), None);
        assert_eq!(lag(r#"{"a": 1, "b": 2}"#, r#"{"a": 2, "b": 3}"#), None);
        assert_eq!(
            lag("{\"a\": -9223372036854775808}", "{\"a\": 9223372036854775807}"),
            None
        );
        // Nothing is said of numbers that 64 bits don't hold, least of all that they are the same.
        assert_eq!(lag("1700000000.123456789", "1700000000.123456788"), None);
    }
}
