use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Number of a micro-batch within its pipeline. The first one is 1; 0 means that none was committed.
pub type BatchId = u64;

/// The longest offset or partition that is taken from a source, in bytes of JSON text.
pub(crate) const MAX_JSON_BYTES: usize = 1024 * 1024;

/// The deepest nesting that is taken from a source. What an offset is stored in lies around it, and JSON of
/// more than 127 levels can't be read back.
const MAX_JSON_DEPTH: usize = 100;

/// A position in a stream: JSON that only its source understands.
///
/// Two offsets are equal when they are the same JSON value, whatever their spelling. They have no order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(Value);

/// A part of a range, to be read by itself: JSON that only its source understands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(Value);

macro_rules! json_text {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Takes JSON text.
            ///
            /// # Errors
            /// A message for people when the text is longer than 1 MiB, is nested deeper than 100 levels, or is
            /// not JSON.
            pub fn parse(text: &str) -> Result<Self, String> {
                if text.len() > MAX_JSON_BYTES {
                    return Err(format!(
                        concat!($what, " of {} bytes; {} are allowed"),
                        text.len(),
                        MAX_JSON_BYTES
                    ));
                }
                let value =
                    serde_json::from_str(text).map_err(|e| format!(concat!($what, " is not JSON: {}"), e))?;
                match depth(&value) {
                    0..=MAX_JSON_DEPTH => Ok(Self(value)),
                    depth => Err(format!(
                        concat!($what, " of {} nested levels; {} are allowed"),
                        depth, MAX_JSON_DEPTH
                    )),
                }
            }

            /// The value inside.
            pub fn value(&self) -> &Value {
                &self.0
            }
        }

        impl From<Value> for $name {
            fn from(value: Value) -> Self {
                Self(value)
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
    /// A number of 63 bits that tells this offset from others. Offsets that are equal have the same, in every
    /// version of this program: it is written into tables.
    ///
    /// It is the beginning of the SHA-256 of the value with its keys in order.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Sha256::new();
        feed(&mut hash, &self.0);
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
    }
}

json_text!(Offset, "offset");
json_text!(Partition, "partition");

/// Each value begins with its kind and ends with a mark or has a length, so that no two look alike.
fn feed(hash: &mut Sha256, value: &Value) {
    let mut text = |kind: u8, text: &str| {
        hash.update([kind]);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    match value {
        Value::Null => text(b'0', ""),
        Value::Bool(value) => text(b'b', if *value { "1" } else { "0" }),
        // Floats are spelled in many ways.
        Value::Number(value) => match value.as_f64().filter(|_| value.is_f64()) {
            Some(float) => text(b'f', &(float + 0.0).to_bits().to_string()),
            None => text(b'n', &value.to_string()),
        },
        Value::String(value) => text(b's', value),
        Value::Array(items) => {
            text(b'a', &items.len().to_string());
            items.iter().for_each(|item| feed(hash, item));
        }
        Value::Object(fields) => {
            text(b'o', &fields.len().to_string());
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            for (key, item) in sorted {
                feed(hash, &Value::String(key.clone()));
                feed(hash, item);
            }
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
