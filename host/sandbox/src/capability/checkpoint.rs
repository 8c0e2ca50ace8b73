use std::sync::atomic::{AtomicU32, Ordering};

use sandbar_pipeline::CheckpointLocation;

use crate::limits::{Violation, Violations};

/// The most notes that one call of `commit` may save. One is what it takes; each is made durable.
const MAX_SAVES: u32 = 16;

/// The progress note, as one instance may use it.
pub(crate) struct CheckpointCapability {
    location: CheckpointLocation,
    /// Set by the host while `commit` runs: the one time when saving is allowed.
    in_commit: bool,
    saves: AtomicU32,
    violations: Violations,
}

impl CheckpointCapability {
    pub(crate) fn new(location: CheckpointLocation, violations: Violations) -> Self {
        Self {
            location,
            in_commit: false,
            saves: AtomicU32::new(0),
            violations,
        }
    }

    /// Opens or closes the time when saving is allowed.
    pub(crate) fn set_in_commit(&mut self, in_commit: bool) {
        self.in_commit = in_commit;
        self.saves = AtomicU32::new(0);
    }

    pub(crate) async fn load(&self) -> Result<Option<String>, String> {
        match self.location.load_note().await {
            Ok(note) => Ok(note.map(|note| note.to_string())),
            Err(e) => Err(e.to_string()),
        }
    }

    pub(crate) async fn save(&self, note: &str) -> Result<(), String> {
        if !self.in_commit {
            let reason = "checkpoint.save is allowed inside commit only";
            self.violations.note(Violation::Contract(reason.into()));
            return Err(reason.into());
        }
        if self.saves.fetch_add(1, Ordering::Relaxed) >= MAX_SAVES {
            let reason = format!("it saved more than {MAX_SAVES} notes in one commit");
            self.violations.note(Violation::Contract(reason.clone()));
            return Err(reason);
        }
        self.location.save_note(note).await.map_err(|e| e.to_string())
    }
}
