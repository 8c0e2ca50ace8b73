use std::collections::{HashSet, VecDeque};

use crate::{Offset, PipelineError};

/// The offsets that a run has visited, by their fingerprints. Coming to one of them again, a source would go round in a
/// circle and append the same rows for ever.
///
/// A run may go on for years, so that only the newest are all remembered. A longer circle comes back to a landmark: an
/// offset that stays remembered while twice as many come as before the one that it took the place of (Brent's way to find
/// a cycle). Whatever its length, a circle is gone round twice at most after its first round was complete.
#[derive(Clone)]
pub(crate) struct VisitedOffsets {
    recent: HashSet<u64>,
    /// The same, oldest first.
    order: VecDeque<u64>,
    landmark: u64,
    /// Offsets since the landmark, and how many of them make the next one.
    since: u64,
    until: u64,
}

/// Newest offsets that are remembered: some two megabytes.
const RECENT: usize = 1 << 16;

impl VisitedOffsets {
    pub(crate) fn new(start: &Offset) -> Self {
        let start = start.exact_fingerprint();
        Self {
            recent: HashSet::from([start]),
            order: VecDeque::from([start]),
            landmark: start,
            since: 0,
            until: 1,
        }
    }

    /// Whether an offset was visited, as far as is remembered.
    pub(crate) fn contains(&self, offset: &Offset) -> bool {
        let offset = offset.exact_fingerprint();
        offset == self.landmark || self.recent.contains(&offset)
    }

    /// Adds an offset. Returns false when it was visited before.
    pub(crate) fn insert(&mut self, offset: &Offset) -> bool {
        let offset = offset.exact_fingerprint();
        if offset == self.landmark || !self.recent.insert(offset) {
            return false;
        }
        self.order.push_back(offset);
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        self.since += 1;
        if self.since == self.until {
            self.landmark = offset;
            self.since = 0;
            self.until = self.until.saturating_mul(2);
        }
        true
    }
}

/// The error for a source that comes to an offset again.
pub(crate) fn goes_back(from: &Offset, to: &Offset) -> PipelineError {
    let (from, to) = (from.shown(), to.shown());
    PipelineError::Contract(format!(
        "it goes back: after {from} comes {to}, which was passed before"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_visited_once_however_it_is_spelled() {
        let offset = |text: &str| Offset::parse(text).unwrap();
        let mut visited = VisitedOffsets::new(&offset("0"));
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
            assert!(visited.insert(&offset(text)), "{text}");
            assert!(!visited.insert(&offset(text)), "{text}");
        }
        for again in ["0", "0.0", "1.0", "10e-1", "1.50"] {
            assert!(!visited.insert(&offset(again)), "{again}");
        }
        assert!(visited.insert(&offset("1.50000000000000000001")));
        assert!(!visited.insert(&offset(" { \"b\" : [2, 3], \"a\" : 1 } ")));
    }

    #[test]
    fn a_circle_of_any_length_is_noticed_and_memory_is_bounded() {
        let offset = |number: u64| Offset::from(serde_json::Value::from(number));
        // Rows before the circle, and its length.
        for (before, length) in [
            (0, 2),
            (5, 1),
            (0, 1_000),
            (70_000, 3),
            (3, 100_000),
            (100_000, 70_000),
        ] {
            let mut visited = VisitedOffsets::new(&offset(0));
            let at = |step: u64| match step < before + length {
                true => step,
                false => before + (step - before) % length,
            };
            let noticed = (1..).find(|step| !visited.insert(&offset(at(*step)))).unwrap();
            let max = match length <= RECENT as u64 {
                true => before + length,
                false => 3 * (before + length),
            };
            assert!(noticed <= max, "{before}, {length}: {noticed}");
            assert!(noticed >= before + length, "{before}, {length}: {noticed}");
            assert!(visited.recent.len() <= RECENT && visited.order.len() <= RECENT);
        }
    }
}
