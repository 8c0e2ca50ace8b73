use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;

use super::turns::Turns;

/// What a step touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepKind {
    /// A request that changes nothing.
    Read,
    /// A request that leaves something durable.
    Write,
    /// A call to a source.
    Call,
}

/// One request or call of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Counted from 0.
    pub number: usize,
    /// What it touches.
    pub kind: StepKind,
    /// What is done on what: `put offsets/7`, `latest-offset`. Random parts of names are left out.
    pub name: String,
}

/// What becomes of a request that goes wrong. `tests/README.md` has the words for faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// It never reaches the store.
    Before,
    /// The store does it.
    After,
    /// The store does it, but only when the test says so: a write that was on its way for a long time.
    Late,
}

/// What the process hears of a request that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// An error at once.
    Error,
    /// That nobody answered in time.
    Timeout,
    /// That the object is already there, though nothing was written. S3 may say so of two writes at a time.
    Conflict,
    /// Nothing any more: the process is gone, and nothing that it does from here on has an effect.
    Crash,
}

/// How a step goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fault {
    /// What becomes of it.
    pub effect: Effect,
    /// What the process hears.
    pub answer: Answer,
}

type Decide = Box<dyn FnMut(&Step) -> Option<Fault> + Send>;
type LateWrite = BoxFuture<'static, ()>;

/// A process as stores and sources see it: a row of steps, of which some may go wrong.
///
/// When it is gone it still runs, since a test can't stop a thread; but whatever it does has no effect, and it
/// hears errors only. So a test throws away what it returns.
pub struct Process {
    inner: Mutex<Inner>,
    turns: Option<(Arc<Turns>, usize)>,
}

struct Inner {
    steps: Vec<Step>,
    decide: Decide,
    faults: usize,
    gone: bool,
    late: Vec<LateWrite>,
}

impl Process {
    /// One whose every step succeeds.
    pub fn healthy() -> Arc<Self> {
        Self::deciding(|_| None)
    }

    /// One whose n-th step, counted from 0, goes wrong.
    pub fn failing_at(number: usize, fault: Fault) -> Arc<Self> {
        Self::deciding(move |step| (step.number == number).then_some(fault))
    }

    /// One whose steps go wrong as this says.
    pub fn deciding(decide: impl FnMut(&Step) -> Option<Fault> + Send + 'static) -> Arc<Self> {
        Arc::new(Self::new(Box::new(decide), None))
    }

    /// The same, taking turns with others: it is number `who` among them.
    pub fn taking_turns(
        decide: impl FnMut(&Step) -> Option<Fault> + Send + 'static,
        turns: &Arc<Turns>,
        who: usize,
    ) -> Arc<Self> {
        Arc::new(Self::new(Box::new(decide), Some((Arc::clone(turns), who))))
    }

    fn new(decide: Decide, turns: Option<(Arc<Turns>, usize)>) -> Self {
        let inner = Inner {
            steps: Vec::new(),
            decide,
            faults: 0,
            gone: false,
            late: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
            turns,
        }
    }

    /// Begins a step; `Some` says how it goes wrong.
    pub async fn begin(&self, kind: StepKind, name: impl Into<String>) -> Option<Fault> {
        let name = name.into();
        if let Some((turns, who)) = self.turns.as_ref().filter(|_| !self.is_gone()) {
            turns.wait(*who, kind, &name).await;
        }
        let mut inner = self.lock();
        if inner.gone {
            return Some(Fault {
                effect: Effect::Before,
                answer: Answer::Crash,
            });
        }
        let step = Step {
            number: inner.steps.len(),
            kind,
            name,
        };
        let fault = (inner.decide)(&step);
        inner.steps.push(step);
        inner.faults += usize::from(fault.is_some());
        fault
    }

    /// Whether it is gone.
    pub fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// Takes it out of the world, as a kill would.
    pub fn kill(&self) {
        self.lock().gone = true;
    }

    /// How many of its steps went wrong.
    pub fn faults(&self) -> usize {
        self.lock().faults
    }

    /// Its steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.lock().steps.clone()
    }

    /// Lets the writes arrive that were on their way for long. Tells how many these were.
    pub async fn land_late_writes(&self) -> usize {
        let late = std::mem::take(&mut self.lock().late);
        let count = late.len();
        for write in late {
            write.await;
        }
        count
    }

    pub(super) fn keep_late(&self, write: LateWrite) {
        self.lock().late.push(write);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("Process")
            .field("steps", &inner.steps)
            .field("gone", &inner.gone)
            .finish_non_exhaustive()
    }
}

impl Fault {
    /// Every way in which a step of this kind can go wrong.
    ///
    /// A write or a call happens or not, and an error, a time-out or nothing is heard of it. A write may also be
    /// late, or be told that its name is taken. For a read it does not matter whether it happened.
    pub fn all(kind: StepKind) -> Vec<Self> {
        let fault = |effect, answer| Self { effect, answer };
        let quadrants = [Effect::Before, Effect::After].into_iter().flat_map(|effect| {
            [Answer::Error, Answer::Timeout, Answer::Crash].map(|answer| fault(effect, answer))
        });
        match kind {
            StepKind::Read => vec![
                fault(Effect::Before, Answer::Error),
                fault(Effect::Before, Answer::Timeout),
                fault(Effect::Before, Answer::Crash),
            ],
            StepKind::Call => quadrants.collect(),
            StepKind::Write => quadrants
                .chain([
                    fault(Effect::Before, Answer::Conflict),
                    fault(Effect::Late, Answer::Timeout),
                    fault(Effect::Late, Answer::Crash),
                ])
                .collect(),
        }
    }
}
