//! Clocks, in steps of a millisecond.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use sandbar_pipeline::Clock;
use wasmtime::component::Linker;
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::clocks;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use super::{Capability, HostState};

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[
        ("wasi:clocks/monotonic-clock", "measure time"),
        ("wasi:clocks/wall-clock", "know the time of day"),
    ],
    add_to_linker,
};

/// What a component sees of the time. Pages, pauses and timestamps need no more; a finer clock would tell it how long
/// the machine takes for single steps, and so what others do beside it.
const STEP: Duration = Duration::from_millis(1);

pub(super) fn make_coarse(builder: &mut WasiCtxBuilder, clock: &Arc<dyn Clock>) {
    builder
        .wall_clock(CoarseWallClock(clock.clone()))
        .monotonic_clock(CoarseMonotonicClock::new(clock.clone()));
}

fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, HostState::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, HostState::clocks)
}

/// The time of day, in steps.
struct CoarseWallClock(Arc<dyn Clock>);

/// Time since the instance began, in steps.
struct CoarseMonotonicClock {
    clock: Arc<dyn Clock>,
    began: Duration,
}

impl CoarseMonotonicClock {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let began = clock.elapsed();
        Self { clock, began }
    }
}

impl HostWallClock for CoarseWallClock {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        steps(self.0.now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl HostMonotonicClock for CoarseMonotonicClock {
    fn resolution(&self) -> u64 {
        nanos(STEP)
    }

    fn now(&self) -> u64 {
        nanos(steps(self.clock.elapsed().saturating_sub(self.began)))
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
    use sandbar_pipeline::SystemClock;

    use super::*;

    #[test]
    fn clocks_go_in_steps_of_a_millisecond() {
        let system: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let wall = CoarseWallClock(system.clone()).now();
        assert_eq!(wall.subsec_nanos() % 1_000_000, 0);
        assert!(
            wall > Duration::from_secs(1_700_000_000),
            "{wall:?} is the time of day"
        );
        assert_eq!(steps(Duration::from_nanos(5_999_999)), Duration::from_millis(5));
        let clock = CoarseMonotonicClock::new(system);
        let (before, after) = (clock.now(), clock.now());
        assert!(before <= after && before % 1_000_000 == 0);
    }
}
