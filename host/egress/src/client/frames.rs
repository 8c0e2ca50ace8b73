//! Reads along which frames of HTTP/2 come (RFC 9113, section 4.1), and no more of them than where they end.

/// Names of the types of frames by their numbers; all others are unknown.
const NAMES: [&str; 11] = [
    "empty DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
    "unknown",
];
const DATA: u8 = 0;
/// Of the frame's flags.
const PADDED: u8 = 0x8;
const HEAD: usize = 9;
/// What a frame costs at least, however short it is: it is looked at, and some are answered.
const LEAST: u64 = 32;

/// What one frame counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes of a body.
    pub(crate) data: u64,
    /// Everything else.
    pub(crate) cost: u64,
}

/// Where in a frame the reader is, and what came so far.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: [u8; HEAD],
    have: usize,
    /// Bytes until the next head.
    skip: u64,
    /// The length of a padded frame, whose first byte says how much of it is padding.
    padded: Option<u64>,
    /// How many, and what they cost, by type.
    counts: [(u64, u64); NAMES.len()],
}

impl Frames {
    /// Reads on, and tells of each frame when its head is whole.
    pub(crate) fn read(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Frame)) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            if let Some(length) = self.padded.take() {
                self.skip = length - 1;
                let data = self.skip.saturating_sub(u64::from(*first));
                tell(self.count(DATA, length, data));
                continue;
            }
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *first;
            }
            self.have += 1;
            if self.have < HEAD {
                continue;
            }
            self.have = 0;
            let [a, b, c, kind, flags, ..] = self.head;
            let length = u64::from(u32::from_be_bytes([0, a, b, c]));
            if kind == DATA && flags & PADDED != 0 && length > 0 {
                self.padded = Some(length);
                continue;
            }
            self.skip = length;
            let data = if kind == DATA { length } else { 0 };
            tell(self.count(kind, length, data));
        }
    }

    /// Begins to count anew.
    pub(crate) fn forget(&mut self) {
        self.counts = Default::default();
    }

    /// How many came, and of which type most.
    pub(crate) fn told(&self) -> String {
        let frames: u64 = self.counts.iter().map(|(frames, _)| frames).sum();
        let dearest = self.counts.iter().zip(NAMES).max_by_key(|((_, cost), _)| *cost);
        let name = dearest.map_or("unknown", |(_, name)| name);
        format!("{frames} frames of HTTP/2, most of them {name},")
    }

    fn count(&mut self, kind: u8, length: u64, data: u64) -> Frame {
        let around = HEAD as u64 + length - data;
        let cost = if data > 0 { around } else { around.max(LEAST) };
        let place = usize::from(kind).min(NAMES.len() - 1);
        if let Some((frames, sum)) = self.counts.get_mut(place) {
            *frames += 1;
            *sum += cost;
        }
        Frame { data, cost }
    }
}
