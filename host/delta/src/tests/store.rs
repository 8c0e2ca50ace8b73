use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use sandbar_harness::store::{self, Answer, Effect, FaultyStore, Process, StepKind};

/// What happens to the next put of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not happen, and says so.
    Lost,
    /// It happens, and says that it failed.
    Unheard,
    /// It happens, and after it nothing can be read.
    Blind,
    /// It does not happen, and says that the object is already there.
    FalseConflict,
}

/// A local store that counts requests and fails on demand.
pub struct TestStore {
    process: Arc<Process>,
    fault: Arc<Mutex<Option<Fault>>>,
    blind: Arc<AtomicBool>,
    taken: AtomicUsize,
}

impl TestStore {
    pub fn new() -> Self {
        let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
        let blind: Arc<AtomicBool> = Arc::default();
        let (next, sight) = (fault.clone(), blind.clone());
        let answer = |effect, answer| Some(store::Fault { effect, answer });
        let process = Process::deciding(move |step| {
            if step.kind == StepKind::Read && sight.load(Ordering::SeqCst) {
                return answer(Effect::Before, Answer::Error);
            }
            if !(step.name.starts_with("put _delta_log/") && step.name.ends_with(".json")) {
                return None;
            }
            match next.lock().unwrap().take()? {
                Fault::Lost => answer(Effect::Before, Answer::Error),
                Fault::FalseConflict => answer(Effect::Before, Answer::Conflict),
                Fault::Unheard => answer(Effect::After, Answer::Error),
                Fault::Blind => {
                    sight.store(true, Ordering::SeqCst);
                    answer(Effect::After, Answer::Error)
                }
            }
        });
        Self {
            process,
            fault,
            blind,
            taken: AtomicUsize::new(0),
        }
    }

    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(FaultyStore::new(
            Arc::new(LocalFileSystem::new()),
            self.process.clone(),
        ))
    }

    pub fn fail_next(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    pub fn restore_sight(&self) {
        self.blind.store(false, Ordering::SeqCst);
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        let steps = self.process.steps();
        let taken = self.taken.swap(steps.len(), Ordering::SeqCst);
        steps.into_iter().skip(taken).map(|step| step.name).collect()
    }
}
