use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Processor time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Processor time of one call into an instance: the time that its future spends being polled.
///
/// Epoch ticks alone would not do: an instance that waits for the network misses many ticks at once and
/// would pay for all of them.
#[derive(Debug, Default)]
pub(crate) struct CpuMeter {
    /// By the call that is under way, or the last one.
    used: AtomicU64,
    /// By calls before it, since the last report.
    before: AtomicU64,
    poll_began: AtomicU64,
}

impl CpuMeter {
    /// What the call has used so far. Right only on the thread that polls it.
    pub(crate) fn used_while_polled(&self) -> Duration {
        let running = nanos(thread_time()).saturating_sub(self.poll_began.load(Ordering::Relaxed));
        Duration::from_nanos(self.used.load(Ordering::Relaxed).saturating_add(running))
    }

    /// Begins a call, with a budget of its own.
    pub(crate) fn begin_call(&self) {
        let used = self.used.swap(0, Ordering::Relaxed);
        self.before.fetch_add(used, Ordering::Relaxed);
    }

    /// What all calls have used since this was last asked.
    pub(crate) fn take(&self) -> Duration {
        self.begin_call();
        Duration::from_nanos(self.before.swap(0, Ordering::Relaxed))
    }
}

/// Counts the time of every poll of `future` in `meter`.
pub(crate) fn metered<F: Future>(meter: Arc<CpuMeter>, future: F) -> Metered<F> {
    Metered {
        meter,
        future: Box::pin(future),
    }
}

pub(crate) struct Metered<F> {
    meter: Arc<CpuMeter>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let began = nanos(thread_time());
        self.meter.poll_began.store(began, Ordering::Relaxed);
        let polled = self.future.as_mut().poll(context);
        let took = nanos(thread_time()).saturating_sub(began);
        self.meter.used.fetch_add(took, Ordering::Relaxed);
        polled
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_budgets_of_their_own_and_are_reported_together() {
        let meter = CpuMeter::default();
        meter.used.store(7, Ordering::Relaxed);
        meter.begin_call();
        assert_eq!(
            meter.used.load(Ordering::Relaxed),
            0,
            "the next call has all of its budget"
        );
        meter.used.store(5, Ordering::Relaxed);
        assert_eq!(meter.take(), Duration::from_nanos(12));
        assert_eq!(meter.take(), Duration::ZERO);
    }
}
