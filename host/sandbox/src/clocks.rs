use std::time::Duration;

use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// What a component sees of the time. Pages, pauses and timestamps need no more; a finer clock would tell it how long
/// the machine takes for single steps, and so what others do beside it.
const STEP: Duration = Duration::from_millis(1);

/// The time of day, in steps.
pub(crate) struct CoarseWallClock;

/// Time since the instance began, in steps.
pub(crate) struct CoarseMonotonicClock(Instant);

impl CoarseMonotonicClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl HostWallClock for CoarseWallClock {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or_default());
        steps(seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or_default()))
    }
}

impl HostMonotonicClock for CoarseMonotonicClock {
    fn resolution(&self) -> u64 {
        nanos(STEP)
    }

    fn now(&self) -> u64 {
        nanos(steps(self.0.elapsed()))
    }
}

fn steps(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_in_steps_of_a_millisecond() {
        let wall = CoarseWallClock.now();
        assert_eq!(wall.subsec_nanos() % 1_000_000, 0);
        assert!(
            wall > Duration::from_secs(1_700_000_000),
            "{wall:?} is the time of day"
        );
        assert_eq!(steps(Duration::from_nanos(5_999_999)), Duration::from_millis(5));
        let clock = CoarseMonotonicClock::new();
        let (before, after) = (clock.now(), clock.now());
        assert!(before <= after && before % 1_000_000 == 0);
    }
}
