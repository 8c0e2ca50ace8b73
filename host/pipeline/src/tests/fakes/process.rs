//! A process and its calls to the outside: each is a point at which it may end, fail or wait.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

use super::script::{Shared, lock, shared};
use crate::{SinkError, SourceError};

/// What a call to the outside is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    LastCommitted,
    Verify,
    LoadEntry,
    InitialOffset,
    LoadNote,
    /// `latest_offset` for all that exists.
    Look,
    /// `latest_offset` for one micro-batch.
    Plan,
    Partitions,
    /// `read` or `read_from`.
    Read,
    Next,
    Prepare,
    Stage,
    Write,
    Finish,
    Claim,
    Commit,
    List,
    Delete,
    Acknowledge,
    SaveNote,
    LoadVersions,
    SaveVersions,
}

/// What happens to a process at a point, in the words of `tests/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is gone: nothing that it began goes on.
    Crash,
    /// The call fails, and trying again is of no use.
    Error,
    /// The call fails as one does that may work later.
    Unavailable,
    /// The whole process waits until it is told to go on.
    Pause,
    /// Someone asks it to stop.
    Stop,
}

/// Whether the call has had its effect when the fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Before,
    After,
}

/// Which of a process's calls is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The n-th call of all, counted from 1.
    Call(usize),
    /// The first call of this kind in the n-th micro-batch of the process, counted from 1 by the first plan
    /// of each. What comes before belongs to 0, as telling the source once more does.
    MicroBatch(Point, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Going,
    Paused,
    Gone,
}

/// One process. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Process {
    state: Shared<State>,
    status: Arc<watch::Sender<Status>>,
}

/// A call that has begun: its effect is free to happen, at once and without waiting.
#[must_use]
pub(crate) struct Begun {
    process: Process,
    point: Point,
    call: usize,
    micro_batch: usize,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("{point:?} failed, {effect:?} its effect")]
pub(crate) struct CallFailed {
    point: Point,
    effect: Effect,
    unavailable: bool,
}

#[derive(Default)]
struct State {
    points: Vec<Point>,
    faults: Vec<(At, Effect, Fault)>,
    micro_batch: usize,
    /// The last micro-batch that was planned has come to its commit.
    committing: bool,
    on_stop: Option<Box<dyn Fn() + Send>>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            state: shared(State::default()),
            status: Arc::new(watch::Sender::new(Status::Going)),
        }
    }
}

impl Process {
    pub(crate) fn meets(&self, at: At, effect: Effect, fault: Fault) {
        lock(&self.state).faults.push((at, effect, fault));
    }

    /// How a stop is asked for.
    pub(crate) fn on_stop(&self, act: impl Fn() + Send + 'static) {
        lock(&self.state).on_stop = Some(Box::new(act));
    }

    /// Every call so far.
    pub(crate) fn points(&self) -> Vec<Point> {
        lock(&self.state).points.clone()
    }

    /// What was to happen and did not.
    pub(crate) fn unmet(&self) -> Vec<(At, Effect, Fault)> {
        lock(&self.state).faults.clone()
    }

    pub(crate) fn resume(&self) {
        self.status.send_replace(Status::Going);
    }

    /// How it is at this moment.
    pub(crate) fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Waits until it pauses or is gone.
    pub(crate) async fn halted(&self) -> Status {
        let mut status = self.status.subscribe();
        let halted = status.wait_for(|status| *status != Status::Going).await;
        *halted.unwrap()
    }

    /// One call to the outside. Nothing may be waited for between this and the effect.
    pub(crate) async fn begin(&self, point: Point) -> Result<Begun, CallFailed> {
        self.going().await;
        let begun = self.arrive(point);
        begun.suffer(Effect::Before).await?;
        Ok(begun)
    }

    fn arrive(&self, point: Point) -> Begun {
        let mut state = lock(&self.state);
        if point == Point::Plan && (state.micro_batch == 0 || state.committing) {
            (state.micro_batch, state.committing) = (state.micro_batch + 1, false);
        }
        state.committing |= point == Point::Commit;
        state.points.push(point);
        Begun {
            process: self.clone(),
            point,
            call: state.points.len(),
            micro_batch: state.micro_batch,
        }
    }

    /// Passes in the very turn in which the process is going; never, once it is gone.
    async fn going(&self) {
        let status = *self.status.borrow();
        match status {
            Status::Going => {}
            Status::Gone => pending().await,
            Status::Paused => {
                let mut status = self.status.subscribe();
                let _ = status.wait_for(|status| *status == Status::Going).await;
                // A pause may be followed by another one before this is woken up.
                Box::pin(self.going()).await;
            }
        }
    }
}

impl Begun {
    /// The answer is on its way back.
    pub(crate) async fn end(self) -> Result<(), CallFailed> {
        self.suffer(Effect::After).await?;
        self.process.going().await;
        Ok(())
    }

    fn fault(&self, effect: Effect) -> Option<Fault> {
        let mut state = lock(&self.process.state);
        let here = |at: At| match at {
            At::Call(n) => n == self.call,
            At::MicroBatch(point, n) => (point, n) == (self.point, self.micro_batch),
        };
        let index = state
            .faults
            .iter()
            .position(|(at, s, _)| here(*at) && *s == effect)?;
        Some(state.faults.remove(index).2)
    }

    async fn suffer(&self, effect: Effect) -> Result<(), CallFailed> {
        let fault = |unavailable| CallFailed {
            point: self.point,
            effect,
            unavailable,
        };
        match self.fault(effect) {
            None => return Ok(()),
            Some(Fault::Error) => return Err(fault(false)),
            Some(Fault::Unavailable) => return Err(fault(true)),
            Some(Fault::Crash) => _ = self.process.status.send_replace(Status::Gone),
            Some(Fault::Pause) => _ = self.process.status.send_replace(Status::Paused),
            Some(Fault::Stop) => {
                let state = lock(&self.process.state);
                state.on_stop.as_ref().expect("a stop has a way")();
            }
        }
        self.process.going().await;
        Ok(())
    }
}

impl From<CallFailed> for SourceError {
    fn from(fault: CallFailed) -> Self {
        match fault.unavailable {
            true => Self::Unavailable {
                message: fault.to_string(),
                retry_after: None,
            },
            false => Self::Sandbox(Box::new(fault)),
        }
    }
}

impl From<CallFailed> for SinkError {
    fn from(fault: CallFailed) -> Self {
        match (fault.point, fault.effect) {
            // By the contract of a sink nothing else can follow a commit that happened.
            (Point::Commit, Effect::After) => Self::Unknown {
                batch: 0,
                source: Box::new(fault),
            },
            _ => Self::Store {
                context: "the table".into(),
                source: Box::new(fault),
            },
        }
    }
}

impl From<CallFailed> for object_store::Error {
    fn from(fault: CallFailed) -> Self {
        Self::Generic {
            store: "counted",
            source: Box::new(fault),
        }
    }
}
