use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::Offset;

/// The offsets that one look has passed. Coming to one of them again, a source would go round in a circle and append
/// the same rows for ever.
pub(crate) struct Passed(HashSet<u64>);

impl Passed {
    pub(crate) fn from(start: &Offset) -> Self {
        Self(HashSet::from([fingerprint(start.value())]))
    }

    /// Passes one more. False when it was passed before.
    pub(crate) fn by(&mut self, offset: &Offset) -> bool {
        self.0.insert(fingerprint(offset.value()))
    }
}

/// The same for the same JSON value, whatever the order of its keys.
fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Object(fields) => {
            let sum = fields.iter().fold(0_u64, |sum, (key, value)| {
                let mut field = DefaultHasher::new();
                (key, fingerprint(value)).hash(&mut field);
                sum.wrapping_add(field.finish())
            });
            ("object", fields.len(), sum).hash(&mut hasher);
        }
        Value::Array(items) => {
            ("array", items.len()).hash(&mut hasher);
            items.iter().for_each(|item| fingerprint(item).hash(&mut hasher));
        }
        Value::String(text) => ("string", text).hash(&mut hasher),
        Value::Number(number) => ("number", number.to_string()).hash(&mut hasher),
        Value::Bool(boolean) => boolean.hash(&mut hasher),
        Value::Null => "null".hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_passed_once_however_it_is_spelled() {
        let offset = |text: &str| Offset::parse(text).unwrap();
        let mut passed = Passed::from(&offset("0"));
        for text in [
            "1",
            "\"1\"",
            "[1]",
            "[[1]]",
            "{\"a\":1,\"b\":[2,3]}",
            "{\"a\":[2,3],\"b\":1}",
            "null",
            "1.5",
        ] {
            assert!(passed.by(&offset(text)), "{text}");
            assert!(!passed.by(&offset(text)), "{text}");
        }
        assert!(!passed.by(&offset("0")));
        assert!(!passed.by(&offset(" { \"b\" : [2, 3], \"a\" : 1 } ")));
    }
}
