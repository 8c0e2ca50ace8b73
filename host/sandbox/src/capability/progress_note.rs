use std::sync::atomic::{AtomicU32, Ordering};

use sandbar_egress::Redactor;
use sandbar_pipeline::{CheckpointLocation, with_causes};
use sandbar_policy::{Violation, Violations};

use super::{Capability, linked_by_track};

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[
        (
            "sandbar:connector/progress-note",
            "load and save its own progress note",
        ),
        ("sandbar:connector/values", "the contract's types"),
    ],
    add_to_linker: linked_by_track,
};

/// The most notes that one call of `commit` may save. One is what it takes; each is made durable.
const MAX_SAVES: u32 = 16;

/// The most times that one call may load the note: each asks the store, which may be far away.
const MAX_LOADS: u32 = 100;

/// The progress note, as one instance may use it.
pub(crate) struct ProgressNoteCapability {
    location: CheckpointLocation,
    /// Set by the host while `commit` runs: the one time when saving is allowed.
    in_commit: bool,
    saves: AtomicU32,
    /// In the call that is under way.
    loads: AtomicU32,
    violations: Violations,
    redactor: Redactor,
}

impl ProgressNoteCapability {
    pub(crate) fn new(location: CheckpointLocation, violations: Violations, redactor: Redactor) -> Self {
        Self {
            location,
            in_commit: false,
            saves: AtomicU32::new(0),
            loads: AtomicU32::new(0),
            violations,
            redactor,
        }
    }

    /// Opens or closes the time when saving is allowed.
    pub(crate) fn set_in_commit(&mut self, in_commit: bool) {
        self.in_commit = in_commit;
        self.saves = AtomicU32::new(0);
    }

    pub(super) fn begin_call(&self) {
        self.loads.store(0, Ordering::Relaxed);
    }

    pub(crate) async fn load(&self) -> Result<Option<String>, String> {
        if self.loads.fetch_add(1, Ordering::Relaxed) >= MAX_LOADS {
            let reason = format!("it loaded its progress note more than {MAX_LOADS} times in one call");
            self.violations.record(Violation::Contract(reason.clone()));
            return Err(reason);
        }
        match self.location.load_note().await {
            Ok(note) => Ok(note.map(|note| note.to_string())),
            Err(e) => Err(with_causes(&e)),
        }
    }

    pub(crate) async fn save(&self, note: &str) -> Result<(), String> {
        if !self.in_commit {
            let reason = "progress-note.save is allowed inside commit only";
            self.violations.record(Violation::Contract(reason.into()));
            return Err(reason.into());
        }
        if self.saves.fetch_add(1, Ordering::Relaxed) >= MAX_SAVES {
            let reason = format!("it saved more than {MAX_SAVES} notes in one commit");
            self.violations.record(Violation::Contract(reason.clone()));
            return Err(reason);
        }
        if self.redactor.finds(note) {
            let reason = "its progress note holds a credential";
            self.violations.record(Violation::Contract(reason.into()));
            return Err(reason.into());
        }
        self.location.save_note(note).await.map_err(|e| with_causes(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_note_with_a_credential_is_not_saved() {
        let (violations, redactor) = (Violations::default(), Redactor::default());
        redactor.add("s3cret-of-an-api");
        let location = CheckpointLocation::memory();
        let mut capability = ProgressNoteCapability::new(location.clone(), violations.clone(), redactor);
        capability.in_commit = true;
        capability.save(r#"{"at": 7}"#).await.unwrap();
        assert!(capability.save(r#"{"at": "s3cret-of-an-api"}"#).await.is_err());
        let noted = violations.take().unwrap();
        assert_eq!(
            noted,
            Violation::Contract("its progress note holds a credential".into())
        );
        let note = location.load_note().await.unwrap().unwrap();
        assert_eq!(note.to_string(), r#"{"at":7}"#);
    }

    #[tokio::test]
    async fn a_call_loads_its_note_so_often_and_no_more() {
        let violations = Violations::default();
        let capability = ProgressNoteCapability::new(
            CheckpointLocation::memory(),
            violations.clone(),
            Redactor::default(),
        );
        for _ in 0..MAX_LOADS {
            assert_eq!(capability.load().await, Ok(None));
        }
        assert!(capability.load().await.is_err());
        let noted = violations.take().unwrap();
        let reason = "it loaded its progress note more than 100 times in one call";
        assert_eq!(noted, Violation::Contract(reason.into()));
        capability.begin_call();
        assert_eq!(capability.load().await, Ok(None), "the next call");
    }
}
