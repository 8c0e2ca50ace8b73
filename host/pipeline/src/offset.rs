use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

json_text!(Offset, "offset");
json_text!(Partition, "partition");

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
