use std::time::Duration;

use crate::Clock;

/// Pauses between tries of something that failed. Each is twice as long as the one before, up to a maximum.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
    /// The state of a generator of random numbers, where pauses vary.
    random: Option<u64>,
}

impl Backoff {
    /// The first pause is `base`, the longest one `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            failures: 0,
            random: None,
        }
    }

    /// Shortens each pause by a random part of it, at most a half, so that programs that failed together do not come
    /// back together. Equal seeds give equal pauses.
    #[must_use]
    pub fn with_jitter(mut self, seed: u64) -> Self {
        self.random = Some(seed);
        self
    }

    /// The pauses so far, each of which followed a failure.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure and returns the pause after it.
    pub fn next_pause(&mut self) -> Duration {
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        let pause = doubled.min(self.max);
        match &mut self.random {
            Some(state) => pause - (pause / 2).mul_f64(fraction(state)),
            None => pause,
        }
    }

    /// Counts a failure and sleeps for the pause after it.
    pub async fn pause(&mut self, clock: &dyn Clock) {
        let pause = self.next_pause();
        clock.sleep(pause).await;
    }
}

/// The next random number from 0 to 1, by SplitMix64.
fn fraction(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(200);

    fn pauses(mut backoff: Backoff, count: usize) -> Vec<u128> {
        (0..count).map(|_| backoff.next_pause().as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let backoff = Backoff::new(BASE, Duration::from_millis(700));
        assert_eq!(pauses(backoff, 4), [200, 400, 700, 700]);
        let mut long = Backoff::new(BASE, Duration::MAX);
        (0..100).for_each(|_| {
            long.next_pause();
        });
        assert_eq!(long.failures(), 100);
    }

    #[test]
    fn jitter_shortens_pauses_by_a_half_at_most_and_equal_seeds_give_equal_pauses() {
        let jittered = |seed| pauses(Backoff::new(BASE, BASE).with_jitter(seed), 1000);
        let first = jittered(1);
        assert!(first.iter().all(|pause| (100..=200).contains(pause)));
        assert!(first.iter().any(|pause| *pause < 110) && first.iter().any(|pause| *pause > 190));
        assert_eq!(first, jittered(1));
        assert_ne!(first, jittered(2));
    }
}
