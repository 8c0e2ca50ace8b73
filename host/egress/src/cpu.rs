use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::process::PerProcess;

/// The longest that an instance, or a connection, computes before others get their chance.
pub const TICK: Duration = Duration::from_millis(10);

/// Processor time of the calling thread.
pub fn thread_time() -> Duration {
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
pub struct CpuMeter {
    /// By the call that is under way, or the last one.
    used: AtomicU64,
    /// By calls before it, since the last report.
    before: AtomicU64,
    /// By this call since it last waited for something else than its turn.
    cpu_since_wait: AtomicU64,
    poll_began: AtomicU64,
    /// The poll that is under way ends because of a tick.
    interrupted: AtomicBool,
    /// Held while this instance computes on after a tick.
    slot: Mutex<Option<OwnedSemaphorePermit>>,
}

impl CpuMeter {
    /// What the call has used so far. Right only on the thread that polls it.
    pub fn used_while_polled(&self) -> Duration {
        Duration::from_nanos(self.used.load(Ordering::Relaxed).saturating_add(self.running()))
    }

    /// Begins a call, with a budget of its own.
    pub fn begin_call(&self) {
        let used = self.used.swap(0, Ordering::Relaxed);
        self.before.fetch_add(used, Ordering::Relaxed);
    }

    /// What all calls have used since this was last asked.
    pub fn take(&self) -> Duration {
        self.begin_call();
        Duration::from_nanos(self.before.swap(0, Ordering::Relaxed))
    }

    /// What an instance awaits that is still computing at a tick. Others get their chance; and who computes for longer
    /// than a tick goes on when it is its turn.
    pub fn yield_on_tick(self: &Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.interrupted.store(true, Ordering::Relaxed);
        let cpu_since_wait = self
            .cpu_since_wait
            .load(Ordering::Relaxed)
            .saturating_add(self.running());
        let meter = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if cpu_since_wait < nanos(TICK) {
                return;
            }
            let mut turn = std::pin::pin!(cpu_slots().acquire_owned());
            let turn = std::future::poll_fn(|context| {
                meter.interrupted.store(true, Ordering::Relaxed);
                turn.as_mut().poll(context)
            });
            *meter.slot() = turn.await.ok();
        })
    }

    fn running(&self) -> u64 {
        nanos(thread_time()).saturating_sub(self.poll_began.load(Ordering::Relaxed))
    }

    fn slot(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_poll(&self) {
        self.interrupted.store(false, Ordering::Relaxed);
        self.poll_began.store(nanos(thread_time()), Ordering::Relaxed);
    }

    fn end_poll(&self, pending: bool) {
        let took = self.running();
        self.used.fetch_add(took, Ordering::Relaxed);
        match pending && self.interrupted.load(Ordering::Relaxed) {
            true => _ = self.cpu_since_wait.fetch_add(took, Ordering::Relaxed),
            false => self.cpu_since_wait.store(0, Ordering::Relaxed),
        }
        // The next one's turn.
        *self.slot() = None;
    }
}

/// One turn less than the runtime has threads: however many instances do nothing but compute, a thread is left for those
/// that read and wait, and for the network, which tokio looks at once in 61 polls. Of the whole process, as its
/// processors are.
fn cpu_slots() -> Arc<Semaphore> {
    static SLOTS: PerProcess<Arc<Semaphore>> = PerProcess::new();
    let make = || {
        let threads = tokio::runtime::Handle::current().metrics().num_workers();
        Arc::new(Semaphore::new(threads.saturating_sub(1).max(1)))
    };
    SLOTS.get_or_init(make).clone()
}

/// Counts the time of every poll of `future` in `meter`.
pub fn metered<F: Future>(meter: Arc<CpuMeter>, future: F) -> Metered<F> {
    Metered {
        meter,
        future: Box::pin(future),
    }
}

/// A future whose polls are counted: see [`metered`].
pub struct Metered<F> {
    meter: Arc<CpuMeter>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.begin_poll();
        let polled = self.future.as_mut().poll(context);
        self.meter.end_poll(polled.is_pending());
        polled
    }
}

thread_local! {
    /// What is polled on this thread gave way, although there was more for it to do.
    static GAVE_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Lets others go first: what a connection does, in the place of reading on, that has more to read than any honest remote
/// sends. Its task goes on when it is its turn.
pub(crate) fn yield_turn(context: &mut Context<'_>) {
    GAVE_WAY.set(true);
    context.waker().wake_by_ref();
}

/// Runs the tasks of connections. Those that gave way, and have computed for longer than a tick without waiting for the
/// network, take turns with the components that compute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakeTurns;

impl<F> Executor<F> for TakeTurns
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(TakingTurns {
            meter: Arc::default(),
            turn: None,
            future: Box::pin(future),
        });
    }
}

struct TakingTurns<F> {
    meter: Arc<CpuMeter>,
    /// Waited for here and not where bytes are read: who has a turn must be polled until it is given back.
    turn: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    future: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for TakingTurns<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.meter.begin_poll();
        if let Some(turn) = &mut self.turn {
            if turn.as_mut().poll(context).is_pending() {
                self.meter.end_poll(true);
                return Poll::Pending;
            }
            self.turn = None;
        }
        GAVE_WAY.set(false);
        let polled = self.future.as_mut().poll(context);
        if GAVE_WAY.take() && polled.is_pending() {
            let mut turn = self.meter.yield_on_tick();
            self.turn = turn.as_mut().poll(context).is_pending().then_some(turn);
        }
        self.meter.end_poll(polled.is_pending());
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
