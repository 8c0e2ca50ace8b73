use sandbar_pipeline::CheckpointLocation;

use crate::limits::{Violation, Violations};

/// The progress note, as one instance may use it.
pub(crate) struct CheckpointCapability {
    location: CheckpointLocation,
    /// Set by the host while `commit` runs: the one time when saving is allowed.
    pub(crate) in_commit: bool,
    violations: Violations,
}

impl CheckpointCapability {
    pub(crate) fn new(location: CheckpointLocation, violations: Violations) -> Self {
        Self {
            location,
            in_commit: false,
            violations,
        }
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
        self.location.save_note(note).await.map_err(|e| e.to_string())
    }
}
