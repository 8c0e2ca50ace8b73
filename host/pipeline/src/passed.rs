use std::collections::HashSet;

use crate::Offset;

/// The offsets that one look has passed, by their fingerprints. Coming to one of them again, a source would go round in a circle and append
/// the same rows for ever.
pub(crate) struct Passed(HashSet<u64>);

impl Passed {
    pub(crate) fn from(start: &Offset) -> Self {
        Self(HashSet::from([start.exact_fingerprint()]))
    }

    /// Passes one more. False when it was passed before.
    pub(crate) fn by(&mut self, offset: &Offset) -> bool {
        self.0.insert(offset.exact_fingerprint())
    }
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
        for again in ["0", "0.0", "1.0", "10e-1", "1.50"] {
            assert!(!passed.by(&offset(again)), "{again}");
        }
        assert!(passed.by(&offset("1.50000000000000000001")));
        assert!(!passed.by(&offset(" { \"b\" : [2, 3], \"a\" : 1 } ")));
    }
}
