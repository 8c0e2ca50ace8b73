use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::hash::Hash;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// After so many turns of everything else a test gives up.
pub(crate) const PATIENCE: usize = 10_000;

pub(crate) type Shared<T> = Arc<Mutex<T>>;

/// What happens at one call.
pub(crate) enum Step<E> {
    Pass,
    /// The call fails and does nothing.
    Fail(E),
    /// The call does what it should, and fails.
    FailAfter(E),
    Do(Box<dyn FnOnce() + Send>),
    Wait(Gate),
}

/// Steps for the next calls of each kind. Calls beyond the script pass.
pub(crate) struct Script<C, E>(HashMap<C, VecDeque<Step<E>>>);

/// A place where tasks wait until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Doorway>);

#[derive(Default)]
struct Doorway {
    arrived: AtomicUsize,
    open: AtomicBool,
}

impl<C, E> Default for Script<C, E> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<C: Hash + Eq + Copy, E> Script<C, E> {
    pub(crate) fn add(&mut self, call: C, steps: impl IntoIterator<Item = Step<E>>) {
        self.0.entry(call).or_default().extend(steps);
    }

    pub(crate) fn take(&mut self, call: C) -> Step<E> {
        self.0
            .get_mut(&call)
            .and_then(VecDeque::pop_front)
            .unwrap_or(Step::Pass)
    }
}

impl<E> Step<E> {
    /// Does what comes before the call's effect. `Some` is the error to give after it.
    pub(crate) async fn begin(self) -> Result<Option<E>, E> {
        yield_once().await;
        match self {
            Self::Pass => {}
            Self::Fail(e) => return Err(e),
            Self::FailAfter(e) => return Ok(Some(e)),
            Self::Do(act) => act(),
            Self::Wait(gate) => gate.enter().await,
        }
        Ok(None)
    }
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self) {
        self.0.open.store(true, SeqCst);
    }

    /// Waits until that many have arrived, open or not.
    pub(crate) async fn arrivals(&self, count: usize) {
        let here = || self.0.arrived.load(SeqCst);
        for _ in 0..PATIENCE {
            if here() >= count {
                return;
            }
            yield_once().await;
        }
        panic!("{} arrived, not {count}", here());
    }

    async fn enter(&self) {
        self.0.arrived.fetch_add(1, SeqCst);
        for _ in 0..10 * PATIENCE {
            if self.0.open.load(SeqCst) {
                return;
            }
            yield_once().await;
        }
        panic!("nobody opened the gate");
    }
}

pub(crate) fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    // A failed assertion elsewhere is told there.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn shared<T>(value: T) -> Shared<T> {
    Arc::new(Mutex::new(value))
}

/// Lets a test stop, kill or interleave right here.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets everything else that can go on go on, until it is done or waits.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}
