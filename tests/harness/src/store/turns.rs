use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::process::StepKind;

type Applies = Box<dyn Fn(StepKind, &str) -> bool + Send + Sync>;

/// Lets two processes take turns: none makes a step that matters before it is its turn.
///
/// A turn is only given when each of them waits for one or is done, so that the order is the test's alone, however
/// many threads there are.
pub struct Turns {
    state: Mutex<State>,
    changed: Notify,
    applies: Applies,
}

#[derive(Default)]
struct State {
    waiting: [usize; 2],
    done: [bool; 2],
    granted: Option<usize>,
}

impl Turns {
    /// For steps that this applies to; the others are made at once.
    pub fn new(applies: impl Fn(StepKind, &str) -> bool + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            applies: Box::new(applies),
        }
    }

    /// Says that a process will make no steps any more.
    pub fn done(&self, who: usize) {
        self.lock().done[who] = true;
        self.changed.notify_waiters();
    }

    /// Gives turns until both are done. `choose` is asked when both wait, and says whose turn it is. Tells how
    /// many turns were given.
    pub async fn conduct(&self, mut choose: impl FnMut() -> usize) -> usize {
        let mut given = 0;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.done == [true, true] {
                    return given;
                }
                let settled = (0..2).all(|who| state.done[who] || state.waiting[who] > 0);
                if state.granted.is_none() && settled {
                    let who = match state.done {
                        [true, _] => 1,
                        [_, true] => 0,
                        _ => choose(),
                    };
                    state.granted = Some(who);
                    given += 1;
                    self.changed.notify_waiters();
                }
            }
            changed.await;
        }
    }

    /// Waits until it is the turn of `who`, if this step is one that matters.
    pub async fn wait(&self, who: usize, kind: StepKind, name: &str) {
        if !(self.applies)(kind, name) {
            return;
        }
        self.lock().waiting[who] += 1;
        self.changed.notify_waiters();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.granted == Some(who) {
                    state.granted = None;
                    state.waiting[who] -= 1;
                    self.changed.notify_waiters();
                    return;
                }
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
