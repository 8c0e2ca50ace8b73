/// SplitMix64: numbers that a seed repeats.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `most`, which is at least 1.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// A number that hangs on all of these, in their order, and on nothing else.
pub(crate) fn hash(seed: u64, parts: &[&str]) -> u64 {
    parts.iter().fold(seed, |hash, part| {
        part.bytes()
            .fold(mix(hash), |hash, byte| mix(hash ^ u64::from(byte)))
    })
}

fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
